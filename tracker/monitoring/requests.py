"""Requests counted as they leave, for all processes together, in Redis.

Each process adds up in memory and writes once a second in one round trip, so that a request pays
for a dictionary and not for the network. Two things are kept: totals since Redis began, which
Prometheus reads, and totals of each minute, from which the availability is measured; these outlive
an outage of the database, so that its minutes are made up for afterwards.

Redis gone costs the counts of that time and nothing else.
"""

import atexit
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from tracker import clock

TOTALS = "monitoring:requests"
MINUTES_KEPT = 2 * 3600  # seconds
EVERY = 1.0  # second between two writes of a process
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
UNCOUNTED = ("/healthz", "/readyz", "/metrics", "/static/")
_TIMEOUT = 1.0

Handler = Callable[[HttpRequest], HttpResponse]


class CountingMiddleware:
    """Counts every answer but those to probes. Outermost, so that what others answer counts."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        response = self.get_response(request)
        if not request.path.startswith(UNCOUNTED):
            seconds = time.perf_counter() - started
            _pending.add(
                group=group_of(request), status=response.status_code, seconds=seconds,
                at=clock.now(),
            )  # fmt: skip
        return response


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
        self._timer: threading.Timer | None = None

    def add(self, *, group: str, status: int, seconds: float, at: datetime) -> None:
        minute = int(at.timestamp()) // 60
        with self._lock:
            self._totals[f"n {group} {status}"] += 1
            self._totals[f"le {group} {bisect_left(BOUNDS, seconds)}"] += 1
            self._seconds[f"s {group}"] += seconds  # type: ignore[assignment]
            self._minutes[minute, "total"] += 1
            self._minutes[minute, "failed"] += status >= 500
            if self._timer is None:
                self._timer = threading.Timer(EVERY, self.write)
                self._timer.daemon = True
                self._timer.start()

    def write(self) -> None:
        """Add what is pending to Redis; what cannot be written is lost."""
        with self._lock:
            totals, seconds, minutes = self._totals, self._seconds, self._minutes
            self._totals, self._seconds, self._minutes = Counter(), Counter(), Counter()
            self._timer = None
        if not totals:
            return
        try:
            with _client() as client:
                _add(client, totals, seconds, minutes)
        except (redis.RedisError, OSError, ValueError):
            return


def _add(
    client: redis.Redis,
    totals: Mapping[str, int],
    seconds: Mapping[str, float],
    minutes: Mapping[tuple[int, str], int],
) -> None:
    pipe = client.pipeline(transaction=False)
    for name, count in totals.items():
        pipe.hincrby(TOTALS, name, count)
    for name, spent in seconds.items():
        pipe.hincrbyfloat(TOTALS, name, spent)
    for (minute, name), count in minutes.items():
        pipe.hincrby(_key(minute), name, count)
        pipe.expire(_key(minute), MINUTES_KEPT)
    pipe.execute()


_pending = _Pending()
atexit.register(_pending.write)


def write() -> None:
    """Write what this process has counted, now."""
    _pending.write()


def of_minutes(minutes: Iterable[datetime]) -> dict[datetime, tuple[int, int]]:
    """Requests and those that failed by an error of ours, in each minute; none in a minute is
    (0, 0). Raises redis.RedisError."""
    asked = list(minutes)
    with _client() as client:
        pipe = client.pipeline(transaction=False)
        for minute in asked:
            pipe.hmget(_key(int(minute.timestamp()) // 60), "total", "failed")
        found = pipe.execute()
    return {
        minute: (int(total or 0), int(failed or 0))
        for minute, (total, failed) in zip(asked, found, strict=True)
    }


def totals() -> dict[str, float]:
    """Everything counted, as written. Raises redis.RedisError."""
    with _client() as client:
        found: Any = client.hgetall(TOTALS)
    return {name.decode(): float(value) for name, value in found.items()}


def _key(minute: int) -> str:
    return f"monitoring:minute:{minute}"


def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT
    )
