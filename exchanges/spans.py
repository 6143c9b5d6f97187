"""Stretches of time [since, until) and what is left of them: pure, no Django."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

Span = tuple[datetime, datetime]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def floor(instant: datetime, length: timedelta, *, origin: datetime = _EPOCH) -> datetime:
    """The start of the interval of this length that holds an instant, counted from 1970 in UTC."""
    return instant - (instant - origin) % length


def widened(span: Span, length: timedelta, *, origin: datetime = _EPOCH) -> Span:
    """The least span of whole intervals that holds this one."""
    since, until = span
    end = floor(until, length, origin=origin)
    return floor(since, length, origin=origin), end if end == until else end + length


def merged(spans: Iterable[Span], *, gap: timedelta = timedelta(0)) -> list[Span]:
    """The same stretches in order, those that touch (or lie at most ``gap`` apart) as one."""
    found: list[Span] = []
    for since, until in sorted(spans):
        if found and since <= found[-1][1] + gap:
            found[-1] = found[-1][0], max(found[-1][1], until)
        else:
            found.append((since, until))
    return found


def without(spans: Iterable[Span], taken: Iterable[Span]) -> list[Span]:
    """What of ``spans`` lies in none of ``taken``, in order."""
    gone = merged(taken)
    return [part for span in merged(spans) for part in _left_of(span, gone)]


def _left_of(span: Span, gone: list[Span]) -> Iterator[Span]:
    at, end = span
    for since, until in gone:
        if until <= at or since >= end:
            continue
        if since > at:
            yield at, since
        at = max(at, until)
    if at < end:
        yield at, end


def within(spans: Iterable[Span], frame: Span) -> list[Span]:
    """What of ``spans`` lies in a frame, in order."""
    since, until = frame
    parts = ((max(since, start), min(until, end)) for start, end in merged(spans))
    return [(start, end) for start, end in parts if start < end]


def common(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """What lies in some of ``spans`` and in some of ``others``, in order."""
    whole = merged(spans)
    return without(whole, without(whole, others))


def cut(span: Span, longest: timedelta) -> list[Span]:
    """A span in consecutive pieces of at most ``longest``."""
    pieces, (at, end) = [], span
    while at < end:
        until = min(at + longest, end)
        pieces.append((at, until))
        at = until
    return pieces
