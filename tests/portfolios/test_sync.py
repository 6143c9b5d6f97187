"""A visit to an account, against the sandbox exchange: what it reports is what we hold."""

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal

import pytest

from accounts.models import DataKey
from audit.actions import Action
from audit.log import Happening
from exchanges.models import ConnectionState, Coverage, ExchangeConnection, QuarantinedPage
from portfolios.models import (
    Holding,
    HoldingChange,
    LedgerEntry,
    PortfolioState,
    Reward,
    SyncRun,
    Trade,
    Transfer,
)
from portfolios.sync import aside, dispatch, visiting
from tracker import clock, tenancy


def holdings(connection):
    with tenancy.as_user(connection.user_id):
        rows = Holding.objects.filter(connection=connection).exclude(quantity=0)
        return {(row.wallet, row.exchange_code): row.quantity for row in rows}


def ledger_sums(connection):
    sums = defaultdict(Decimal)
    with tenancy.as_user(connection.user_id):
        rows = LedgerEntry.objects.filter(connection=connection)
        for wallet, code, quantity in rows.values_list("wallet", "asset__code", "quantity"):
            sums[wallet, code] += quantity
    return {place: total for place, total in sums.items() if total}


def counts(connection):
    with tenancy.as_user(connection.user_id):
        return [
            model.objects.filter(connection=connection).count()
            for model in (Trade, Transfer, Reward, LedgerEntry, Holding, HoldingChange, Coverage)
        ]


def fresh(connection):
    with tenancy.as_user(connection.user_id):
        return ExchangeConnection.objects.get(id=connection.id)


def runs(connection):
    with tenancy.as_user(connection.user_id):
        return list(SyncRun.objects.filter(connection=connection).order_by("requested_at", "id"))


@pytest.mark.parametrize("account", [3, 4, 5])
def test_holdings_and_ledger_equal_the_books_to_the_last_digit(
    alice, connect, visit, sandbox, account
):
    connection = connect(alice, account)
    assert visit(connection) == {"complete": 1}
    assert holdings(connection) == sandbox.balances(account)
    assert ledger_sums(connection) == sandbox.ledger_sums(account) == sandbox.balances(account)


def test_every_trade_arrives_with_its_digits(alice, connect, visit, sandbox):
    connection = connect(alice, 3)
    visit(connection)
    with tenancy.as_user(alice.id):
        rows = Trade.objects.filter(connection=connection, kind="fill")
        ours = sorted(
            (row.side, row.base_quantity, row.price, row.fee_asset.code, row.fee_quantity)
            for row in rows.select_related("fee_asset")
        )
    theirs = sorted(
        (
            fact["side"],
            Decimal(fact["quantity"]),
            Decimal(fact["price"]),
            fact["commission_asset"],
            Decimal(fact["commission"]),
        )
        for fact in sandbox.books(3)["facts"]["trades"]
    )
    assert ours == theirs


def test_a_second_visit_changes_nothing(alice, connect, visit):
    """S40"""
    connection = connect(alice, 3)
    visit(connection)
    before = counts(connection), ledger_sums(connection)
    later = clock.now() + timedelta(days=2)
    assert visit(connection, now=later) == {"complete": 1}
    assert (counts(connection), ledger_sums(connection)) == before


def test_facts_read_again_from_the_beginning_change_nothing(alice, connect, visit):
    """S40: coverage lost, every page comes twice."""
    connection = connect(alice, 4)
    visit(connection)
    before = ledger_sums(connection), counts(connection)[:4]
    with tenancy.as_user(alice.id):
        Coverage.objects.filter(connection=connection).delete()
    visit(connection, now=clock.now() + timedelta(days=2))
    assert (ledger_sums(connection), counts(connection)[:4]) == before


def test_what_happened_since_is_picked_up_by_an_incremental_visit(alice, connect, visit, sandbox):
    connection = connect(alice, 6)
    visit(connection)
    asked_before = sandbox.stats()["requests"]
    assert visit(connection) == {"complete": 1}
    asked = sandbox.stats()["requests"]
    quiet = {path for path in asked if asked[path] > asked_before.get(path, 0)}
    assert "/api/v3/myTrades" not in quiet  # nothing moved, so nothing else was asked
    sandbox.add_fact(6, feed="deposits", asset="BTC", quantity="0.12345678")
    assert visit(connection) == {"complete": 1}
    assert holdings(connection) == sandbox.balances(6)
    assert ledger_sums(connection) == sandbox.ledger_sums(6)
    assert runs(connection)[-1].new_transfers == 1


