"""The home screen with 200 holdings, against a stock serializer of the same rows."""

import statistics

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.benchmarks import load, rows
from tests.benchmarks.measure import Result, web_server
from tracker import clock

HOLDINGS = 200
_BOOKKEEPING = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SELECT 1")


def measure() -> list[Result]:
    now = clock.now()
    rows.clear()
    assets = rows.priced_assets(HOLDINGS, now)
    (user,) = rows.people(1)
    rows.holdings(rows.connections_of([user], now), assets, HOLDINGS, now)
    token = rows.access_token(user, now)
    queries = _queries(token)
    with web_server() as port:
        ours, stock, single = _rounds(port, token)
    ratio = ours / stock
    return [
        Result("home screen, 200 holdings, 1 connection, p50", single, "ms", "", None,
               "≤ 5 ms", single <= 5),
        Result("home screen, queries", queries, "queries", "", None, "≤ 4", queries <= 4),
        Result("home screen, 16 connections", ours, "requests/s",
               f"stock DRF serializer {stock:,.0f}", ratio, "≥ 3", ratio >= 3),
    ]  # fmt: skip


def _rounds(port: int, token: str) -> tuple[float, float, float]:
    """Ours and the reference in turn, because the machine's speed drifts."""
    for path in ("/api/v1/portfolio", "/reference/holdings"):
        load.run(port, path, token=token, connections=16, requests=160)
    ours, stock, single = [], [], []
    for _ in range(3):
        single.append(_get(port, "/api/v1/portfolio", token, 1, 300).p50)
        ours.append(_get(port, "/api/v1/portfolio", token, 16, 1600).per_second)
        stock.append(_get(port, "/reference/holdings", token, 16, 480).per_second)
    return statistics.median(ours), statistics.median(stock), statistics.median(single)


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
