"""1,000 sandbox accounts, nothing moved since: one worker process, the exchange in another."""

import gc
import statistics
import time

from django.conf import settings

from exchanges import credentials
from exchanges.models import ExchangeConnection
from exchanges.reports import Credential
from portfolios.models import SyncRun, SyncState, Trade
from portfolios.sync import dispatch, visiting
from tests import sandbox as sandboxes
from tests.benchmarks import rows
from tests.benchmarks.measure import Result, peak_memory
from tracker import clock, ids, tenancy

ACCOUNTS, ASSETS, TRADES = 1_000, 30, 500
IMPORTED = 20  # in full; the others' histories would take half an hour and are not read here
UNLIMITED = {"ip": 0, "sapi": 0, "uid": 0, "futures": 0, "coin-futures": 0}


def measure() -> list[Result]:
    rows.clear()
    config = {"accounts": ACCOUNTS, "assets": ASSETS, "trades": TRADES, "weight_limit": 0}
    with sandboxes.running(**config) as sandbox:
        settings.EXCHANGE_BASE_URLS = {"binance": sandbox.url}
        settings.EXCHANGE_BUDGETS = {"binance": UNLIMITED}
        connections = _connect(sandbox)
        first = _visit(connections[:IMPORTED], expect="complete")
        with tenancy.as_system("benchmark"):
            trades = Trade.objects.count()
        _import_balances_only(connections[IMPORTED:])
        rounds = [_visit(connections, expect="complete") for _ in range(3)]
        held = _memory_per_account(connections)
        assert sandbox.violations()["total"] == 0
    rate = ACCOUNTS / statistics.median(rounds)
    return [
        Result("incremental sync, accounts by one worker", rate, "accounts/s", "", None,
               "≥ 50", rate >= 50),
        Result("first import, accounts of 500 trades", IMPORTED / first, "accounts/s",
               f"{trades:,} trades", None, "(no target)", trades >= IMPORTED * TRADES),
        Result("memory per account held at once", held, "KB", "", None, "≤ 300", held <= 300),
    ]  # fmt: skip


def _connect(sandbox: sandboxes.Sandbox) -> list[ExchangeConnection]:
    now = clock.now()
    users = rows.people(ACCOUNTS)
    connections = rows.connections_of(users, now)
    for number, connection in enumerate(connections):
        with tenancy.as_user(connection.user_id):
            credentials.store(
                user_id=connection.user_id, connection_id=connection.id,
                credential=Credential(**sandbox.key(number)),
            )  # fmt: skip
    with tenancy.as_system("benchmark"):
        ExchangeConnection.objects.update(next_sync_at=now, last_synced_at=None)
    return connections


def _import_balances_only(connections: list[ExchangeConnection]) -> None:
    """As after a first import, but for the facts: incremental visits do not read them."""
    now = clock.now()
    for start in range(0, len(connections), dispatch.BATCH):
        keys = [row.id for row in connections[start : start + dispatch.BATCH]]
        claims, visits = visiting._claim("binance", keys, ids.new_id(), now)
        visiting._show_balances_first(claims, visits)
    with tenancy.as_system("benchmark"):
        SyncRun.objects.filter(state=SyncState.RUNNING).update(
            state=SyncState.COMPLETE, finished_at=now
        )
        ExchangeConnection.objects.filter(last_full_at=None).update(
            state="ok", last_full_at=now, last_synced_at=now, claimed_by=None, lease_until=None
        )


def _visit(connections: list[ExchangeConnection], *, expect: str) -> float:
    """One round over everybody, in the batches that the dispatcher makes."""
    _make_due()
    started = time.perf_counter()
    for start in range(0, len(connections), dispatch.BATCH):
        batch = connections[start : start + dispatch.BATCH]
        ended = visiting.visit_batch(
            exchange="binance", connection_ids=[row.id for row in batch], now=clock.now()
        )
        assert ended == {expect: len(batch)}, ended
    return time.perf_counter() - started


def _make_due() -> None:
    with tenancy.as_system("benchmark"):
        ExchangeConnection.objects.update(next_sync_at=clock.now())


def _memory_per_account(connections: list[ExchangeConnection]) -> float:
    """How far the peak grows when all are visited at once instead of fifty at a time, in KB."""
    _make_due()
    gc.collect()
    before = peak_memory()
    settings.SYNC_CONCURRENCY = len(connections)
    visiting.visit_batch(
        exchange="binance", connection_ids=[row.id for row in connections], now=clock.now()
    )
    return (peak_memory() - before) / 1024 / len(connections)
