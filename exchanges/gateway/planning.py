"""What is left to ask of an account: how many calls, and about how long they take.

The price of a first import. Pages by time are counted exactly; of what is paged by id or cursor
nobody knows the length, and one page each is counted. A call takes as long as the budget of its
pool lets it wait, or as the exchange is far away, whichever is longer for all of them together.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from exchanges.gateway.dialects.base import Feed, Windows
from exchanges.reports import Covered, Progress, Visit

Watch = Callable[[Progress], None]
TRAVEL_SECONDS = 0.15  # of one call to an exchange far away, and back
TELL_EVERY = 0.5  # seconds


class Running:
    """Counts the calls of one visit, and tells whoever watches."""

    def __init__(self, visit: Visit, line: Any, watch: Watch | None) -> None:
        self._visit, self._line, self._watch = visit, line, watch
        self._phase, self._calls, self._told_at = "balances", 0, 0.0
        self._feeds: dict[str, Feed] = {}
        self._left: Counter[str] = Counter()  # calls left, by feed

    def begin(self, wanted: Sequence[Feed], scopes: Callable[[Feed], list[str]]) -> None:
        """The balances are read; these feeds are to come."""
        if self._watch is not None:
            self._feeds = {feed.name: feed for feed in wanted}
            for feed in wanted:
                self._left[feed.name] = self._pages(feed, scopes(feed))

    def next(self, feed: Feed) -> None:
        """A feed begins, so the one before it is done."""
        self._left[self._phase] = 0
        self._phase, self._feeds[feed.name] = feed.name, feed
        self._tell()

    def found(self, feed: Feed, scopes: Sequence[str]) -> None:
        """The scopes that are about to be read, which earlier ones may have revealed."""
        if self._watch is not None:
            self._left[feed.name] = self._pages(feed, scopes)

    def count(self) -> None:
        """One more call goes out."""
        self._calls += 1
        if self._watch is None:
            return
        self._left[self._phase] = max(self._left[self._phase] - 1, 0)
        if self._feeds and time.monotonic() - self._told_at >= TELL_EVERY:
            self._tell()

    def _tell(self) -> None:
        if self._watch is None:
            return
        self._told_at = time.monotonic()
        self._watch(
            Progress(
                connection_id=self._visit.connection_id, phase=self._phase, calls=self._calls,
                calls_left=self._left.total(), seconds_left=self._seconds(),
            )
        )  # fmt: skip

    def _pages(self, feed: Feed, scopes: Sequence[str]) -> int:
        known, now = self._visit.known, self._visit.now
        return sum(pages(feed, known.get((feed.name, scope)), now) for scope in scopes)

    def _seconds(self) -> int:
        waiting: Counter[str] = Counter()
        for name, calls in self._left.items():
            if not calls:
                continue
            call = self._feeds[name].call
            limit = self._line.budget.limit(self._line.exchange.name, call.pool)
            if limit > 0:
                waiting[call.pool.name] += calls * call.weight * 60 / limit
        travelling = self._left.total() * TRAVEL_SECONDS
        return math.ceil(max([travelling, *waiting.values()]))


def pages(feed: Feed, known: Covered | None, now: datetime) -> int:
    """How many calls one scope of a feed takes at least, from where it was read to."""
    if not isinstance(feed.paging, Windows):
        return 1
    earliest = max(feed.launched, now - feed.horizon) if feed.horizon else feed.launched
    since = max(known.until - feed.overlap, earliest) if known else earliest
    return max(math.ceil((now - since) / feed.paging.length), 1)