def test_a_page_with_garbage_is_quarantined_and_the_rest_goes_on(alice, connect, visit, sandbox):
    """S39"""
    connection = connect(alice, 7)
    with sandbox.fault(path="/sapi/v1/capital/deposit/hisrec", kind="garbage"):
        assert visit(connection) == {"partial": 1}
    with tenancy.as_user(alice.id):
        page = QuarantinedPage.objects.filter(connection=connection).first()
    assert page is not None
    assert page.feed == "deposits"
    assert b"insertTime" not in bytes(page.payload)  # sealed
    assert holdings(connection) == sandbox.balances(7)
    assert counts(connection)[0] > 0
    assert fresh(connection).state == ConnectionState.PARTIAL


def test_a_wallet_that_fails_keeps_its_last_known_units(alice, connect, visit, sandbox):
    connection = connect(alice, 8)
    visit(connection)
    before = holdings(connection)
    assert any(wallet == "funding" for wallet, _ in before)
    fault = {"path": "/sapi/v1/asset/get-funding-asset", "kind": "status", "status": 500}
    with sandbox.fault(**fault):
        assert visit(connection) == {"partial": 1}
    assert holdings(connection) == before
    found = fresh(connection)
    assert (found.state, found.reason) == (ConnectionState.PARTIAL, "exchange_unreachable")
    assert runs(connection)[-1].problems[0]["scope"] == "funding"
    assert visit(connection) == {"complete": 1}
    assert fresh(connection).state == ConnectionState.OK


def test_an_exchange_that_is_down_leaves_everything_and_is_tried_again(
    alice, connect, visit, sandbox
):
    connection = connect(alice, 3)
    visit(connection)
    before = holdings(connection)
    with sandbox.fault(path="/api", kind="drop"), sandbox.fault(path="/sapi", kind="drop"):
        assert visit(connection) == {"failed": 1}
    found = fresh(connection)
    assert holdings(connection) == before
    assert found.next_sync_at > clock.now()
    assert found.claimed_by is None
    assert runs(connection)[-1].error.startswith("exchange_")


def test_a_key_that_no_longer_works_stops_the_syncing(alice, connect, visit, sandbox):
    connection = connect(alice, 3)
    body = '{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}'
    refused = {"kind": "status", "status": 401, "body": body}
    with sandbox.fault(path="/api/v3/account", **refused), sandbox.fault(path="/sapi", **refused):
        assert visit(connection) == {"failed": 1}
    found = fresh(connection)
    assert (found.state, found.next_sync_at) == (ConnectionState.NEEDS_NEW_KEY, None)
    assert visit(connection) == {}


def test_a_claimed_connection_is_not_visited_by_another_worker(alice, connect, visit):
    """S41"""
    connection = connect(alice, 3)
    now = clock.now()
    claims, _ = visiting._claim("binance", [connection.id], connection.id, now)
    assert list(claims) == [connection.id]
    assert visit(connection, now=now) == {}
    assert visit(connection, now=now + timedelta(seconds=31)) == {"complete": 1}


def test_a_report_of_a_lost_claim_is_not_recorded(alice, connect, visit, sandbox):
    """S41: the slow worker comes back after its lease went to another one."""
    from exchanges import gateway
    from portfolios.sync import recording

    connection = connect(alice, 3)
    now = clock.now()
    claims, visits = visiting._claim("binance", [connection.id], connection.id, now)
    (report,) = gateway.visit_accounts(visits)
    assert visit(connection, now=now + timedelta(seconds=31)) == {"complete": 1}
    before = counts(connection)
    late = recording.record(claim=claims[connection.id], report=report, now=clock.now())
    assert late is None
    assert counts(connection) == before


def test_due_connections_are_dispatched_once_and_again_when_the_message_was_lost(
    alice, bob, connect
):
    """S43, S44"""
    connect(alice, 3)
    connect(bob, 4)
    now = clock.now()
    assert dispatch.dispatch_due(now=now) == 2
    assert dispatch.dispatch_due(now=now) == 0
    assert dispatch.dispatch_due(now=now + timedelta(minutes=1)) == 2


def test_a_paused_connection_is_neither_dispatched_nor_visited(alice, connect, visit):
    from exchanges import connections

    connection = connect(alice, 3)
    connections.change(user_id=alice.id, connection_id=connection.id, paused=True, now=clock.now())
    assert dispatch.dispatch_due(now=clock.now() + timedelta(days=1)) == 0
    assert visit(connection) == {}
    connections.change(user_id=alice.id, connection_id=connection.id, paused=False, now=clock.now())
    assert visit(connection) == {"complete": 1}


def test_removing_a_connection_takes_everything_that_was_read_through_it(alice, connect, visit):
    from exchanges import connections

    connection = connect(alice, 3)
    visit(connection)
    assert all(counts(connection))
    connections.remove(user_id=alice.id, connection_id=connection.id)
    assert not any(counts(connection))


