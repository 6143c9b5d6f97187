"""Which days a range covers, seen from where a person lives. Pure, no Django.

Values are known at the ends of UTC days. A range begins with the last such close before the
person's first day of it begins, and ends with the last close before their last day of it ends, or
now. So it covers what they mean by it and at most a day more at its beginning.
"""

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tracker.errors import DomainError

NAMES = ("1D", "1W", "1M", "3M", "YTD", "1Y", "ALL", "custom")
_DAY = timedelta(days=1)
_MONTHS = {"1M": 1, "3M": 3, "1Y": 12}


class WrongRange(DomainError):
    """The days asked for do not make a range."""

    code = "wrong_range"
    status = 400
    message = "These dates do not make a range."

    @classmethod
    def of(cls, field: str, message: str) -> "WrongRange":
        error = {"field": field, "code": cls.code, "message": message}
        return cls(details={"fields": [error]})


@dataclass(frozen=True, slots=True)
class Range:
    """From the close of ``opening`` to the close of ``last``, or to now when ``last`` is today.

    ``first`` and ``until`` are the person's own dates, both included.
    """

    name: str
    first: date
    until: date
    opening: date
    last: date
    reaches_now: bool

    @property
    def days(self) -> int:
        return (self.last - self.opening).days


def resolve(
    *,
    name: str,
    since: date | None,
    until: date | None,
    zone: ZoneInfo,
    now: datetime,
    beginning: date | None,
) -> Range:
    """A range by name, or from ``since`` to ``until`` where the name is ``custom``.

    ``1D`` is the person's today. The others reach back from today's date: a week, one or three
    months, a year, the first of January. ``ALL``, and ``custom`` without ``since``, begin with
    ``beginning``, the first day that is valued. Raises WrongRange.
    """
    today = now.astimezone(zone).date()
    if name != "custom" and (since or until):
        raise WrongRange.of("from", "Dates go with the range 'custom' only.")
    first = since if name == "custom" else _first(name, today)
    last = until or today
    if first is not None and first > today:
        raise WrongRange.of("from", "This lies in the future.")
    if first is not None and first > last:
        raise WrongRange.of("from", "This lies after the end of the range.")
    return _between(name, first, last, zone, now, beginning)


def _first(name: str, today: date) -> date | None:
    if name in _MONTHS:
        return months_before(today, _MONTHS[name])
    named = {"1D": today, "1W": today - 7 * _DAY, "YTD": today.replace(month=1, day=1)}
    return named.get(name)


def _between(
    name: str, first: date | None, last: date, zone: ZoneInfo, now: datetime, beginning: date | None
) -> Range:
    end = _starts(last, zone, 1)
    reaches_now = end > now
    last_close = now.astimezone(UTC).date() if reaches_now else end.date() - _DAY
    if first is None:
        opening = (beginning or last_close) - _DAY
        first = beginning or last
    else:
        opening = _starts(first, zone).date() - _DAY
        if beginning is not None:
            opening = max(opening, beginning - _DAY)
    return Range(name, first, last, min(opening, last_close), last_close, reaches_now)


def _starts(day: date, zone: ZoneInfo, later: int = 0) -> datetime:
    """The instant at which a person's day begins, ``later`` days on, in UTC."""
    try:
        return datetime.combine(day + later * _DAY, time(), zone).astimezone(UTC)
    except OverflowError:
        raise WrongRange.of("to", "This date lies beyond the calendar.") from None


def months_before(day: date, months: int) -> date:
    """The same day of an earlier month, or that month's last."""
    month = day.year * 12 + day.month - 1 - months
    year, month = month // 12, month % 12 + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))
