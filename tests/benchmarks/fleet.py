"""Many accounts at a sandbox exchange, and real workers that visit them from the queue."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from rich.progress import track

from accounts.models import User
from billing.models import BillingAccount
from exchanges import credentials
from exchanges.models import ExchangeConnection
from exchanges.reports import Credential
from portfolios.models import SyncRun, SyncState
from portfolios.sync import dispatch, recording, visiting
from tests import sandbox as sandboxes
from tests.benchmarks import rows
from tests.servers import PROJECT
from tracker import clock, ids, tenancy

BATCH = 200
STARTED_SECONDS, FINISHED_SECONDS = 120, 900


def connect(sandbox: sandboxes.Sandbox, count: int) -> list[ExchangeConnection]:
    """``count`` people, each with an account whose balances are recorded and nothing else due."""
    now = clock.now()
    users = rows.people(count)
    connections = rows.connections_of(users, now)
    for number, connection in enumerate(track(connections, "keys", transient=True)):
        with tenancy.as_user(connection.user_id):
            credentials.store(
                user_id=connection.user_id, connection_id=connection.id,
                credential=Credential(**sandbox.key(number)),
            )  # fmt: skip
    _record_balances(connections)
    return connections


def _record_balances(connections: list[ExchangeConnection]) -> None:
    now = clock.now()
    with tenancy.as_system("benchmark"):
        ExchangeConnection.objects.update(next_sync_at=now)
    for start in track(range(0, len(connections), BATCH), "balances", transient=True):
        keys = [row.id for row in connections[start : start + BATCH]]
        claims, visits = visiting._claim("binance", keys, ids.new_id(), now)
        for report in visiting._ask([_of_balances(visit) for visit in visits]):
            recording.record_balances(claim=claims[report.connection_id], report=report)  # type: ignore[union-attr]
    with tenancy.as_system("benchmark"):
        SyncRun.objects.update(state=SyncState.COMPLETE, finished_at=now)
        ExchangeConnection.objects.update(
            state="ok", last_full_at=now, last_synced_at=now, claimed_by=None, lease_until=None,
            next_sync_at=None,
        )  # fmt: skip
        BillingAccount.objects.bulk_create(
            [BillingAccount(user_id=key, tier="pro") for key in
             User.objects.values_list("id", flat=True)], ignore_conflicts=True,
        )  # fmt: skip


def _of_balances(visit: Any) -> Any:
    from dataclasses import replace

    return replace(visit, history=False)


@contextmanager
def workers(
    sandbox: sandboxes.Sandbox, *, processes: int, budgets: dict[str, Any], app: str = "tracker"
) -> Iterator[None]:
    """Celery workers on the benchmark's own servers, ready to work."""
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings",
        "EXCHANGE_BASE_URLS": json.dumps({"binance": sandbox.url}),
        "EXCHANGE_BUDGETS": json.dumps(budgets),
    }
    command = [
        sys.executable, "-m", "celery", "-A", app, "worker", "-Q", "sync,imports",
        "-c", str(processes), "--without-gossip", "--without-mingle", "-l", "ERROR",
    ]  # fmt: skip
    log = (Path(settings.BASE_DIR) / "var" / "bench" / "workers.log").open("ab")
    process = subprocess.Popen(command, cwd=PROJECT, env=env, stdout=log, stderr=log)
    try:
        _warm_up(processes)
        yield
    finally:
        process.terminate()
        process.wait(60)
        log.close()


def _warm_up(processes: int) -> None:
    """Every process has imported ccxt and loaded the markets: each visits a few accounts."""
    with tenancy.as_system("benchmark"):
        some = list(ExchangeConnection.objects.order_by("id")[: processes * 4])
    keys = [row.id for row in some]
    _make_due(keys)
    for row in some:
        dispatch.enqueue("binance", [row.id])
    _await_visited(keys, seconds=STARTED_SECONDS)


def round_of(keys: list[Any]) -> float:
    """Seconds until all these accounts were visited, dispatched as beat does."""
    _make_due(keys)
    began = time.perf_counter()
    assert dispatch.dispatch_due(now=clock.now()) <= 5_000
    _await_visited(keys, seconds=FINISHED_SECONDS)
    return time.perf_counter() - began


def _make_due(keys: list[Any]) -> None:
    with tenancy.as_system("benchmark"):
        ExchangeConnection.objects.filter(id__in=keys).update(
            next_sync_at=clock.now(), last_synced_at=None
        )


def _await_visited(keys: list[Any], *, seconds: float) -> None:
    deadline = time.perf_counter() + seconds
    while left := left_of(keys):
        assert time.perf_counter() < deadline, f"{left} accounts were not visited"
        dispatch.dispatch_due(now=clock.now())
        time.sleep(0.25)


def left_of(keys: list[Any]) -> int:
    """How many of these accounts have not been visited yet."""
    with tenancy.as_system("benchmark"):
        return ExchangeConnection.objects.filter(id__in=keys, last_synced_at=None).count()


def keep_due(connections: list[ExchangeConnection]) -> None:
    """Every account is due again as soon as it was visited."""
    with tenancy.as_system("benchmark"):
        now = clock.now()
        ExchangeConnection.objects.filter(
            id__in=[row.id for row in connections], claimed_by=None,
            next_sync_at__gt=now + timedelta(seconds=60),
        ).update(next_sync_at=now)  # fmt: skip
    dispatch.dispatch_due(now=clock.now())
