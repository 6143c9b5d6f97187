"""A first import may take many minutes: it is read in slices, after balances, and never in the way
of anybody's update."""

from datetime import timedelta

import pytest
from django.db import connection as database

from exchanges.models import ConnectionState, ExchangeConnection
from portfolios import tasks
from portfolios.models import Holding, SyncRun, Trade
from portfolios.sync import dispatch, visiting
from tests import broker
from tests.portfolios.test_sync import fresh, holdings, ledger_sums, runs
from tracker import clock, tenancy

MOST_SLICES = 60


@pytest.fixture
def in_slices(settings):
    settings.SYNC_DEADLINE_SECONDS = 1


def read_on(connection):
    """One more slice, as the queue of imports would bring it."""
    return visiting.visit_batch(
        exchange="binance", connection_ids=[connection.id], now=clock.now()
    )  # fmt: skip


def test_a_history_too_long_for_one_visit_goes_on_where_it_was(alice, connect, sandbox, in_slices):
    """S41"""
    connection = connect(alice, 3)
    with sandbox.fault(path="/sapi", kind="delay", seconds=0.02):
        assert read_on(connection) == {"queued": 1}
        found = fresh(connection)
        assert found.state == ConnectionState.PENDING
        assert found.next_sync_at <= clock.now()
        for _ in range(MOST_SLICES):
            if (ended := read_on(connection)) != {"queued": 1}:
                break
    assert ended == {"complete": 1}
    assert ledger_sums(connection) == sandbox.ledger_sums(3) == holdings(connection)
    (run,) = runs(connection)
    assert (run.state, run.phase, run.calls_left) == ("complete", "", None)
    assert run.visits > 1
    assert fresh(connection).state == ConnectionState.OK


def test_a_run_tells_how_far_it_is_while_it_waits_for_the_exchange(
    alice, connect, client_of, settings
):
    # Withdrawals cost 18,000 each: two a minute, and forty of them are wanted.
    settings.EXCHANGE_BUDGETS = {"binance": {"ip": 0, "sapi": 0, "uid": 40_000}}
    connection = connect(alice, 3)
    assert read_on(connection) == {"queued": 1}
    (run,) = client_of(alice).get(f"/connections/{connection.id}/sync-runs").json()["results"]
    assert (run["state"], run["visits"], run["finished_at"]) == ("queued", 1, None)
    assert run["phase"] == "trades"
    assert run["calls_done"] > 100
    assert run["calls_left"] >= 0
    found = fresh(connection)
    assert found.state == ConnectionState.PENDING
    assert found.next_sync_at > clock.now()


def test_a_slice_that_gets_no_further_is_a_failure_and_not_begun_for_ever(
    alice, connect, sandbox, settings
):
    connection = connect(alice, 3)
    settings.SYNC_DEADLINE_SECONDS = 1
    with sandbox.fault(path="/sapi/v1/capital", kind="hang"):
        for _ in range(MOST_SLICES):
            if (ended := read_on(connection)) != {"queued": 1}:
                break
    assert ended == {"partial": 1}


def test_balances_are_shown_before_the_history_is_even_queued(alice, connect, sandbox):
    connection = connect(alice, 3)
    dispatch.enqueue("binance", [connection.id])
    assert broker.work_off(tasks.sync_batch, dispatch.UPDATES) == 1
    assert holdings(connection) == sandbox.balances(3)
    with tenancy.as_user(alice.id):
        assert not Trade.objects.exists()
    assert fresh(connection).state == ConnectionState.PENDING
    assert broker.work_off(tasks.sync_batch, dispatch.IMPORTS) == 1
    assert ledger_sums(connection) == sandbox.ledger_sums(3)
    assert [run.state for run in runs(connection)] == ["complete"]


def test_first_imports_are_queued_apart_from_updates(alice, bob, connect, visit):
    new, known = connect(alice, 3), connect(bob, 4)
    visit(known)
    with tenancy.as_system("test"):
        ExchangeConnection.objects.update(next_sync_at=clock.now())
        SyncRun.objects.all().delete()
    assert dispatch.dispatch_due(now=clock.now()) == 2
    assert sent(dispatch.IMPORTS) == [[str(new.id)]]
    assert sent(dispatch.UPDATES) == [[str(known.id)]]


def test_an_account_that_cannot_be_asked_for_its_balances_is_asked_no_more(alice, connect, sandbox):
    connection = connect(alice, 3)
    refused = {"kind": "status", "status": 401, "body": {"code": -2015, "msg": "x"}}
    with sandbox.fault(path="/api/v3/account", **refused), sandbox.fault(path="/sapi", **refused):
        before = sandbox.stats()["requests"]
        assert read_on(connection) == {"failed": 1}
        asked = sum(sandbox.stats()["requests"].values()) - sum(before.values())
    assert asked < 5
    with tenancy.as_user(alice.id):
        assert not Holding.objects.exists()


def sent(queue):
    return [
        told["connection_ids"] for name, told in broker.waiting(queue) if name == dispatch.SYNC_TASK
    ]


# --- an exchange that answers nobody ------------------------------------------------------------
def test_an_exchange_that_answers_nobody_is_asked_by_one_account_only(
    alice, bob, charlie, connect, visit, sandbox
):
    found = [connect(person, number) for number, person in enumerate((alice, bob, charlie))]
    with sandbox.fault(path="/", kind="status", status=502):
        assert visit(*found) == {"failed": 3}
        later = clock.now() + timedelta(minutes=5)
        make_due(later)
        assert dispatch.dispatch_due(now=clock.now()) == 0
        assert dispatch.dispatch_due(now=later) == 1
        make_due(later)
        assert dispatch.dispatch_due(now=later) == 0
    make_due(clock.now())
    assert visit(found[0]) == {"complete": 1}
    make_due(later)
    assert dispatch.dispatch_due(now=later) == 3


def test_one_account_tries_also_where_the_planner_asks_row_by_row(
    alice, bob, charlie, connect, visit, sandbox
):
    found = [connect(person, number) for number, person in enumerate((alice, bob, charlie))]
    with sandbox.fault(path="/", kind="status", status=502):
        assert visit(*found) == {"failed": 3}
    later = clock.now() + timedelta(minutes=5)
    make_due(later)
    with database.cursor() as cursor:
        for way in ("hashjoin", "mergejoin", "hashagg", "sort", "material", "bitmapscan"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
    assert dispatch.dispatch_due(now=later) == 1


def make_due(at):
    with tenancy.as_system("test"):
        ExchangeConnection.objects.update(next_sync_at=at)
