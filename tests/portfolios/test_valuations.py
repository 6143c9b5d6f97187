"""Daily valuations as they are stored: extended, restated when late data arrives, and wanted."""

from dataclasses import replace
from datetime import UTC
from decimal import Decimal as D

import pytest
from django.db import connection
from django.db.models import Sum

from accounts.models import User
from exchanges.models import HistoricPrice, NeedState, PriceNeed
from portfolios import derivation
from portfolios.ledger import accounts_by_hand, books
from portfolios.ledger.legs import Adjustment
from portfolios.models import (
    DailyValuation,
    Holding,
    HoldingChange,
    LedgerEntry,
    PortfolioSnapshot,
    PortfolioState,
    Transfer,
    TransferNote,
)
from portfolios.reconciling import problems
from portfolios.returns import valuations
from tests import factories
from tests.portfolios.bookings import book, buy, day, reward, sell, transfer
from tracker import clock, tenancy


@pytest.fixture
def account(alice):
    return factories.connection(alice, label="first")


@pytest.fixture
def closes(db):
    """`closes(BTC=[100, 110])`: closes in dollars of the first days; None is a hole."""

    def closes(**series):
        for code, prices in series.items():
            rows = [
                HistoricPrice(asset=factories.asset(code), interval="1d", usd=D(price),
                              source="test", at=day(number).replace(hour=0))
                for number, price in enumerate(prices)
                if price is not None
            ]  # fmt: skip
            HistoricPrice.objects.bulk_create(rows)

    return closes


def derive(user, now):
    assert derivation.derive(user_id=user.id, now=now)


def rows_of(user, scope_id=None):
    with tenancy.as_user(user.id):
        found = DailyValuation.objects.filter(user=user, scope_id=scope_id or user.id)
        return {(row.day - day(0).date()).days: row for row in found.order_by("day")}


def values(user, scope_id=None):
    return {number: row.value for number, row in rows_of(user, scope_id).items()}


# --- what comes out -----------------------------------------------------------------------------
def test_the_last_day_is_worth_what_the_home_screen_shows(alice, connect, visit, priced, client_of):
    connection = connect(alice, 3)
    assert visit(connection) == {"complete": 1}
    derive(alice, clock.now())
    home = client_of(alice).get("/portfolio").json()
    with tenancy.as_user(alice.id):
        last = DailyValuation.objects.filter(user=alice, scope_id=alice.id).latest("day")
        entries = LedgerEntry.objects.filter(user=alice).earliest("occurred_at")
        first = DailyValuation.objects.filter(user=alice, scope_id=alice.id).earliest("day")
        of_connection = DailyValuation.objects.get(user=alice, scope_id=connection.id, day=last.day)
    # each asset of an account is rounded to eight decimals before they are added up
    assert last.value == of_connection.value
    assert abs(last.value - D(home["total_value"])) < D("1e-6")
    assert first.day == entries.occurred_at.astimezone(UTC).date()


def test_every_day_from_the_first_entry_to_today_has_a_value(alice, account, closes):
    closes(BTC=[100, 110, 120, 130])
    book(alice, account, transfer("deposit", "1000", day(0), "USD"), buy("2", "200", day(1)))
    derive(alice, day(3))
    assert list(rows_of(alice)) == [0, 1, 2, 3]
    assert values(alice) == {0: 1000, 1: 1020, 2: 1040, 3: 1060}
    assert values(alice, factories.asset("BTC").id) == {1: 220, 2: 240, 3: 260}
    assert rows_of(alice)[3].cost == 1000  # 800 dollars and 200 for the coins
    with tenancy.as_user(alice.id):
        assert PortfolioState.objects.get(user=alice).valued_through == day(2).date()


def test_a_hole_in_the_prices_is_carried_and_said_and_the_price_is_wanted(alice, account, closes):
    closes(BTC=[100, None, 120, 130])
    book(alice, account, transfer("deposit", "1", day(0)))
    derive(alice, day(4))
    rows = rows_of(alice)
    assert [rows[number].value for number in range(4)] == [100, 100, 120, 130]
    assert [rows[number].is_partial for number in range(4)] == [False, True, False, False]
    hole = day(1).replace(hour=0)
    wanted = PriceNeed.objects.filter(asset=factories.asset("BTC"), interval="1d")
    assert wanted.filter(since__lte=hole, until__gt=hole).exists()
    with tenancy.as_user(alice.id):
        assert PortfolioState.objects.get(user=alice).waits_for_prices


