"""A page of 200 rows, against a stock ModelViewSet over the same rows in the same server."""

import json
import statistics

from django.test import Client

from tests import factories
from tests.benchmarks import history, load, rows
from tests.benchmarks.measure import Result, web_server
from tracker import clock

TRADES, ROWS, ROUNDS = 2_000, 200, 5
OURS, STOCK = f"/api/v1/trades?page_size={ROWS}", f"/reference/trades?page_size={ROWS}"


def measure() -> list[Result]:
    now = clock.now()
    rows.clear()
    user, _ = history.somebody(now, trades=TRADES)
    factories.put_on_plan(user, "enterprise")  # more calls than a small plan includes
    token = rows.access_token(user, now)
    _assert_same_rows(token)
    with web_server() as port:
        ours, stock, ratio = _rounds(port, token)
    return [
        Result(f"list of {ROWS} trades, 16 connections", ours, "requests/s",
               f"stock DRF ModelViewSet {stock:,.0f}", ratio, "≥ 3", ratio >= 3),
    ]  # fmt: skip


def _rounds(port: int, token: str) -> tuple[float, float, float]:
    """Both in turn, because the machine's speed drifts: the ratio is that of each pair."""
    for path in (OURS, STOCK):
        load.run(port, path, token=token, connections=16, requests=96)
    pairs = [(_per_second(port, OURS, token, 480), _per_second(port, STOCK, token, 160))
             for _ in range(ROUNDS)]  # fmt: skip
    ours, stock = (statistics.median(values) for values in zip(*pairs, strict=True))
    return ours, stock, statistics.median(our / their for our, their in pairs)


def _per_second(port: int, path: str, token: str, requests: int) -> float:
    return load.run(port, path, token=token, connections=16, requests=requests).per_second


def _assert_same_rows(token: str) -> None:
    """Both tell the same facts, whatever the spelling of a number."""
    client = Client(headers={"Authorization": f"Bearer {token}"})
    ours, stock = (json.loads(client.get(path).content)["results"] for path in (OURS, STOCK))
    assert len(ours) == ROWS
    assert [row["id"] for row in ours] == [row["id"] for row in stock]
    assert set(ours[0]) == set(stock[0])
