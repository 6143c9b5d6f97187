"""The calls of 10,000 people on one day, from Redis to PostgreSQL."""

import re
import time
from datetime import datetime

from django.db import connection
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from billing import counting, plans, usage
from billing.counting import Window
from billing.models import UsageDay, UsageMonth
from tests.benchmarks import rows
from tests.benchmarks.bench_metering import messages_to_redis
from tests.benchmarks.measure import Result
from tracker import clock, tenancy

PEOPLE = 10_000
PLAN = plans.plan("enterprise")
WINDOWS = Window("hour", 3600, PLAN.calls_per_hour), Window("day", 86_400, PLAN.calls_per_day)
_WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE|COPY|TRUNCATE)\b", re.IGNORECASE)


def measure() -> list[Result]:
    now = clock.now()
    rows.clear()
    counting.client().flushdb()  # counts and windows that other benchmarks left
    people = rows.people(PEOPLE)
    first = _flush(people, now)
    again = _flush(people, now)
    _everybody_calls(people, now)
    with CaptureQueriesContext(connection) as captured, messages_to_redis() as messages:
        usage.flush(now=now)
    writes = sum(bool(_WRITES.search(query["sql"])) for query in captured)
    _check(times=3)
    slower = max(first, again)
    return [
        Result("flush of usage of 10,000 people", slower, "s",
               f"new rows {first:.2f} s, known ones {again:.2f} s", None, "≤ 2 s", slower <= 2),
        Result("flush of usage, statements that write", writes, "statements", "", None, "1",
               writes == 1),
        Result("flush of usage, Redis round trips", len(messages), "round trips",
               f"{counting.client().dbsize():,} keys in Redis", None, "≤ 20",
               len(messages) <= 20),
    ]  # fmt: skip


def _flush(people: list[User], now: datetime) -> float:
    """Seconds for one flush, after everybody called once more."""
    _everybody_calls(people, now)
    started = time.perf_counter()
    assert usage.flush(now=now) == len(people)
    return time.perf_counter() - started


def _everybody_calls(people: list[User], now: datetime) -> None:
    """Through both ends of a call, so that Redis holds what it would hold."""
    for user in people:
        counting.enter(key=f"user:{user.id}", windows=WINDOWS, month_most=None, now=now)
        counting.leave(user_id=str(user.id), group="portfolio", now=now)


def _check(*, times: int) -> None:
    """Nothing was lost on the way, and nothing counted twice."""
    with tenancy.as_system("benchmark"):
        for model in (UsageDay, UsageMonth):
            assert model.objects.aggregate(calls=Sum("calls")) == {"calls": times * PEOPLE}
            assert not model.objects.exclude(calls=times).exists()
