"""Calendar years as a person lives them: in their own time zone. Pure."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

FIRST, LAST = 1970, 2200


def bounds(year: int, zone: str) -> tuple[datetime, datetime]:
    """The first instant of a year and the first one after it, in UTC.

    A sale at eleven in the evening of 31 December in Honolulu belongs to the old year there,
    though UTC already counts the new one.
    """
    return _start(year, zone), _start(year + 1, zone)


def starts(zone: str, *, first: int = FIRST, last: int) -> list[datetime]:
    """The first instants, in UTC, of the years from ``first`` to ``last``, in order."""
    return [_start(year, zone) for year in range(first, last + 1)]


def of(at: datetime, zone: str) -> int:
    """The year in which an instant lies for somebody in ``zone``."""
    return at.astimezone(_zone(zone)).year


def _start(year: int, zone: str) -> datetime:
    return datetime(year, 1, 1, tzinfo=_zone(zone)).astimezone(UTC)


def _zone(name: str) -> ZoneInfo:
    """UTC for a zone that this machine no longer knows, rather than an error."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
