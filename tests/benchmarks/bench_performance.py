"""The performance endpoint over portfolios of 1,000 and 10,000 activities, warm and cold.

Cold is the first request of a new web process with an empty cache. Nothing is computed in either:
days are valued beforehand, and how long that takes is shown as well.
"""

import http.client
import statistics
import time
from datetime import date, datetime

from django.core.cache import cache
from django.db import connection

from accounts.models import User
from portfolios.models import PortfolioState
from portfolios.returns import valuations
from tests.benchmarks import load, rows
from tests.benchmarks.measure import Result, seconds, web_server
from tests.benchmarks.performance_rows import activities
from tracker import clock, tenancy

WARM, COLD = {1_000: 10, 10_000: 55}, {1_000: 170, 10_000: 380}
PATH = "/api/v1/performance?range=ALL"
ROUNDS, REQUESTS, STARTS = 3, 200, 3


def measure() -> list[Result]:
    now = clock.now()
    results = []
    for count in WARM:
        user, valued = _valued(count, now)
        token = rows.access_token(user, now)
        cold = statistics.median(_cold(token) for _ in range(STARTS))
        warm = _warm(token)
        results += [
            Result(f"performance, {count:,} activities, warm p50", warm, "ms", "Ghostfolio "
                   f"{'101' if count == 1_000 else '545'} ms", None, f"≤ {WARM[count]} ms",
                   warm <= WARM[count]),
            Result(f"performance, {count:,} activities, cold", cold, "ms", "Ghostfolio "
                   f"{'850' if count == 1_000 else '1,900'} ms", None, f"≤ {COLD[count]} ms",
                   cold <= COLD[count]),
            Result(f"valuing {count:,} activities from the beginning", valued, "s", "", None,
                   "no target", True),
        ]  # fmt: skip
    return results


def _valued(count: int, now: datetime) -> tuple[User, float]:
    """Somebody with that many activities whose days are valued, and how long that took."""
    user = activities(count, now)

    def value() -> None:
        with tenancy.as_user(user.id):
            valuations.revalue(user_id=user.id, since=date(2000, 1, 1), now=now)

    took = seconds(value)
    with tenancy.as_user(user.id):
        PortfolioState.objects.filter(user_id=user.id).update(derived_revision=1)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return user, took


def _warm(token: str) -> float:
    with web_server() as port:
        load.run(port, PATH, token=token, connections=1, requests=100)
        found = [
            load.run(port, PATH, token=token, connections=1, requests=REQUESTS).p50
            for _ in range(ROUNDS)
        ]
    return statistics.median(found)


def _cold(token: str) -> float:
    """Milliseconds of the first request that a new process is sent."""
    cache.clear()
    with web_server(WEB_CONCURRENCY="1") as port:
        client = http.client.HTTPConnection("127.0.0.1", port)
        started = time.perf_counter()
        client.request("GET", PATH, headers={"Authorization": f"Bearer {token}"})
        answer = client.getresponse()
        answer.read()
        took = time.perf_counter() - started
    if answer.status != 200:
        raise RuntimeError(f"{PATH} answered {answer.status}")
    return took * 1000
