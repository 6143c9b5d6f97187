"""Requests counted as they leave, for all processes together, in Redis.

Each process adds up in memory and writes once a second in one round trip, so that a request pays
for a dictionary and not for the network. Two things are kept: totals since Redis began, which
Prometheus reads, and of each minute how many calls of the API there were and how many failed, from
which the availability is measured. The minutes outlive an outage of the database, and what Redis
does not take is kept and written later, so that the minutes of both outages are made up for.

A process that has answered anything also says every now and then that it is alive. A minute without
a call and without a sign of life is a minute of which nothing is known.
"""

import atexit
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from tracker import clock

TOTALS = "monitoring:requests"
MINUTES_KEPT = timedelta(hours=25)
EVERY = 1.0  # second between two writes of a process
ALIVE_EVERY = 20.0  # seconds between two signs of life while nobody calls
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
# These are answered while nothing else works, so that they would thin out what fails.
PROBES = frozenset({"/healthz", "/readyz", "/metrics", "/status", "/status.json"})
_TIMEOUT = 1.0
GOOD, FAILED = "good", "failed"

Handler = Callable[[HttpRequest], HttpResponse]


class CountingMiddleware:
    """Counts every answer but those to probes. Outermost, so that what others answer counts."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        response = self.get_response(request)
        if not _is_probe(request.path):
            _pending.add(
                group=group_of(request), status=response.status_code,
                seconds=time.perf_counter() - started, at=clock.now(),
                outcome=_outcome(request, response),
            )  # fmt: skip
        _pending.stir()
        return response


def _is_probe(path: str) -> bool:
    return path in PROBES or path.startswith("/static/")


def _outcome(request: HttpRequest, response: HttpResponse) -> str | None:
    """Whether a call of the API failed by an error of ours; none for what is no call of it.

    An address that does not exist costs nothing and proves nothing. An exchange that does not
    answer is not an error of ours (``tracker.errors.DomainError.ours``).
    """
    unknown = response.status_code == 404 and request.resolver_match is None
    if unknown or not request.path.startswith("/api/"):
        return None
    ours = getattr(response, "ours", True)
    return FAILED if response.status_code >= 500 and ours else GOOD


def group_of(request: HttpRequest) -> str:
    """What a request was for: the first word of its route. Routes are ours, so there are few."""
    if request.path.startswith(settings.ADMIN_PREFIX):
        return "admin"
    if request.resolver_match is None:
        return "unmatched"
    route = request.resolver_match.route.removeprefix("api/").removeprefix("v1/")
    return route.split("/")[0][:32] or "root"


class _Pending:
    """What this process has counted and not yet written."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()
        self._minutes: Counter[tuple[int, str]] = Counter()
        self._writer: threading.Thread | None = None
        self._counted = threading.Event()

    def add(
        self, *, group: str, status: int, seconds: float, at: datetime, outcome: str | None
    ) -> None:
        with self._lock:
            self._totals[f"n {group} {status}"] += 1
            self._totals[f"le {group} {bisect_left(BOUNDS, seconds)}"] += 1
            self._seconds[f"s {group}"] += seconds  # type: ignore[assignment]
            if outcome:
                self._minutes[_minute(at), outcome] += 1
        self._counted.set()

    def stir(self) -> None:
        """Have somebody write, who also says that this process is alive. Never raises: where no
        thread can be started now, a later request starts it."""
        if self._writer is not None and self._writer.is_alive():  # not in a child after a fork
            return
        with self._lock:
            if self._writer is not None and self._writer.is_alive():
                return
            writer = threading.Thread(target=self._write_on, name="requests", daemon=True)
            try:
                writer.start()
            except RuntimeError:
                return
            self._writer = writer

    def _write_on(self) -> None:
        while True:
            self.write(alive_at=clock.now())
            self._counted.wait(ALIVE_EVERY)
            self._counted.clear()
            time.sleep(EVERY)  # what comes meanwhile is written together

    def write(self, *, alive_at: datetime | None = None) -> None:
        """Add what is pending to Redis; what it does not take stays pending."""
        with self._lock:
            totals, seconds, minutes = self._totals, self._seconds, self._minutes
            self._totals, self._seconds, self._minutes = Counter(), Counter(), Counter()
        if not totals and alive_at is None:
            return
        signs = Counter({(_minute(alive_at), "alive"): 1} if alive_at else {})
        try:
            with _client() as client:
                _add(client, totals, seconds, minutes + signs)
        except (redis.RedisError, OSError, ValueError):
            self._put_back(totals, seconds, minutes)

    def _put_back(self, totals: Counter, seconds: Counter, minutes: Counter) -> None:
        with self._lock:
            self._totals.update(totals)
            self._seconds.update(seconds)
            self._minutes.update(minutes)


def _add(
    client: redis.Redis,
    totals: Mapping[str, int],
    seconds: Mapping[str, float],
    minutes: Mapping[tuple[int, str], int],
) -> None:
    pipe = client.pipeline(transaction=True)  # all or nothing, since it may be written again
    for name, count in totals.items():
        pipe.hincrby(TOTALS, name, count)
    for name, spent in seconds.items():
        pipe.hincrbyfloat(TOTALS, name, spent)
    for (minute, name), count in minutes.items():
        pipe.hincrby(_key(minute), name, count)
        pipe.expire(_key(minute), int(MINUTES_KEPT.total_seconds()))
    pipe.execute()


_pending = _Pending()
atexit.register(_pending.write)


def write() -> None:
    """Write what this process has counted, now."""
    _pending.write()


@dataclass(frozen=True, slots=True)
class Minute:
    """The calls of the API in one minute, those that failed by an error of ours, and whether there
    is any sign that it could be called."""

    total: int
    failed: int
    alive: bool


def of_minutes(minutes: Iterable[datetime]) -> dict[datetime, Minute]:
    """What is known of each minute. Raises redis.RedisError."""
    asked = list(minutes)
    with _client() as client:
        pipe = client.pipeline(transaction=False)
        for minute in asked:
            pipe.hmget(_key(_minute(minute)), GOOD, FAILED, "alive")
        found = pipe.execute()
    return {
        minute: Minute(int(good or 0) + int(failed or 0), int(failed or 0), any(known))
        for minute, known in zip(asked, found, strict=True)
        for good, failed, _ in (known,)
    }


def totals() -> dict[str, float]:
    """Everything counted, as written. Raises redis.RedisError."""
    with _client() as client:
        found: Any = client.hgetall(TOTALS)
    return {name.decode(): float(value) for name, value in found.items()}


def _minute(at: datetime) -> int:
    return int(at.timestamp()) // 60


def _key(minute: int) -> str:
    return f"monitoring:minute:{minute}"


def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT
    )