def test_each_part_runs_under_its_own_user(alice, bob, connect, visit, sandbox):
    """S20"""
    hers, his = connect(alice, 3), connect(bob, 4)
    assert visit(hers, his) == {"complete": 2}
    assert holdings(hers) == sandbox.balances(3)
    assert holdings(his) == sandbox.balances(4)
    with tenancy.as_user(alice.id):
        assert not Holding.objects.filter(connection_id=his.id).exists()
        assert PortfolioState.objects.count() == 1


def test_numbers_too_long_to_store_are_put_aside_and_said(alice, connect, visit, sandbox):
    """S39: thirty-one decimals cannot be kept exactly, so they are not kept at all."""
    connection = connect(alice, 9)
    body = (
        '{"balances":[{"asset":"BTC","free":"0.1234567890123456789012345678901","locked":"0"},'
        '{"asset":"ETH","free":"12345678901234567890.123456789012345678","locked":"0"}]}'
    )
    with sandbox.fault(path="/api/v3/account", kind="status", status=200, body=body):
        assert visit(connection) == {"partial": 1}
    held = holdings(connection)
    assert held["spot", "ETH"] == Decimal("12345678901234567890.123456789012345678")
    assert ("spot", "BTC") not in held
    with tenancy.as_user(alice.id):
        reasons = set(QuarantinedPage.objects.values_list("reason", flat=True))
    assert "number_too_long" in reasons


def test_a_message_that_came_twice_is_one_visit(alice, connect):
    """S41: what was visited meanwhile is not due any more."""
    connection = connect(alice, 3)
    again = {"exchange": "binance", "connection_ids": [connection.id]}
    assert visiting.visit_batch(**again, now=clock.now()) == {"complete": 1}
    assert visiting.visit_batch(**again, now=clock.now()) == {}


def test_a_credential_whose_data_key_is_gone_asks_for_a_new_key(alice, connect, visit, client_of):
    connection = connect(alice, 3)
    with tenancy.as_user(alice.id):
        DataKey.objects.all().delete()
    answer = client_of(alice).post(f"/connections/{connection.id}/test")
    assert (answer.status_code, answer.json()["code"]) == (409, "exchange_credential_unreadable")
    assert visit(connection) == {"failed": 1}
    found = fresh(connection)
    assert (found.state, found.claimed_by) == (ConnectionState.NEEDS_NEW_KEY, None)


def test_the_first_retry_comes_soon_and_the_next_ones_later(alice, connect, visit, sandbox):
    """S41: most faults are over in seconds; one that lasts is not hammered."""
    connection, waits = connect(alice, 9), []
    with sandbox.fault(path="/", account=9, kind="status", status=502):
        for _ in range(4):
            assert visit(connection) == {"failed": 1}
            waits.append(round((fresh(connection).next_sync_at - clock.now()).total_seconds(), -1))
    assert waits == [30, 120, 120, 120]  # longer pauses are the circuit's


def test_a_visit_that_kills_its_workers_is_paused_and_its_run_closed(alice, connect, exchange):
    """S42: told by the act of the parking."""
    connection = connect(alice, 3)
    with tenancy.as_system("test"):
        ExchangeConnection.objects.filter(id=connection.id).update(
            claimed_by=connection.id, lease_until=clock.now()
        )
        SyncRun.objects.update(state="running")
    arguments = {"exchange": "binance", "connection_ids": [str(connection.id)]}
    aside.put_aside(Happening(
        Action.TASK_PARKED, None, {"task": dispatch.SYNC_TASK, "arguments": arguments, "deaths": 3}
    ))  # fmt: skip
    found = fresh(connection)
    assert (found.state, found.reason, found.next_sync_at) == ("paused", "sync_put_aside", None)
    assert found.claimed_by is None
    assert {(run.state, run.error) for run in runs(connection)} <= {("failed", "sync_put_aside")}


def test_what_a_dead_worker_held_is_dispatched_alone(alice, bob, connect, queued):
    """S42: one of a batch killed its worker, and nobody knows which."""
    held, free = [connect(alice, 3), connect(bob, 4)], [connect(alice, 5), connect(bob, 6)]
    now = clock.now()
    with tenancy.as_system("test"):
        ExchangeConnection.objects.update(next_sync_at=now)
        ExchangeConnection.objects.filter(id__in=[row.id for row in held]).update(
            claimed_by=alice.id, lease_until=now - timedelta(seconds=1)
        )
    before = len(queued(dispatch.IMPORTS))
    assert dispatch.dispatch_due(now=now) == 4
    batches = [set(told["connection_ids"]) for _, told in queued(dispatch.IMPORTS)[before:]]
    alone = [{str(row.id)} for row in held]
    assert sorted(batches, key=len)[:2] in (alone, alone[::-1])
    assert {str(row.id) for row in free} in batches