def test_what_nobody_explains_is_there_from_the_beginning_and_no_return(alice, account, closes):
    closes(BTC=[100, 110, 121])
    book(alice, account, transfer("deposit", "1", day(0)))
    report(alice, account, "3", day(1))
    derive(alice, day(2))
    row = rows_of(alice)[0]
    assert (row.value, row.deposits, row.corrections) == (300, 100, 200)
    assert [rows_of(alice)[number].growth for number in (1, 2)] == pytest.approx([1.1, 1.1])


def test_what_an_exchange_corrects_itself_is_no_income_and_no_fee(alice, account, closes):
    closes(BTC=[100] * 4)
    corrected = replace(reward("0.5", day(1)), kind="adjustment")
    taken = replace(reward("-0.2", day(2)), kind="adjustment")
    book(alice, account, transfer("deposit", "1", day(0)), corrected, taken)
    derive(alice, day(3))
    rows = rows_of(alice)
    assert [rows[number].corrections for number in range(4)] == [0, 50, -20, 0]
    assert all(row.income == row.fees == 0 for row in rows.values())
    assert [rows[number].growth for number in (1, 2, 3)] == [1.0, 1.0, 1.0]


def test_stolen_coins_are_a_loss_and_no_withdrawal(alice, account, closes):
    closes(BTC=[100] * 4)
    stolen = transfer("withdrawal", "1", day(1))
    book(alice, account, transfer("deposit", "4", day(0)), stolen)
    with tenancy.as_user(alice.id):
        row = Transfer.objects.get(user=alice, exchange_id=stolen.exchange_id)
        TransferNote.objects.create(user=alice, transfer=row, meaning="lost")
    gone = Adjustment(
        feed="entries", exchange_id="gone", reason="lost", code="BTC", quantity=D(-1),
        cost_code=None, cost_quantity=None, note="", wallet="spot", occurred_at=day(2),
    )  # fmt: skip
    book(alice, account, gone)
    derive(alice, day(3))
    rows = rows_of(alice)
    assert [rows[number].value for number in range(4)] == [400, 300, 200, 200]
    assert [rows[number].fees for number in range(4)] == [0, 100, 100, 0]
    assert all(row.withdrawals == row.corrections == 0 for row in rows.values())
    assert rows[2].growth == pytest.approx(2 / 3)


def test_wallets_kept_by_hand_are_worth_what_they_hold(alice, closes):
    closes(BTC=[100] * 4)
    account = accounts_by_hand.open_account(user_id=alice.id, label="paper", now=day(0))
    came = replace(transfer("deposit", "10", day(0)), wallet="earn")
    book(alice, account, came, transfer("withdrawal", "5", day(1)))
    asset = factories.asset("BTC")
    with tenancy.as_user(alice.id):
        accounts_by_hand.follow_ledger(account=account, asset_ids=[asset.id], now=day(3))
        held = Holding.objects.filter(user=alice).aggregate(units=Sum("quantity"))["units"]
    derive(alice, day(3))
    assert values(alice)[3] == held * 100 == 1000


def report(user, connected, units, at):
    """An exchange's report of bitcoin in one account."""
    asset = factories.asset("BTC")
    what = {"user": user, "connection": connected, "wallet": "spot", "asset": asset,
            "exchange_code": "BTC", "quantity": D(units)}  # fmt: skip
    with tenancy.as_user(user.id):
        Holding.objects.create(**what, changed_at=at, last_confirmed_at=at)
        HoldingChange.objects.create(**what, reported_at=at)


def test_what_was_asked_for_and_is_nowhere_is_waited_for_no_longer(alice, account, closes):
    closes(BTC=[100] * 4)
    book(alice, account, transfer("deposit", "1", day(0)), reward("5", day(1), "COIN"))
    derive(alice, day(3))
    assert waits(alice)
    PriceNeed.objects.update(state=NeedState.NOWHERE, next_try_at=day(100))
    derivation.prices_arrived(assets=[factories.asset("COIN").id], now=day(3))
    derive(alice, day(3))
    assert not waits(alice)
    with tenancy.as_user(alice.id):
        found = problems.inbox(user_id=alice.id, now=day(3))["results"]
    kinds = {problem["kind"] for problem in found}
    assert "unpriced_entries" in kinds
    assert "waiting_for_prices" not in kinds


