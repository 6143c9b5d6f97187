"""Reading a feed to its end, page by page. ccxt's own pagination stops silently at ten calls.

Every strategy yields ``Page``s and says with each how far the feed has been read, so that an
interruption loses at most one page. Rows are handed on as they came: duplicates, any order.
"""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from exchanges.gateway.dialects.base import (
    Cursor,
    Feed,
    Following,
    Forward,
    Ids,
    Offsets,
    Windows,
)
from exchanges.gateway.rows import BadRow, millis

Ask = Callable[..., Awaitable[Any]]  # (**params) -> answer
_SPARSE = 4  # a page under a quarter of the limit lets the next window grow again


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one answer. ``until``: read to here so far, None while the order is unknown."""

    rows: Sequence[Any]
    until: datetime | None = None
    cursor: str = ""
    overfull: bool = False  # the exchange held more rows back, and gives no way to ask for them


@dataclass(frozen=True, slots=True)
class Span:
    """What to read: from ``since`` to ``until``, or from ``cursor`` on."""

    since: datetime
    until: datetime
    cursor: str = ""
    params: Mapping[str, Any] | None = None


def pages(feed: Feed, ask: Ask, span: Span) -> AsyncIterator[Page]:
    """The pages of a feed over a span, by the strategy that the feed declares."""
    return _STRATEGIES[type(feed.paging)](feed, ask, span)


async def _by_windows(feed: Feed, ask: Ask, span: Span) -> AsyncIterator[Page]:
    paging: Windows = feed.paging  # type: ignore[assignment]
    at, step = span.since, paging.length
    while at < span.until:
        until = min(at + step, span.until)
        if paging.following:
            window = _window(paging, at, until)
            async for leaf in _leaves(feed, paging, paging.following, ask, window):
                yield Page(leaf)
            yield Page((), until)
            at = until
            continue
        rows = feed.rows(await ask(**_window(paging, at, until)))
        full = len(rows) >= paging.limit
        if full and until - at > paging.smallest:
            step = max((until - at) / 2, paging.smallest)
            continue
        yield Page(rows, until, overfull=full)
        at = until
        if len(rows) < paging.limit / _SPARSE:
            step = min(step * 2, paging.length)


async def _leaves(
    feed: Feed, paging: Windows, following: Following, ask: Ask, window: Mapping[str, Any]
) -> AsyncIterator[Sequence[Any]]:
    """The pages of one window, until the exchange names no other or nothing new comes."""
    marker: Any = ""
    seen: set[str] = set()
    for read in itertools.count(1):
        answer = await ask(**{**window, **({paging.page: marker} if marker else {})})
        rows = feed.rows(answer)
        fresh = [row for row in rows if repr(row) not in seen]  # twins of one page both stay
        seen.update(repr(row) for row in fresh)
        yield fresh
        before, marker = marker, following(answer, rows, read)
        if not fresh or not marker or marker == before:
            return


def _window(paging: Windows, since: datetime, until: datetime) -> dict[str, Any]:
    stamp, further = paging.stamp or millis, paging.smallest if paging.exclusive else timedelta()
    times = {paging.since: stamp(since - further), paging.until: stamp(until + further)}
    times |= {paging.size: paging.limit}
    return {name: value for name, value in times.items() if name}


async def _by_ids(feed: Feed, ask: Ask, span: Span) -> AsyncIterator[Page]:
    paging: Ids = feed.paging  # type: ignore[assignment]
    cursor, seen, stalls = int(span.cursor or paging.first), -1, 0
    while True:
        rows = feed.rows(await ask(**{paging.param: cursor, paging.size: paging.limit}))
        highest = max((_integer(row, paging.field) for row in rows), default=-1)
        stalls = stalls + 1 if highest <= seen else 0
        seen = max(seen, highest)
        done = len(rows) < paging.limit or stalls > 1
        yield Page(rows, span.until if done else None, str(seen) if seen >= 0 else span.cursor)
        if done:
            return
        cursor = seen + 1 if stalls else seen  # the last row again, so that no gap could hide


def _integer(row: Any, field: str) -> int:
    try:
        return int(row[field])
    except (KeyError, TypeError, ValueError):
        return -1


async def _by_offsets(feed: Feed, ask: Ask, span: Span) -> AsyncIterator[Page]:
    paging: Offsets = feed.paging  # type: ignore[assignment]
    times = {paging.since: paging.stamp(span.since), paging.until: paging.stamp(span.until)}
    seen: set[str] = set()
    while True:
        answer = await ask(**times, **({paging.param: len(seen)} if seen else {}))
        rows = feed.rows(answer)
        fresh = _ids(feed, rows) - seen
        seen |= fresh
        done = not fresh or (paging.total is not None and len(seen) >= paging.total(answer))
        yield Page(rows, span.until if done else None)
        if done:
            return


async def _by_cursor(feed: Feed, ask: Ask, span: Span) -> AsyncIterator[Page]:
    paging: Cursor = feed.paging  # type: ignore[assignment]
    fixed = {paging.since: paging.stamp(span.since)} if paging.since and paging.stamp else {}
    cursor = ""
    seen: set[str] = set()
    while True:
        answer = await ask(**fixed, **({paging.param: cursor} if cursor else {}))
        rows, before = feed.rows(answer), cursor
        cursor = paging.following(answer)
        fresh = _ids(feed, rows) - seen
        seen |= fresh
        done = not cursor or cursor == before or not fresh
        yield Page(rows, span.until if done else None)
        if done:
            return


async def _forward(feed: Feed, ask: Ask, span: Span) -> AsyncIterator[Page]:
    paging: Forward = feed.paging  # type: ignore[assignment]
    since = span.since
    seen: set[str] = set()
    while True:
        stamp = paging.stamp or millis
        rows = feed.rows(await ask(**{paging.since: stamp(since), paging.size: paging.limit}))
        fresh = _ids(feed, rows) - seen
        seen |= fresh
        newest = _newest(feed, rows, since)
        full = len(rows) >= paging.limit
        done = newest >= span.until or not (fresh or full)
        yield Page(rows, span.until if done else newest, overfull=full and not fresh)
        if done:
            return
        since = newest if fresh else newest + timedelta(milliseconds=1)


def _newest(feed: Feed, rows: Sequence[Any], otherwise: datetime) -> datetime:
    found = [otherwise]
    for row in rows:
        try:
            found.append(feed.when(row))  # type: ignore[misc]
        except (BadRow, AttributeError, TypeError):
            continue
    return max(found)


def _ids(feed: Feed, rows: Sequence[Any]) -> set[str]:
    return {_name(feed, row) for row in rows}


def _name(feed: Feed, row: Any) -> str:
    found = row.get(feed.id_field) if isinstance(row, dict) else None
    return str(found) if found else repr(row)


_STRATEGIES: dict[type, Callable[[Feed, Ask, Span], AsyncIterator[Page]]] = {
    Windows: _by_windows,
    Ids: _by_ids,
    Offsets: _by_offsets,
    Cursor: _by_cursor,
    Forward: _forward,
}
