"""What it costs that a request is somebody's: token, session, tenancy, activity."""

import statistics

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.benchmarks import load, rows
from tests.benchmarks.measure import Result, web_server
from tracker import clock

ROUNDS, REQUESTS = 9, 400


def measure() -> list[Result]:
    now = clock.now()
    rows.clear()
    (user,) = rows.people(1)
    token = rows.access_token(user, now)
    first, later = _queries(token), _queries(token)
    with web_server() as port:
        bare, guarded = _rounds(port, token)
    more = guarded - bare
    return [
        Result("authenticated request, p50 more", more, "ms", f"bare view {bare:.2f} ms", None,
               "≤ 1.5 ms", more <= 1.5),
        Result("authenticated request, more queries", first, "queries", f"later ones {later}", None,
               "≤ 2", max(first, later) <= 2),
    ]  # fmt: skip


def _rounds(port: int, token: str) -> tuple[float, float]:
    """Both in turn, because the machine's speed drifts."""
    bare, guarded = [], []
    for path in ("/reference/bare", "/reference/guarded"):
        load.run(port, path, token=token, connections=4, requests=200)
    for _ in range(ROUNDS):
        bare.append(_p50(port, "/reference/bare", token))
        guarded.append(_p50(port, "/reference/guarded", token))
    return statistics.median(bare), statistics.median(guarded)


def _p50(port: int, path: str, token: str) -> float:
    return load.run(port, path, token=token, connections=1, requests=REQUESTS).p50


def _queries(token: str) -> int:
    """How many statements more; the first request of five minutes also counts the activity."""
    client = Client(headers={"Authorization": f"Bearer {token}"})
    return _count(client, "/reference/guarded") - _count(client, "/reference/bare")


def _count(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return len(captured)