def test_prices_of_a_market_that_was_found_late_are_counted_all_the_same(alice, account, closes):
    closes(BTC=[100] * 4)
    coin = factories.asset("COIN")
    book(alice, account, transfer("deposit", "1", day(0)), transfer("deposit", "5", day(1), "COIN"))
    derive(alice, day(3))
    PriceNeed.objects.update(state=NeedState.NOWHERE, next_try_at=day(100))
    derivation.prices_arrived(assets=[coin.id], now=day(3))
    derive(alice, day(3))
    assert not waits(alice)
    closes(COIN=[2, 2, 2, 2])
    assert derivation.prices_arrived(assets=[coin.id], now=day(3)) == 1
    derive(alice, day(3))
    assert values(alice) == {0: 100, 1: 110, 2: 110, 3: 110}


def test_who_has_nothing_any_more_waits_for_nothing(alice, account):
    book(alice, account, transfer("deposit", "1", day(0), "COIN"))
    derive(alice, day(2))
    assert waits(alice)
    with tenancy.as_user(alice.id):
        LedgerEntry.objects.filter(user=alice).delete()
        valuations.revalue(user_id=alice.id, since=None, now=day(2))
    assert not waits(alice)


def waits(user):
    with tenancy.as_user(user.id):
        return PortfolioState.objects.get(user=user).waits_for_prices


def test_hours_of_what_was_held_at_large_flows_alone_are_read(alice, account, closes, queried):
    closes(BTC=[100] * 12, ETH=[10] * 12, SOL=[1] * 12)
    held = [transfer("deposit", "10", day(0), code) for code in ("BTC", "ETH", "SOL")]
    small = [transfer("deposit", "0.01", day(1 + number / 4)) for number in range(40)]
    book(alice, account, *held, *small)
    pairs = queried(lambda: derive(alice, day(12)))
    assert len(pairs) == len(held) + len(small)  # of the entries themselves


@pytest.fixture
def queried():
    """`queried(work)`: the assets and hours whose prices the work looked for."""

    def asked(work):
        found = set()

        def noted(execute, sql, parameters, many, context):
            if "unnest" in sql and "interval = '1h'" in sql:
                found.update(zip(*parameters, strict=True))
            return execute(sql, parameters, many, context)

        with connection.execute_wrapper(noted):
            work()
        return found

    return asked


def test_a_day_with_a_large_flow_counts_the_stored_prices_of_its_hour(alice, account, closes):
    """Ten ether rose to 20 before the coins came, and stayed there: that is the day's return."""
    closes(BTC=[100] * 4, ETH=[10, 10, 10, 10])
    eth, btc = factories.asset("ETH"), factories.asset("BTC")
    HistoricPrice.objects.bulk_create(
        HistoricPrice(asset=asset, interval="1h", usd=usd, source="test", at=day(2))
        for asset, usd in ((eth, 20), (btc, 100))
    )
    book(alice, account, transfer("deposit", "10", day(0), "ETH"), transfer("deposit", "1", day(2)))
    derive(alice, day(3))
    # 100 became 200, then 100 came, and 300 became 200
    assert rows_of(alice)[2].growth == pytest.approx(2 * 2 / 3)


# --- from day to day ----------------------------------------------------------------------------
def test_a_day_that_has_ended_is_valued_for_everybody_who_is_behind(alice, bob, account, closes):
    closes(BTC=[100, 110, 120, 130, 140])
    book(alice, account, transfer("deposit", "1", day(0)))
    derive(alice, day(2))
    assert valuations.extend_due(now=day(4)) == 1
    assert valuations.extend_due(now=day(4)) == 0  # a worker has been told
    derive(alice, day(4))
    assert valuations.extend_due(now=day(4)) == 0
    assert values(alice) == {0: 100, 1: 110, 2: 120, 3: 130, 4: 140}
    assert all(row.restated_at is None for row in rows_of(alice).values())


def test_late_data_restates_the_days_from_then_on_and_says_when(alice, account, closes):
    closes(BTC=[100] * 10)
    book(alice, account, transfer("deposit", "1", day(0)))
    derive(alice, day(8))
    book(alice, account, transfer("deposit", "2", day(5)))
    derive(alice, day(9))
    rows = rows_of(alice)
    assert [rows[number].value for number in (4, 5, 8)] == [100, 300, 300]
    restated = {number for number, row in rows.items() if row.restated_at}
    assert restated == {5, 6, 7}
    assert rows[5].restated_at == day(9)


