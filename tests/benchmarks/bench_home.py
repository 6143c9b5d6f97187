"""The home screen with 200 holdings, against the same rows from a stock serializer, and from
PostgreSQL's own ``json_agg`` through a view with nothing around it."""

import statistics
from dataclasses import dataclass

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests import factories
from tests.benchmarks import load, rows
from tests.benchmarks.measure import Result, web_server
from tracker import clock

HOLDINGS, ROUNDS = 200, 5
_BOOKKEEPING = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SELECT 1")


def measure() -> list[Result]:
    now = clock.now()
    rows.clear()
    assets = rows.priced_assets(HOLDINGS, now)
    (user,) = rows.people(1)
    factories.put_on_plan(user, "enterprise")  # more calls than a small plan includes
    rows.holdings(rows.connections_of([user], now), assets, HOLDINGS, now)
    token = rows.access_token(user, now)
    queries = _queries(token)
    bare = f"/reference/json-agg/{user.id}"
    with web_server() as port, web_server(BENCH_MIDDLEWARE="off") as bare_port:
        measured = _rounds(port, token, bare_port=bare_port, bare=bare)
    single = statistics.median(one.single for one in measured)
    ours = statistics.median(one.ours for one in measured)
    stock = statistics.median(one.stock for one in measured)
    json_agg = statistics.median(one.json_agg for one in measured)
    ratio = statistics.median(one.ours / one.stock for one in measured)
    share = statistics.median(one.ours / one.json_agg for one in measured)
    return [
        Result("home screen, 200 holdings, 1 connection, p50", single, "ms", "", None,
               "≤ 5 ms", single <= 5),
        Result("home screen, queries", queries, "queries", "", None, "≤ 4", queries <= 4),
        Result("home screen, 16 connections", ours, "requests/s",
               f"stock DRF serializer {stock:,.0f}", ratio, "≥ 3", ratio >= 3),
        Result("home screen, 16 connections", ours, "requests/s",
               f"json_agg, bare view {json_agg:,.0f}", share, "≥ 0.45", share >= 0.45),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Round:
    """Milliseconds of a single request; requests a second of ours and of both references."""

    single: float
    ours: float
    stock: float
    json_agg: float


def _rounds(port: int, token: str, *, bare_port: int, bare: str) -> list[_Round]:
    """Ours and the references in turn, because the machine's speed drifts."""
    home, stock = "/api/v1/portfolio", "/reference/holdings"
    for at, path in ((port, home), (port, stock), (bare_port, bare)):
        _get(at, path, token, 16, 160)
    return [
        _Round(
            single=_get(port, home, token, 1, 300).p50,
            ours=_get(port, home, token, 16, 1600).per_second,
            stock=_get(port, stock, token, 16, 320).per_second,
            json_agg=_get(bare_port, bare, token, 16, 1600).per_second,
        )
        for _ in range(ROUNDS)
    ]


def _get(port: int, path: str, token: str, connections: int, requests: int) -> load.Load:
    return load.run(port, path, token=token, connections=connections, requests=requests)


def _queries(token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    client = Client()
    client.get("/api/v1/portfolio", headers=headers)
    with CaptureQueriesContext(connection) as captured:
        assert client.get("/api/v1/portfolio", headers=headers).status_code == 200
    statements = [query["sql"] for query in captured.captured_queries]
    return sum(not _is_bookkeeping(sql) for sql in statements)


def _is_bookkeeping(sql: str) -> bool:
    """Transaction control, or the tenancy setting with no query behind it."""
    alone = sql.startswith("SELECT set_config") and ";" not in sql
    return alone or sql.startswith(_BOOKKEEPING)
