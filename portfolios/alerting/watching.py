"""The watcher: every tick against all alerts on prices, from memory.

Two threads. One listens to Redis and finds what each batch of ticks brings about (``book``); the
other keeps the book true to PostgreSQL and settles what was found (``firing``), so that a slow
database holds up no tick. Watchers may run twice, or not at all: an alert is told once whoever
finds it, and ``sweeping`` finds within a minute what no watcher saw.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import redis
from django.conf import settings
from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connection,
)

from exchanges import ticks
from portfolios.alerting import announcing, firing, newest, ranges, watched
from portfolios.alerting.book import Book, Finding, Quoted
from portfolios.alerting.firing import Judgement
from tracker import clock
from tracker.logs import get_logger

log = get_logger(__name__)

_LOOK_SECONDS = 0.25  # how soon a wish to stop is noticed
_REDIS_SECONDS = 2.0
_COUNT_SECONDS = 60.0
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0
# Rows are committed some time after the instant that they bear, and clocks differ.
_OVERLAP = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often things happen, in seconds."""

    refresh: float = 2.0  # between two looks at what was changed
    reload: float = 300.0  # between two readings of everything
    again: float = 1.0  # after PostgreSQL did not answer


class Watcher:
    """Watches until told to stop. ``on_ready`` hears how many alerts there are, once."""

    def __init__(
        self, *, pace: Pace, stop: threading.Event, on_ready: Callable[[int], None]
    ) -> None:
        self._pace, self._stop, self._on_ready = pace, stop, on_ready
        self._book, self._lock = Book({}), threading.Lock()
        self._found: deque[Finding] = deque()
        self._announced: deque[UUID] = deque()
        self._woken, self._back = threading.Event(), threading.Event()
        self._currencies: dict[str, UUID] = {}
        self._windows: set[ranges.Window] = set()
        self._read_to = clock.now()
        self._reload_at = self._refresh_at = 0.0
        self._counts: Counter[str] = Counter()
        self._counted_at = time.monotonic()
        self._ready = self._broken = False

    def run(self) -> None:
        """Watch; what was found last is still settled when told to stop."""
        keeper = threading.Thread(target=self._keep, name="keep-alerts")
        keeper.start()
        try:
            self._listen()
        finally:
            self._woken.set()
            keeper.join()
        if self._broken:
            raise RuntimeError("The keeper of the book ended; what ended it is logged.")

    # --- listening ------------------------------------------------------------------------------
    def _listen(self) -> None:
        wait = _FIRST_WAIT
        while not self._stop.is_set():
            try:
                with self._subscribed() as pubsub:
                    wait = _FIRST_WAIT
                    self._back.set()  # what was published before is lost
                    self._hand_on(pubsub)
            except (redis.RedisError, OSError) as error:
                log.warning("alerts.redis_unavailable", error=type(error).__name__)
                self._stop.wait(wait)
                wait = min(wait * 2, _LONGEST_WAIT)

    def _subscribed(self) -> Any:
        client = redis.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=_REDIS_SECONDS, socket_keepalive=True
        )
        pubsub = client.pubsub(ignore_subscribe_messages=True)
        pubsub.subscribe(ticks.channel(), announcing.channel())
        return pubsub

    def _hand_on(self, pubsub: Any) -> None:
        prices = ticks.channel().encode()
        while not self._stop.is_set():
            message = pubsub.get_message(timeout=_LOOK_SECONDS)
            if message is None:
                continue
            try:
                if message["channel"] == prices:
                    self._take(message["data"])
                else:
                    self._announced.append(UUID(message["data"].decode()))
                    self._woken.set()
            except (ValueError, KeyError, TypeError, ArithmeticError) as error:
                log.error("alerts.unreadable_news", error=type(error).__name__)

    def _take(self, message: bytes) -> None:
        quotes = ticks.read_message(message)
        self._counts["ticks"] += len(quotes)
        self._judge((quote.asset_id, Quoted(quote.usd, quote.as_of)) for quote in quotes)

    def _judge(self, quotes: Iterable[tuple[UUID, Quoted]]) -> None:
        with self._lock:
            found = self._book.take(quotes, fresh_since=clock.now() - settings.PRICE_STALE_AFTER)
        if found:
            self._found.extend(found)
            self._woken.set()

    # --- keeping the book -----------------------------------------------------------------------
    def _keep(self) -> None:
        try:
            while not self._stop.is_set():
                self._woken.wait(_LOOK_SECONDS)
                self._woken.clear()
                if not self._try(self._look_and_settle):
                    self._stop.wait(self._pace.again)
            self._try(self._settle)
        except Exception:  # without it nothing would be told: better no process than half of one
            log.exception("alerts.keeper_failed")
            self._broken = True
            self._stop.set()
        finally:
            connection.close()

    def _try(self, work: Callable[[], None]) -> bool:
        try:
            close_old_connections()
            work()
        except DatabaseError as error:
            log.warning("alerts.database_unavailable", error=type(error).__name__)
            return False
        return True

    def _look_and_settle(self) -> None:
        now = time.monotonic()
        if now >= self._reload_at:
            self._reload()
            self._reload_at = now + self._pace.reload
        elif self._announced or now >= self._refresh_at:
            self._refresh()
        self._refresh_at = now + self._pace.refresh
        if self._back.is_set():
            self._back.clear()
            self._catch_up()
        self._settle()
        if now >= self._counted_at + _COUNT_SECONDS:
            self._counted_at = now
            log.info("alerts.counts", alerts=len(self._book), **self._counts)

    def _reload(self) -> None:
        """Read everything. Extremes of windows stay, unless currencies have changed."""
        read_at, alerts, currencies = clock.now(), watched.everything(), newest.currencies()
        with self._lock:
            if currencies != self._currencies:
                self._book, self._currencies, self._windows = Book(currencies), currencies, set()
                self._back.set()
            self._book.reload(alerts)
        self._read_to = read_at
        self._learn_windows()
        if not self._ready:
            self._ready = True
            self._on_ready(len(self._book))

    def _refresh(self) -> None:
        """Read what was changed, and what was announced."""
        read_at = clock.now()
        announced = [self._announced.popleft() for _ in range(len(self._announced))]
        put, gone = watched.changed(since=self._read_to - _OVERLAP)
        if announced:
            also, missing = watched.named(announced)
            put, gone = put + also, gone + missing
        with self._lock:
            for alert in put:
                if not alert.is_like(self._book.get(alert.id)):
                    self._book.put(alert)
            for alert_id in gone:
                self._book.forget(alert_id)
        self._read_to = read_at
        self._learn_windows()

    def _learn_windows(self) -> None:
        """What prices were before they were watched."""
        with self._lock:
            windows = self._book.windows()
        for window in windows - self._windows:
            history = ranges.history(window, now=clock.now())
            with self._lock:
                self._book.remember(window[:2], window[2], history)
        self._windows = windows

    def _catch_up(self) -> None:
        """Judge by the newest prices there are: ticks may have been missed."""
        with self._lock:
            assets = self._book.assets()
        self._judge(newest.prices(assets).items())

    # --- settling -------------------------------------------------------------------------------
    def _settle(self) -> None:
        while self._found:
            finding = self._found[0]  # stays until it is settled
            if clock.now() - finding.as_of <= settings.PRICE_STALE_AFTER:
                self._settle_one(finding)
            self._found.popleft()

    def _settle_one(self, finding: Finding) -> None:
        try:
            done = firing.settle(_judged(finding), now=clock.now())
        except (OperationalError, InterfaceError):
            raise  # tried again
        except DatabaseError as error:
            # Refused for good, such as of who is being erased; it must not hold up the others.
            log.error("alerts.not_settled", error=type(error).__name__)
            return
        self._counts["told"] += done and finding.told


def _judged(finding: Finding) -> Judgement:
    alert = finding.alert
    return Judgement(
        alert.id, alert.user_id, alert.threshold, finding.told, finding.shown, finding.as_of
    )