def test_prices_that_were_still_being_fetched_restate_nothing(alice, account, closes):
    book(alice, account, transfer("deposit", "1", day(0)), transfer("deposit", "5", day(1), "ETH"))
    closes(BTC=[100] * 9)
    derive(alice, day(8))
    assert rows_of(alice)[5].unpriced == 1
    closes(ETH=[10] * 9)
    derivation.prices_arrived(assets=[factories.asset("ETH").id], now=day(8))
    derive(alice, day(8))
    rows = rows_of(alice)
    assert [rows[number].value for number in (0, 5)] == [100, 150]
    assert all(row.restated_at is None for row in rows.values())


def test_another_base_currency_restates_nothing(alice, account, closes):
    closes(BTC=[100] * 9, EUR=[2] * 9)
    book(alice, account, transfer("deposit", "1", day(0)))
    derive(alice, day(8))
    with tenancy.as_user(alice.id):
        User.objects.filter(id=alice.id).update(base_currency="EUR")
        books.everything_changed(user_id=alice.id, now=day(8))
    derive(alice, day(8))
    assert values(alice)[5] == 50
    assert all(row.restated_at is None for row in rows_of(alice).values())


def test_a_snapshot_stays_as_it_was_shown(alice, account, closes):
    closes(BTC=[100] * 10)
    book(alice, account, transfer("deposit", "1", day(0)))
    derive(alice, day(8))
    shown = factories.snapshot(alice, day(5))
    book(alice, account, transfer("deposit", "2", day(1)))
    derive(alice, day(9))
    with tenancy.as_user(alice.id):
        assert PortfolioSnapshot.objects.get(id=shown).total_value == 1


def test_the_same_again_from_the_beginning_touches_nothing(alice, account, closes):
    closes(BTC=[100, 90, 120, 130])
    book(alice, account, buy("2", "200", day(0)), sell("1", "95", day(1)),
         transfer("withdrawal", "0.5", day(2)))  # fmt: skip
    derive(alice, day(4))
    with tenancy.as_user(alice.id):
        before = list(DailyValuation.objects.filter(user=alice).order_by("id").values())
        valuations.revalue(user_id=alice.id, since=day(-900).date(), now=day(4))
        again = list(DailyValuation.objects.filter(user=alice).order_by("id").values())
    assert before == again


def test_day_by_day_comes_to_the_same_as_all_at_once(alice, bob, account, closes):
    closes(BTC=[100 + number * 7 % 31 for number in range(12)])
    facts = [transfer("deposit", "1000", day(0), "USD"), buy("3", "320", day(1)),
             sell("1", "120", day(4.6)), transfer("withdrawal", "1", day(7)),
             transfer("deposit", "2", day(9))]  # fmt: skip
    for number in range(11):
        due = [fact for fact in facts if day(number) <= fact.occurred_at < day(number + 1)]
        if due:
            book(alice, account, *due)
            derive(alice, day(number + 1))
        valuations.extend_due(now=day(number + 1))
        derive(alice, day(number + 1))
    other = factories.connection(bob, label="first")
    book(bob, other, *facts)
    derive(bob, day(11))
    assert told(alice) == told(bob)


def told(user):
    skipped = {"_state", "id", "user_id", "scope_id", "restated_at"}
    return [
        {name: value for name, value in row.__dict__.items() if name not in skipped}
        for row in rows_of(user).values()
    ]


def test_what_is_gone_from_the_ledger_is_gone_from_the_days(alice, account, closes):
    closes(BTC=[100] * 6)
    book(alice, account, transfer("deposit", "1", day(0)), transfer("deposit", "1", day(3)))
    derive(alice, day(5))
    with tenancy.as_user(alice.id):
        LedgerEntry.objects.filter(user=alice).delete()
        valuations.revalue(user_id=alice.id, since=day(0).date(), now=day(5))
        assert not DailyValuation.objects.filter(user=alice).exists()


def test_nobody_sees_the_days_of_another(alice, charlie, account, closes):
    closes(BTC=[100, 110])
    book(alice, account, transfer("deposit", "1", day(0)))
    derive(alice, day(1))
    assert rows_of(alice)
    with tenancy.as_user(charlie.id):
        assert not DailyValuation.objects.exists()


def test_prices_of_the_hour_are_wanted_for_what_was_held_at_a_large_flow(alice, account, closes):
    closes(BTC=[100] * 4, ETH=[10] * 4)
    book(alice, account, transfer("deposit", "10", day(0), "ETH"),
         transfer("deposit", "5", day(1)), transfer("deposit", "0.001", day(2)))  # fmt: skip
    derive(alice, day(3))
    eth = PriceNeed.objects.filter(asset=factories.asset("ETH"), interval="1h")
    assert {need.since for need in eth} >= {day(1)}
    assert day(2) not in {need.since for need in eth}
