"""What counting a call costs it: burst limits as it enters, usage as it leaves."""

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from unittest import mock

from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from redis.connection import AbstractConnection

from accounts.models import User
from billing import counting
from tests import factories
from tests.benchmarks import load, rows
from tests.benchmarks.measure import Result, web_server
from tracker import clock

# Together fewer calls than the largest plan allows in an hour.
ROUNDS, REQUESTS, WARMING, COUNTED = 11, 400, 200, 10
PLAIN, METERED = "/reference/guarded", "/reference/metered"


def measure() -> list[Result]:
    now = clock.now()
    rows.clear()
    (user,) = rows.people(1)
    factories.put_on_plan(user, "enterprise")
    token = rows.access_token(user, now)
    with override_settings(BURST_LIMITS_ENABLED=True):
        queries, trips = _counts(token)
    with web_server(BENCH_BURST_LIMITS="on") as port:
        plain, metered = _rounds(port, token)
    _check_all_were_counted(user, now)
    pairs = zip(plain, metered, strict=True)
    more = statistics.median(with_it - without for without, with_it in pairs)
    return [
        Result("metered request, p50 more", more, "ms",
               f"unmetered {statistics.median(plain):.2f} ms", None, "≤ 1 ms", more <= 1),
        Result("metered request, Redis round trips", max(trips), "round trips",
               f"at least {min(trips)}", None, "≤ 2", max(trips) <= 2),
        Result("metered request, more queries", max(queries), "queries", "", None, "0",
               max(queries) <= 0),
    ]  # fmt: skip


def _rounds(port: int, token: str) -> tuple[list[float], list[float]]:
    """Both in turn, because the machine's speed drifts."""
    plain, metered = [], []
    for path in (PLAIN, METERED):
        load.run(port, path, token=token, connections=4, requests=WARMING)
    for _ in range(ROUNDS):
        plain.append(_p50(port, PLAIN, token))
        metered.append(_p50(port, METERED, token))
    return plain, metered


def _p50(port: int, path: str, token: str) -> float:
    return load.run(port, path, token=token, connections=1, requests=REQUESTS).p50


def _counts(token: str) -> tuple[list[int], list[int]]:
    """Queries more than without it, and messages to Redis, of some calls each.

    The first one to Redis also connects and has the scripts loaded, so it is left out there.
    """
    client = Client(headers={"Authorization": f"Bearer {token}"})
    _count(client, PLAIN)  # counts the activity of five minutes
    counted = [(_count(client, PLAIN), _count(client, METERED)) for _ in range(COUNTED)]
    queries = [metered[0] - plain[0] for plain, metered in counted]
    return queries, [metered[1] for _, metered in counted[1:]]


def _count(client: Client, path: str) -> tuple[int, int]:
    with CaptureQueriesContext(connection) as captured, messages_to_redis() as messages:
        answer = client.get(path)
    assert answer.status_code == 200
    assert ("RateLimit" in answer.headers) == (path == METERED)
    return len(captured), len(messages)


def _check_all_were_counted(user: User, now: datetime) -> None:
    counted = counting.client().get(counting.month_key(f"user:{user.id}", now))
    assert int(counted or 0) == ROUNDS * REQUESTS + WARMING + COUNTED, counted


@contextmanager
def messages_to_redis() -> Iterator[list[object]]:
    """What any client of this process sends meanwhile; a pipeline is one message."""
    sent: list[object] = []
    send = AbstractConnection.send_packed_command

    def noting(self: AbstractConnection, command: object, *args: object, **named: object) -> None:
        sent.append(command)
        send(self, command, *args, **named)

    with mock.patch.object(AbstractConnection, "send_packed_command", noting):
        yield sent
