"""One exchange's prices as they move: from its stream to Redis at once, to PostgreSQL in time.

Where an exchange has no stream, or its stream keeps failing, its prices are polled instead. What
is held in memory is one ticker per market and one price per asset, however long Redis, PostgreSQL
or the exchange is away.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import redis
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection

from exchanges import assets, gateway, prices, ticks
from exchanges.board import Board
from exchanges.crossing import UsdPrice
from exchanges.gateway.errors import GatewayError, TimedOut
from exchanges.prices import Quote
from tracker import clock
from tracker.logs import get_logger
from tracker.money import UNIT_QUANTUM

log = get_logger(__name__)

_LOOK_SECONDS = 0.25  # how soon a wish to stop is noticed
_REDIS_SECONDS = 2.0
_COUNT_SECONDS = 60.0
_FAILURES_BEFORE_POLLING = 3
# A price that stands still is told again so seldom: its age is news, too.
_TOLD_AGAIN = timedelta(seconds=10)
_RECORDED_AGAIN = timedelta(seconds=60)
_Priced = Quote | UsdPrice


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often things happen, in seconds."""

    flush: float = 0.04  # between two messages to Redis, at least
    cross: float = 1.0  # until a coin follows the coin it is crossed through
    record: float = 5.0  # between two writes to PostgreSQL
    silence: float = 30.0  # without a tick, until a stream counts as broken
    poll: float = 15.0
    first_wait: float = 1.0  # before a broken stream is tried again; doubles …
    longest_wait: float = 60.0  # … up to this


class Streamer:
    """Follows one exchange until told to stop."""

    def __init__(self, exchange: str, *, pace: Pace, stop: threading.Event) -> None:
        self._exchange, self._pace, self._stop = exchange, pace, stop
        self._board, self._failures = Board(), 0
        self._ledger = _Prices(exchange, prices.preferred_over(exchange))
        self._crossed_at = self._no_database_until = 0.0
        self._polled_at = -pace.poll

    def run(self) -> None:
        """Stream, or poll, until told to stop; what is unrecorded then is recorded."""
        recorder = threading.Thread(target=self._record, name=f"record-{self._exchange}")
        recorder.start()
        try:
            self._follow()
        finally:
            recorder.join()
            self._ledger.record()  # what was told last
            self._ledger.log_counts()
            connection.close()

    # --- where tickers come from ----------------------------------------------------------------
    def _follow(self) -> None:
        streams = self._streams()
        while not self._stop.is_set():
            if streams:
                self._stream_safely()
            if not streams or self._failures >= _FAILURES_BEFORE_POLLING:
                self._poll_for(self._wait() if streams else self._pace.poll)
            else:
                self._stop.wait(self._wait())

    def _streams(self) -> bool:
        try:
            return gateway.can_stream(self._exchange)
        except GatewayError as error:
            log.error("stream.impossible", exchange=self._exchange, code=error.code)
            return False

    def _wait(self) -> float:
        """Seconds before the stream is tried again: doubling, and never in step with others."""
        longest = self._pace.first_wait * 2 ** min(self._failures, 16)
        return min(longest, self._pace.longest_wait) * random.uniform(0.5, 1)

    def _stream_safely(self) -> None:
        try:
            self._stream()
        except GatewayError as error:
            self._failures += 1
            log.warning(
                "stream.lost", exchange=self._exchange, code=error.code, failures=self._failures
            )

    def _stream(self) -> None:
        """Follow the stream. Raises GatewayError when it breaks, or nothing comes for too long."""
        stream = gateway.stream_tickers(self._exchange)
        heard = time.monotonic()
        try:
            while not self._stop.is_set():
                fresh = stream.take(timeout=_LOOK_SECONDS)
                if fresh:
                    heard, self._failures = time.monotonic(), 0
                elif time.monotonic() - heard > self._pace.silence:
                    raise TimedOut
                self._board.update(fresh)
                self._tell()
                if fresh:  # what comes meanwhile is told together
                    self._stop.wait(self._pace.flush)
        finally:
            stream.close()

    def _poll_for(self, seconds: float) -> None:
        """Ask for all tickers whenever it is time to, for so long."""
        until = time.monotonic() + seconds
        while not self._stop.is_set() and time.monotonic() < until:
            due = self._polled_at + self._pace.poll
            if time.monotonic() >= due:
                self._poll_safely()
            else:
                self._stop.wait(min(due, until) - time.monotonic())

    def _poll_safely(self) -> None:
        self._polled_at = time.monotonic()
        try:
            self._board.update(gateway.fetch_tickers(self._exchange))
            self._tell()
        except GatewayError as error:
            log.warning("stream.poll_failed", exchange=self._exchange, code=error.code)

    # --- where prices go ------------------------------------------------------------------------
    def _tell(self) -> None:
        if time.monotonic() < self._no_database_until:
            return
        now = clock.now()
        everything = time.monotonic() - self._crossed_at >= self._pace.cross
        if everything:
            found = self._board.all_prices(now=now)
            self._crossed_at = time.monotonic()
        else:
            found = self._board.moved_prices(now=now)
        try:
            self._ledger.tell(prices.storable(found))
        except DatabaseError:  # for codes that this process does not know yet
            log.warning("stream.database_unavailable", exchange=self._exchange)
            self._no_database_until = time.monotonic() + self._pace.cross
            self._crossed_at = 0.0

    def _record(self) -> None:
        counted = time.monotonic()
        while not self._stop.wait(self._pace.record):
            self._ledger.record()
            if time.monotonic() - counted > _COUNT_SECONDS:
                counted = time.monotonic()
                self._ledger.log_counts()
        connection.close()


