"""Daily valuations as they are stored: extended, restated when late data arrives, and wanted."""

from datetime import UTC
from decimal import Decimal as D

import pytest

from exchanges.models import HistoricPrice, PriceNeed
from portfolios import derivation, valuations
from portfolios.models import (
    DailyValuation,
    Holding,
    HoldingChange,
    LedgerEntry,
    PortfolioSnapshot,
    PortfolioState,
)
from tests import factories
from tests.portfolios.bookings import book, buy, day, sell, transfer
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
    assert last.value == of_connection.value == D(home["total_value"])
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


def report(user, connected, units, at):
    """An exchange's report of bitcoin in one account."""
    asset = factories.asset("BTC")
    what = {"user": user, "connection": connected, "wallet": "spot", "asset": asset,
            "exchange_code": "BTC", "quantity": D(units)}  # fmt: skip
    with tenancy.as_user(user.id):
        Holding.objects.create(**what, changed_at=at, last_confirmed_at=at)
        HoldingChange.objects.create(**what, reported_at=at)


# --- from day to day ----------------------------------------------------------------------------
def test_a_day_that_has_ended_is_valued_for_everybody_who_is_behind(alice, bob, account, closes):
    closes(BTC=[100, 110, 120, 130, 140])
    book(alice, account, transfer("deposit", "1", day(0)))
    derive(alice, day(2))
    assert valuations.extend_due(now=day(4)) == 1
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
