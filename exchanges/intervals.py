"""Lengths of time that candles stand for: pure, no Django.

Four are fetched and stored. Four hours are added up from hours and weeks from days, exactly, so
that less is stored and no two answers about the same hours can differ. Everything is UTC; weeks
begin on Mondays, as at the exchanges.
"""

from datetime import UTC, datetime, timedelta

from exchanges import spans
from exchanges.spans import Span

LENGTHS = {
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "1d": timedelta(days=1),
    "1w": timedelta(weeks=1),
}
_MADE_OF = {"4h": "1h", "1w": "1d"}
ORIGIN = datetime(1970, 1, 5, tzinfo=UTC)  # a Monday
SETTLING = timedelta(minutes=2)  # how long after its end an interval may still change


def stored_as(interval: str) -> str:
    """The interval whose candles are stored to answer for this one."""
    return _MADE_OF.get(interval, interval)


def begins(instant: datetime, interval: str) -> datetime:
    """The first instant of the interval that holds ``instant``."""
    return spans.floor(instant, LENGTHS[interval], origin=ORIGIN)


def ends(instant: datetime, interval: str) -> datetime:
    """The first instant after the interval that holds ``instant``."""
    return begins(instant, interval) + LENGTHS[interval]


def widened(span: Span, interval: str) -> Span:
    """The least span of whole intervals that holds this one."""
    return spans.widened(span, LENGTHS[interval], origin=ORIGIN)


def is_final(start: datetime, interval: str, now: datetime) -> bool:
    """Whether an interval is over for long enough that its candle does not change any more."""
    return start + LENGTHS[interval] + SETTLING <= now