class _Prices:
    """The prices of one exchange by code: what was told, and what is still to be recorded."""

    def __init__(self, exchange: str, preferred: list[str]) -> None:
        self._exchange, self._preferred = exchange, preferred
        self._redis = redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=_REDIS_SECONDS, socket_connect_timeout=_REDIS_SECONDS
        )
        self._told: dict[UUID, Quote] = {}
        self._untold: dict[UUID, Quote] = {}
        self._lock = threading.Lock()
        self._unrecorded: dict[str, UsdPrice] = {}
        self._recorded: dict[str, UsdPrice] = {}
        self._counts: Counter[str] = Counter()

    def tell(self, found: Mapping[str, UsdPrice]) -> None:
        """Publish what is news, and keep it for the next recording. Raises DatabaseError."""
        if not found:
            return
        meanings = assets.resolve(self._exchange, found)
        now = clock.now()
        for code, price in found.items():
            quote = self._quote(meanings[code].at(now), code, price)
            if _differs(self._told.get(quote.asset_id), quote, _TOLD_AGAIN):
                self._untold[quote.asset_id] = quote
        with self._lock:
            self._unrecorded.update(found)
        self._offer()

    def record(self) -> None:
        """Write what changed to PostgreSQL; what cannot be written now stays for the next time."""
        with self._lock:
            waiting, self._unrecorded = self._unrecorded, {}
        changed = {
            code: price
            for code, price in waiting.items()
            if _differs(self._recorded.get(code), price, _RECORDED_AGAIN)
        }
        try:
            close_old_connections()
            self._counts["recorded"] += prices.store(self._exchange, changed, now=clock.now())
        except DatabaseError:
            log.warning("stream.database_unavailable", exchange=self._exchange)
            with self._lock:
                self._unrecorded = waiting | self._unrecorded
            return
        self._recorded.update(changed)
        if changed:
            prices.was_fetched(self._exchange)

    def log_counts(self) -> None:
        """One line for operators."""
        log.info("stream.counts", exchange=self._exchange, assets=len(self._told), **self._counts)

    def _offer(self) -> None:
        if not self._untold:
            return
        news = list(self._untold.values())
        try:
            kept = ticks.offer(
                self._redis, news, exchange=self._exchange, preferred=self._preferred
            )
        except redis.RedisError:
            self._counts["redis_failed"] += 1
            return
        self._told.update(self._untold)
        self._untold = {}
        self._counts.update(flushes=1, ticks=len(news), published=kept)

    def _quote(self, asset_id: UUID, code: str, price: UsdPrice) -> Quote:
        source = prices.source_of(self._exchange, price)
        usd = price.usd.quantize(UNIT_QUANTUM)  # as the column keeps it
        return Quote(asset_id, code, usd, price.usd_24h_ago, source, price.as_of)


def _differs(before: _Priced | None, after: _Priced, again: timedelta) -> bool:
    """Whether a price is news: it moved, or it still stands after a while."""
    return before is None or before.usd != after.usd or after.as_of - before.as_of >= again
