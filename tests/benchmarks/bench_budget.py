"""Binance's real limits, four workers, ten minutes: how much of what is allowed is used.

``BUDGET_MINUTES`` shortens it. The sandbox counts weight by address and minute, and violations.
"""

import os
import time

from django.conf import settings

from tests import sandbox as sandboxes
from tests.benchmarks import fleet, rows
from tests.benchmarks.bench_sync import UNLIMITED
from tests.benchmarks.measure import Result

ACCOUNTS, ASSETS, WORKERS = 1_500, 30, 4
LIMIT = 6_000  # weight a minute and address
REAL = {"ip": LIMIT, "sapi": 12_000, "uid": 180_000}


def measure() -> list[Result]:
    minutes = int(os.environ.get("BUDGET_MINUTES") or 10)
    rows.clear()
    config = {"accounts": ACCOUNTS, "assets": ASSETS, "trades": 40, "weight_limit": LIMIT}
    with sandboxes.running(**config) as sandbox:
        settings.EXCHANGE_BASE_URLS = {"binance": sandbox.url}
        settings.EXCHANGE_BUDGETS = {"binance": UNLIMITED}
        sandbox.set_limits(weight=0)
        connections = fleet.connect(sandbox, ACCOUNTS)
        time.sleep(70)  # what was used without a limit does not count against it
        sandbox.set_limits(weight=LIMIT)
        with fleet.workers(
            sandbox,
            processes=WORKERS,
            budgets={"binance": REAL},
            app="tests.benchmarks.spot_worker",
        ):
            used = _used(sandbox, connections, minutes)
        violations = sandbox.violations()["total"]
    share = used / (LIMIT * minutes)
    return [
        Result("weight used of what Binance allows", share * 100, "%",
               f"{minutes} minutes, {WORKERS} workers", share, "≥ 95", share >= 0.95),
        Result("violations that the exchange counted", violations, "", "", None, "0",
               violations == 0),
    ]  # fmt: skip


def _used(sandbox: sandboxes.Sandbox, connections: list, minutes: int) -> float:
    """Weight that the exchange counted in whole minutes while everybody was always due."""
    _keep_busy(sandbox, connections, 60 * (minutes + 2) + 5)
    told = sandbox.limits(minutes=minutes + 2)["used"]
    (row,) = [
        row for pools in told.values() for row in pools.values() if row["limit_per_minute"] == LIMIT
    ]
    return sum(row["used_per_minute"][-(minutes + 1) : -1])  # without the one that runs


def _keep_busy(sandbox: sandboxes.Sandbox, connections: list, seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        fleet.keep_due(connections)
        time.sleep(min(1.0, max(until - time.perf_counter(), 0)))
