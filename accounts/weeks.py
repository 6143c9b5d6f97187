"""When people's weeks end: at eight in the morning of their day, where they live. Pure."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

HOUR = time(8)
_DAY, _WEEK = timedelta(days=1), timedelta(days=7)


def last(*, day: int, zone: ZoneInfo, now: datetime) -> datetime:
    """The newest of these moments that is not after now; ``day`` 0 is Monday. In UTC.

    By the clock on the wall, so that a week in which the clock is set is an hour longer or shorter.
    """
    today = now.astimezone(zone).date()
    date = today - _DAY * ((today.weekday() - day) % 7)
    found = datetime.combine(date, HOUR, tzinfo=zone).astimezone(UTC)
    if found > now:
        found = datetime.combine(date - _WEEK, HOUR, tzinfo=zone).astimezone(UTC)
    return found


def following(*, day: int, zone: ZoneInfo, now: datetime) -> datetime:
    """The first of these moments that is after now. In UTC."""
    date = last(day=day, zone=zone, now=now).astimezone(zone).date() + _WEEK
    return datetime.combine(date, HOUR, tzinfo=zone).astimezone(UTC)
