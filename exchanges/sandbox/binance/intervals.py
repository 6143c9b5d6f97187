"""Binance's candle lengths, and when each candle opens."""

from collections.abc import Iterator
from datetime import UTC, datetime

_MINUTE = 60_000
_DAY = 1440 * _MINUTE
# The epoch fell on a Thursday; weeks open on Mondays.
_FIRST_MONDAY = 4 * _DAY

_LENGTHS = {
    "1s": 1_000,
    "1m": _MINUTE,
    "3m": 3 * _MINUTE,
    "5m": 5 * _MINUTE,
    "15m": 15 * _MINUTE,
    "30m": 30 * _MINUTE,
    "1h": 60 * _MINUTE,
    "2h": 120 * _MINUTE,
    "4h": 240 * _MINUTE,
    "6h": 360 * _MINUTE,
    "8h": 480 * _MINUTE,
    "12h": 720 * _MINUTE,
    "1d": _DAY,
    "3d": 3 * _DAY,
    "1w": 7 * _DAY,
}
MONTH = "1M"
ALL = (*_LENGTHS, MONTH)


def opening(interval: str, instant: int) -> int:
    """When the candle that holds `instant` opens."""
    if interval == MONTH:
        return _month(*_year_and_month(instant))
    origin = _FIRST_MONDAY if interval == "1w" else 0
    length = _LENGTHS[interval]
    return (instant - origin) // length * length + origin


def following(interval: str, start: int) -> int:
    """When the candle after the one that opens at `start` opens."""
    if interval != MONTH:
        return start + _LENGTHS[interval]
    year, month = _year_and_month(start)
    return _month(year + month // 12, month % 12 + 1)


def spans(interval: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """(opening, next opening) of the candles that open in [start, end]."""
    at = opening(interval, start)
    at = at if at >= start else following(interval, at)
    while at <= end:
        after = following(interval, at)
        yield at, after
        at = after


def back(interval: str, end: int, count: int) -> int:
    """The opening of the first of `count` candles of which the last holds `end`."""
    start = opening(interval, end)
    for _ in range(count - 1):
        start = opening(interval, start - 1)
    return start


def _year_and_month(instant: int) -> tuple[int, int]:
    moment = datetime.fromtimestamp(instant // 1000, UTC)
    return moment.year, moment.month


def _month(year: int, month: int) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 1000
