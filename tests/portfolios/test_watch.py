"""What a sync brings in, against the person's own habits: an emptied account is noticed, and an
imported history is not."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from audit import log
from audit.actions import Action
from audit.detectors.findings import Kind
from audit.models import SecurityAlert
from exchanges import credentials
from exchanges.models import ExchangeConnection, Price
from exchanges.reports import Credential
from portfolios.models import Holding, LedgerEntry, Reward, Transfer
from portfolios.sync import watch
from tests import factories
from tracker import clock, tenancy


@pytest.fixture
def alice(transactional_db):
    return factories.person("alice@example.com")


@pytest.fixture
def account(alice):
    """Connected 60 days ago, worth 10,000 dollars, a trade of 300 every other day."""
    connected = factories.connection(alice)
    for code, usd in (("BTC", 50_000), ("USDT", 1), ("ETH", 2_500)):
        Price.objects.create(
            asset=factories.asset(code), usd=Decimal(usd), source="test", as_of=clock.now()
        )
    with tenancy.as_user(alice.id):
        ExchangeConnection.objects.filter(id=connected.id).update(
            created_at=clock.now() - timedelta(days=60)
        )
        Holding.objects.create(
            user=alice, connection=connected, wallet="spot", asset=factories.asset("BTC"),
            exchange_code="BTC", quantity=Decimal("0.2"), changed_at=clock.now(),
            last_confirmed_at=clock.now(),
        )  # fmt: skip
        LedgerEntry.objects.create(
            user=alice, connection=connected, wallet="spot", asset=factories.asset("BTC"),
            kind="adjustment", quantity=Decimal(1), leg=0,
            occurred_at=clock.now() - timedelta(days=59), reward=rewarded(connected),
        )  # fmt: skip
    for day in range(3, 60, 2):
        traded(connected, 300, day=day, number=day, recorded=clock.now() - timedelta(days=day))
    return connected


def traded(
    connected: Any, usd: int, *, day: float = 0.01, number: int = 1000, code: str = "BTC",
    recorded: datetime | None = None, **given: Any,
) -> None:  # fmt: skip
    row = factories.trade(
        connected.user, connected, number=number, order_id=str(number),
        base_asset=factories.asset(code), quote_asset=factories.asset("USDT"),
        quote_quantity=Decimal(usd), occurred_at=clock.now() - timedelta(days=day),
        recorded_at=recorded or clock.now(), **given,
    )  # fmt: skip
    with tenancy.as_user(connected.user_id):
        row.save(force_insert=True)


def rewarded(connected: Any) -> Reward:
    return Reward.objects.create(
        user=connected.user, connection=connected, feed="rewards", exchange_id="1",
        kind="interest", asset=factories.asset("BTC"), quantity=Decimal(1), wallet="spot",
        occurred_at=clock.now() - timedelta(days=59),
    )  # fmt: skip


def withdrawn(connected: Any, btc: str, *, to: str = "bc1thief", day: float = 0.01) -> None:
    with tenancy.as_user(connected.user_id):
        Transfer.objects.create(
            user=connected.user, connection=connected, feed="withdrawals",
            exchange_id=f"{to}{day}", direction="withdrawal", asset=factories.asset("BTC"),
            quantity=Decimal(btc), wallet="spot", address=to,
            occurred_at=clock.now() - timedelta(days=day),
            recorded_at=clock.now() - timedelta(days=day - 0.01 if day > 1 else 0),
        )  # fmt: skip


def synced(connected: Any) -> list[SecurityAlert]:
    """A sync that found something has ended; the alerts so far."""
    with tenancy.as_user(connected.user_id):
        log.record(
            Action.SYNC_FINISHED, user_id=connected.user_id, connection_id=str(connected.id),
            new_trades=1, new_transfers=0,
        )  # fmt: skip
    with tenancy.as_system("test"):
        return list(SecurityAlert.objects.order_by("id"))


def test_an_ordinary_day_raises_nothing(account):
    traded(account, 600)
    withdrawn(account, "0.02")
    assert synced(account) == []


def test_an_account_that_is_emptied_is_noticed(account):
    withdrawn(account, "0.3")
    (alert,) = synced(account)
    assert (alert.kind, alert.severity) == (Kind.UNEXPECTED_WITHDRAWAL, "high")
    assert alert.evidence["addresses"] == ["bc1thief"]
    assert alert.evidence["withdrawn_usd"] == "15000.00"
    assert len(synced(account)) == 1  # again, by the sweeper


def test_the_same_to_a_wallet_that_was_used_before_is_not(account):
    withdrawn(account, "0.01", to="bc1mine", day=40)
    withdrawn(account, "0.3", to="bc1mine")
    assert synced(account) == []


def test_many_orders_at_once_are_noticed(account):
    for number in range(45):
        traded(account, 10, number=2000 + number)
    (alert,) = synced(account)
    assert (alert.kind, alert.evidence["signs"]) == (Kind.UNUSUAL_TRADING, ["frequency"])


def test_one_order_filled_in_many_parts_is_one_order(account):
    for number in range(60):
        row = factories.trade(
            account.user, account, number=3000 + number, order_id="one",
            quote_quantity=Decimal(10), occurred_at=clock.now() - timedelta(hours=1),
        )  # fmt: skip
        with tenancy.as_user(account.user_id):
            row.save(force_insert=True)
    assert synced(account) == []


def test_much_of_it_in_an_unknown_coin_is_noticed(account):
    with tenancy.as_user(account.user_id):
        Holding.objects.update(quantity=Decimal("0.04"))  # 2,000 dollars are left
    traded(account, 8_000, code="SCAM")
    (alert,) = synced(account)
    assert alert.evidence["signs"] == ["asset"]
    assert alert.evidence["asset_detail"] == "SCAM"


def test_all_of_it_sold_and_spent_again_is_noticed(account):
    traded(account, 10_000, number=1, side="sell")
    traded(account, 9_900, number=2, day=0.005)
    assert [alert.evidence["signs"] for alert in synced(account)] == [["size"]]


def test_a_history_that_is_imported_raises_nothing(account):
    """Recorded now, but it happened before the account was connected."""
    with tenancy.as_user(account.user_id):
        ExchangeConnection.objects.filter(id=account.id).update(created_at=clock.now())
    withdrawn(account, "0.3", day=0.5)
    for number in range(100):
        traded(account, 5_000, number=4000 + number, day=0.5)
    assert synced(account) == []


def test_a_new_account_without_habits_raises_nothing(alice, account):
    young = factories.connection(alice, label="young")
    traded(young, 100_000, code="SCAM")
    assert synced(young) == []


def test_a_sync_without_trades_reads_nothing(account, django_assert_num_queries):
    happening = log.Happening(
        Action.SYNC_FINISHED, account.user_id,
        {"connection_id": str(account.id), "new_trades": 0, "new_transfers": 0},
    )  # fmt: skip
    with django_assert_num_queries(0):
        watch.after_sync(happening)


# --- keys ---------------------------------------------------------------------------------------
def test_a_key_that_may_withdraw_since_yesterday_stops_the_connection_and_raises_an_alert(
    alice, connect, visit, sandbox
):
    """S27: the exchange is asked again with the full visit of each day."""
    connection = connect(alice, 3)
    assert visit(connection) == {"complete": 1}
    with tenancy.as_user(alice.id):
        stronger = Credential(**sandbox.key(3, "withdraw"))
        credentials.store(user_id=alice.id, connection_id=connection.id, credential=stronger)
    assert visit(connection) == {"complete": 1}  # not asked at every visit
    assert visit(connection, now=clock.now() + timedelta(days=2)) == {"failed": 1}
    with tenancy.as_user(alice.id):
        row = ExchangeConnection.objects.get(id=connection.id)
        (alert,) = SecurityAlert.objects.all()
    assert (row.state, row.privileges) == ("needs_new_key", "withdraw")
    assert (alert.kind, alert.severity) == (Kind.EXCHANGE_KEY_CHANGED, "critical")


def test_a_restriction_to_addresses_that_is_lifted_raises_an_alert(alice, connect, visit):
    connection = connect(alice, 3)
    visit(connection)
    with tenancy.as_user(alice.id):
        rows = ExchangeConnection.objects.filter(id=connection.id)
        assert rows.get().address_restricted is False  # as the sandbox says
        rows.update(address_restricted=True)
    visit(connection, now=clock.now() + timedelta(days=2))
    with tenancy.as_user(alice.id):
        (alert,) = SecurityAlert.objects.all()
    assert (alert.kind, alert.severity) == (Kind.EXCHANGE_KEY_CHANGED, "high")
    assert alert.evidence["address_restriction_removed"] is True


def test_a_key_that_stays_the_same_raises_nothing(alice, connect, visit):
    connection = connect(alice, 3)
    visit(connection)
    visit(connection, now=clock.now() + timedelta(days=2))
    with tenancy.as_user(alice.id):
        assert not SecurityAlert.objects.exists()
