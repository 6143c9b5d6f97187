"""Daily valuations as pure arithmetic: parts add up, flows are no return, nothing is made up."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolios.returns import daily, day_rows, positions
from portfolios.returns.day_prices import Close
from portfolios.returns.day_rows import CostChange
from portfolios.returns.positions import Movement, Pair, Reported

ME, ONE, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)
USD, BTC, ETH, EUR = UUID(int=10), UUID(int=11), UUID(int=12), UUID(int=13)
START = date(2026, 1, 1)
DAYS = 12
PARTS = (
    "price_effect", "currency_effect", "deposits", "traded", "trade_effect", "income",
    "corrections",
)  # fmt: skip


def at(day, hour=12):
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day, hours=hour)


class Prices:
    """Closes by asset and number of day; the price at an instant is the day's close unless said."""

    def __init__(self, closes, instants=None, dollars=None):
        self.closes, self.instants, self.rate = closes, instants or {}, dollars or {}

    def close(self, asset, day):
        number = (day - START).days
        found = self.closes.get(asset, {})
        for back in range(8):
            if (price := found.get(number - back)) is not None:
                return Close(price, carried=back > 0)
        return None

    def at(self, asset, instant):
        if (asset, instant) in self.instants:
            return self.instants[asset, instant]
        close = self.close(asset, instant.date())
        return close.price if close else None

    def is_of_the_hour(self, asset, instant):
        return (asset, instant) in self.instants

    def dollars(self, day):
        return self.rate.get((day - START).days)


def valued(movements, prices, *, days=DAYS, **books):
    books = daily.Books(
        portfolio=ME, movements=sorted(movements, key=lambda item: item.at), base=USD, **books
    )
    until = START + timedelta(days=days - 1)
    return list(daily.valuations(books=books, prices=prices, since=START, until=until))


def scope(days, scope_id):
    return {
        (row.day - START).days: row for rows in days for row in rows if row.scope_id == scope_id
    }


def move(day, asset, quantity, part, value=None, *, account=ONE, hour=12):
    value = None if value is None else D(value)
    return Movement(at(day, hour), account, asset, D(quantity), part, value)


def bought(day, quantity, paid, *, asset=BTC, account=ONE, hour=12):
    return [
        move(day, asset, quantity, positions.TRADE, paid, account=account, hour=hour),
        move(day, USD, -D(paid), positions.TRADE, -D(paid), account=account, hour=hour),
    ]


def steady(**prices):
    return Prices(
        {asset: dict.fromkeys(range(-1, DAYS), D(price)) for asset, price in prices.items()}
    )


# --- examples -----------------------------------------------------------------------------------
def test_a_deposit_is_no_return_and_counts_at_its_own_instant():
    prices = Prices({BTC: {0: D(100), 1: D(110), 2: D(120)}}, {(BTC, at(1)): D(105)})
    moves = [move(0, BTC, 1, "deposit", 100), move(1, BTC, 1, "deposit", 105)]
    rows = scope(valued(moves, prices, days=3), ME)
    assert [rows[day].value for day in range(3)] == [100, 220, 240]
    assert [rows[day].deposits for day in range(3)] == [100, 105, 0]
    # 100 → 105 before the deposit, 210 → 220 after it
    assert rows[1].growth == pytest.approx(105 / 100 * 220 / 210)
    assert rows[1].price_effect == 15
    assert rows[2].growth == pytest.approx(240 / 220)


def test_a_trade_earns_from_its_own_price_to_the_close():
    prices = Prices({BTC: {0: D(100), 1: D(130)}})
    moves = [move(0, USD, 1000, "deposit", 1000, hour=1), *bought(0, 2, 180)]
    days = valued(moves, prices, days=2)
    first, second = scope(days, ME)[0], scope(days, ME)[1]
    assert (first.value, first.trade_effect, first.traded) == (1020, 20, 0)
    assert (second.value, second.price_effect) == (1080, 60)
    coin = scope(days, BTC)
    assert (coin[0].traded, coin[0].trade_effect) == (180, 20)
    assert coin[0].growth == pytest.approx(200 / 180)
    assert coin[1].growth == pytest.approx(1.3)


def test_a_fee_is_a_loss_and_income_is_a_gain_of_the_day():
    prices = steady()
    moves = [move(0, USD, 100, "deposit", 100), move(1, USD, -1, "fee", -1),
             move(2, USD, 3, "income", 3)]  # fmt: skip
    rows = scope(valued(moves, prices, days=3), ME)
    assert (rows[1].fees, rows[2].income) == (1, 3)
    assert (rows[1].growth, rows[2].growth) == pytest.approx((0.99, 102 / 99))


def test_a_move_between_own_accounts_is_a_flow_of_each_and_a_fee_of_all():
    prices = Prices({BTC: {0: D(100), 1: D(100), 2: D(150), 3: D(150)}})
    pair = Pair(at(1), D(2), at(3), D("1.9"), BTC, D(200), D(285))
    moves = [
        move(0, BTC, 2, "deposit", 200),
        move(1, BTC, -2, "paired", -200), move(3, BTC, "1.9", "paired", 285, account=OTHER),
        *positions.on_their_way(pair),
    ]  # fmt: skip
    days = valued(moves, prices, days=4)
    total, one, other = scope(days, ME), scope(days, ONE), scope(days, OTHER)
    assert [total[day].value for day in range(4)] == [200, 190, 285, 285]
    assert [total[day].fees for day in range(4)] == [0, 10, 0, 0]
    assert [total[day].withdrawals + total[day].deposits for day in (1, 2, 3)] == [0, 0, 0]
    assert total[2].growth == pytest.approx(1.5)
    assert (one[1].withdrawals, other[3].deposits) == (200, 285)
    assert scope(days, BTC)[2].growth == pytest.approx(1.5)


def test_a_portfolio_emptied_and_refilled_goes_on_where_it_stopped():
    prices = Prices({BTC: dict(enumerate(map(D, (100, 120, 120, 60, 90))))})
    moves = [move(0, BTC, 1, "deposit", 100), move(1, BTC, -1, "withdrawal", -120),
             move(3, BTC, 10, "deposit", 600)]  # fmt: skip
    rows = scope(valued(moves, prices, days=5), ME)
    assert [rows[day].value for day in range(5)] == [100, 0, 0, 600, 900]
    growth = [rows[day].growth for day in range(5)]
    assert growth[1] == pytest.approx(1.2)
    assert growth[2] is None
    assert growth[4] == pytest.approx(1.5)


def test_a_missing_close_is_carried_for_a_week_and_said_then_there_is_no_price():
    prices = Prices({BTC: {0: D(100)}})
    rows = scope(valued([move(0, BTC, 1, "deposit", 100)], prices), ME)
    assert [rows[day].value for day in (0, 7, 8)] == [100, 100, 0]
    assert [rows[day].is_partial for day in (0, 1, 8)] == [False, True, True]
    assert [rows[day].unpriced for day in (0, 7, 8)] == [0, 0, 1]
    assert (rows[8].corrections, rows[8].price_effect, rows[8].growth) == (-100, 0, 1.0)


def test_what_gets_its_first_price_is_a_correction_not_a_gain():
    prices = Prices({ETH: {2: D(50), 3: D(55)}})
    moves = [move(0, USD, 100, "deposit", 100), move(0, ETH, 1, "deposit")]
    rows = scope(valued(moves, prices, days=4), ME)
    assert [rows[day].value for day in range(4)] == [100, 100, 150, 155]
    assert (rows[2].corrections, rows[2].growth) == (50, 1.0)
    assert (rows[3].price_effect, rows[3].growth) == (5, pytest.approx(155 / 150))


@pytest.mark.parametrize("account", [ONE, OTHER])
def test_a_coin_without_a_price_bought_and_sold_for_the_same_earns_and_loses_nothing(account):
    prices = Prices({BTC: {}})
    moves = [
        move(0, USD, 1000, "deposit", 1000, hour=1, account=account),
        *bought(1, 100, 100, account=account),
        *bought(2, -100, -100, account=account),
    ]
    days = valued(moves, prices, days=4)
    for rows in (scope(days, ME), scope(days, account)):
        assert [rows[day].value for day in range(4)] == [1000, 900, 1000, 1000]
        assert [rows[day].corrections for day in range(4)] == [0, -100, 100, 0]
        assert [rows[day].traded for day in range(4)] == [0, 0, 0, 0]
        assert all(rows[day].price_effect == rows[day].trade_effect == 0 for day in range(4))
        assert [rows[day].growth for day in range(4)] == [1.0, 1.0, 1.0, 1.0]


def test_what_a_coin_that_never_had_a_price_is_sold_for_is_no_profit():
    prices = Prices({BTC: {}})
    moves = [move(0, USD, 1000, "deposit", 1000, hour=1), move(0, BTC, 100, "deposit"),
             *bought(2, -100, -500)]  # fmt: skip
    rows = scope(valued(moves, prices, days=4), ME)
    assert (rows[2].value, rows[2].corrections, rows[2].price_effect) == (1500, 500, 0)
    assert rows[2].growth == 1.0


def test_a_first_price_after_an_unpriced_purchase_makes_up_for_what_was_paid():
    prices = Prices({BTC: {3: D(1), 4: D(1)}})
    moves = [move(0, USD, 1000, "deposit", 1000, hour=1), *bought(1, 100, 100)]
    rows = scope(valued(moves, prices, days=5), ME)
    assert [rows[day].corrections for day in range(5)] == [0, -100, 0, 100, 0]
    assert [rows[day].growth for day in range(5)] == [1.0] * 5


@pytest.mark.parametrize("hour", [1, 12, 23])
def test_a_first_price_on_a_day_with_a_deposit_is_no_return(hour):
    prices = Prices({BTC: {2: D(5), 3: D(5)}})
    moves = [move(0, USD, 1000, "deposit", 1000, hour=1), move(0, BTC, 100, "deposit"),
             move(2, USD, 1000, "deposit", 1000, hour=hour)]  # fmt: skip
    rows = scope(valued(moves, prices, days=4), ME)
    assert (rows[2].value, rows[2].growth, rows[2].corrections) == (2500, 1.0, 500)


def test_the_last_price_lost_on_a_day_with_a_deposit_is_no_return():
    prices = Prices({BTC: {0: D(5)}})
    moves = [move(0, USD, 1000, "deposit", 1000, hour=1), move(0, BTC, 100, "deposit", 500),
             move(8, USD, 1000, "deposit", 1000)]  # fmt: skip
    rows = scope(valued(moves, prices, days=10), ME)
    assert (rows[8].value, rows[8].growth, rows[8].corrections) == (2000, 1.0, -500)


def test_a_move_of_what_has_lost_its_price_is_no_fee():
    prices = Prices({BTC: {0: D(100)}})
    pair = Pair(at(6), D(2), at(8), D(2), BTC, D(200), None)
    moves = [move(0, BTC, 2, "deposit", 200), move(6, BTC, -2, "paired", -200),
             move(8, BTC, 2, "paired", account=OTHER), *positions.on_their_way(pair)]  # fmt: skip
    rows = scope(valued(moves, prices, days=10), ME)
    assert all(rows[day].fees == 0 for day in range(10))
    assert (rows[8].value, rows[8].corrections) == (0, -200)


def test_lost_units_are_a_loss_and_no_withdrawal():
    rows = scope(valued([move(0, BTC, 2, "deposit", 200), move(1, BTC, -1, "lost", -100)],
                        Prices({BTC: dict.fromkeys(range(3), D(100))}), days=3), ME)  # fmt: skip
    assert (rows[1].value, rows[1].fees, rows[1].withdrawals, rows[1].corrections) == (
        100,
        100,
        0,
        0,
    )
    assert rows[1].growth == pytest.approx(0.5)


def test_a_large_flow_valued_by_a_days_close_makes_the_day_partial():
    closes = {BTC: dict.fromkeys(range(4), D(100))}
    moves = [move(0, BTC, 10, "deposit", 1000, hour=1), move(1, USD, 500, "deposit", 500),
             move(2, USD, 5, "deposit", 5)]  # fmt: skip
    rough = scope(valued(moves, Prices(closes), days=4), ME)
    assert [rough[day].is_partial for day in range(4)] == [False, True, False, False]
    known = scope(valued(moves, Prices(closes, {(BTC, at(1)): D(90)}), days=4), ME)
    assert not known[1].is_partial
    assert known[1].growth == pytest.approx(900 / 1000 * 1500 / 1400)


def test_the_cost_of_a_lot_that_has_moved_since_was_known_before():
    prices = Prices({BTC: dict.fromkeys(range(4), D(100))})
    costs = [CostChange(START, OTHER, BTC, D(1), D(60), D(0))]
    moves = [move(0, BTC, 1, "deposit", 100), move(2, BTC, -1, "paired", -100),
             move(2, BTC, 1, "paired", 100, account=OTHER)]  # fmt: skip
    days = valued(moves, prices, days=4, costs=costs, per_account=True)
    for rows in (scope(days, ME), scope(days, BTC)):
        assert [rows[day].cost for day in range(4)] == [60] * 4
        assert [rows[day].value_without_cost for day in range(4)] == [0] * 4


def test_money_of_a_state_moves_by_currency_alone():
    prices = Prices({EUR: {0: D("1.10"), 1: D("1.20")}})
    rows = scope(
        valued([move(0, EUR, 100, "deposit", 110)], prices, days=2, cash=frozenset({EUR})), ME
    )
    assert (rows[1].currency_effect, rows[1].price_effect) == (10, 0)
    assert (rows[1].cost, rows[1].value_without_cost) == (120, 0)


def test_a_weaker_dollar_is_a_currency_effect_for_who_counts_in_another_currency():
    # 100 USD for a coin both days, the base currency goes from 1.00 to 1.25 US dollars
    prices = Prices({BTC: {0: D(100), 1: D(80)}}, dollars={0: D(1), 1: D("1.25")})
    rows = scope(valued([move(0, BTC, 1, "deposit", 100)], prices, days=2), ME)
    assert (rows[1].currency_effect, rows[1].price_effect) == (-20, 0)


def test_units_whose_cost_nobody_knows_are_no_unrealized_gain():
    prices = steady()
    prices = Prices({BTC: dict.fromkeys(range(3), D(100))})
    costs = [CostChange(START, ONE, BTC, D(1), D(60), D(0)),
             CostChange(START + timedelta(days=2), ONE, BTC, D("-0.5"), D(-30), D(20))]  # fmt: skip
    moves = [move(0, BTC, 3, "deposit", 300), move(2, BTC, "-0.5", "withdrawal", -50)]
    rows = scope(valued(moves, prices, days=3, costs=costs), ME)
    assert (rows[0].value, rows[0].cost, rows[0].value_without_cost) == (300, 60, 200)
    assert (rows[2].cost, rows[2].value_without_cost, rows[2].realized) == (30, 200, 20)


def test_one_pool_is_shared_by_accounts_in_proportion_to_their_units():
    prices = Prices({BTC: {0: D(100)}})
    costs = [CostChange(START, ONE, BTC, D(4), D(80), D(0))]
    moves = [move(0, BTC, 3, "deposit", 300), move(0, BTC, 1, "deposit", 100, account=OTHER)]
    days = valued(moves, prices, days=1, costs=costs)
    assert (scope(days, ONE)[0].cost, scope(days, OTHER)[0].cost) == (60, 20)


# --- reports ------------------------------------------------------------------------------------
def told(*rows, confirmed=None):
    changes = [Reported(when, ONE, asset, place, D(q)) for when, asset, place, q in rows]
    return positions.reports(changes, confirmed={ONE: confirmed} if confirmed else {})


def steps(moves, reports, by_hand=()):
    found = positions.corrections(moves, reports=reports, without_reports=by_hand)
    return [(item.at, item.asset, item.quantity) for item in found]


def test_what_the_first_report_adds_was_there_from_the_beginning():
    moves = [move(1, ETH, 5, "deposit")]
    reports = told((at(9), BTC, "spot", 2), (at(9), ETH, "spot", 5))
    assert steps(moves, reports) == [(at(1), BTC, 2)]


def test_what_is_missing_at_the_first_report_goes_then():
    moves = [move(1, BTC, 5, "deposit"), move(2, ETH, 1, "deposit")]
    assert steps(moves, told((at(9), BTC, "spot", 2))) == [(at(9), BTC, -3), (at(9), ETH, -1)]


def test_a_later_difference_counts_from_the_report_that_shows_it():
    moves = [move(1, BTC, 5, "deposit"), move(10, BTC, -1, "withdrawal")]
    reports = told((at(2), BTC, "spot", 5), (at(5), BTC, "spot", "5.5"), confirmed=at(11))
    # reports never saw the withdrawal: it is made good when the account is read again
    assert steps(moves, reports) == [(at(5), BTC, D("0.5")), (at(11), BTC, 1)]


def test_units_that_move_between_places_of_an_account_are_no_difference():
    moves = [move(1, BTC, 5, "deposit")]
    reports = told(
        (at(2), BTC, "spot", 5), (at(3), BTC, "spot", 2), (at(3), BTC, "earn", 3), confirmed=at(4)
    )
    assert steps(moves, reports) == []


def test_an_entry_that_no_report_shows_is_made_good_a_day_later_and_stays_there():
    moves = [move(1, BTC, 1, "deposit"), move(3, BTC, 1, "deposit")]
    for last in (5, 8, 20):
        reports = told((at(2), BTC, "spot", 1), confirmed=at(last))
        assert steps(moves, reports) == [(at(4), BTC, -1)]


def test_an_entry_that_a_late_report_shows_is_not_doubted():
    moves = [move(1, BTC, 1, "deposit"), move(3, BTC, 1, "deposit")]
    reports = told((at(2), BTC, "spot", 1), (at(9), BTC, "spot", 2), confirmed=at(20))
    assert steps(moves, reports) == []


def test_a_report_of_another_asset_tells_as_well_that_an_entry_does_not_show():
    moves = [move(1, BTC, 1, "deposit"), move(3, BTC, 1, "deposit"), move(5, ETH, 7, "deposit"),
             move(9, BTC, 2, "deposit")]  # fmt: skip
    reports = told((at(2), BTC, "spot", 1), (at(5), ETH, "spot", 7), (at(9), BTC, "spot", 3))
    assert steps(moves, reports) == [(at(5), BTC, -1)]


def test_what_an_account_kept_by_hand_sold_without_a_purchase_was_there_when_it_was_sold():
    moves = [move(1, ETH, 1, "deposit"), move(3, BTC, -2, "trade"), move(5, BTC, -1, "trade")]
    assert steps(moves, {}, by_hand=[ONE]) == [(at(3), BTC, 2), (at(5), BTC, 1)]
    late = [*moves, move(7, BTC, 5, "deposit")]
    assert steps(late, {}, by_hand=[ONE]) == [(at(3), BTC, 2), (at(5), BTC, 1), (at(7), BTC, -3)]


def test_a_purchase_by_hand_is_paid_with_money_from_outside_and_leaves_the_past_alone():
    prices = Prices({BTC: {day: D(100 if day < 3 else 300) for day in range(5)}})
    moves = [*bought(0, 1, 100), *bought(3, 1, 300)]
    paid = positions.corrections(moves, reports={}, without_reports=[ONE], cash=[USD])
    assert [(item.at, item.part, item.quantity) for item in paid] == [
        (at(0), "deposit", 100), (at(3), "deposit", 300),
    ]  # fmt: skip
    paid = [item._replace(value=item.quantity) for item in paid]
    rows = scope(valued(moves + paid, prices, days=5), ME)
    assert [rows[day].value for day in range(5)] == [100, 100, 100, 600, 600]
    assert [rows[day].growth for day in range(5)] == pytest.approx([1, 1, 1, 3, 1])


def test_in_an_account_kept_by_hand_one_wallet_owes_nothing_to_another():
    moves = [move(1, BTC, 10, "deposit")._replace(wallet="earn"),
             move(2, BTC, -5, "withdrawal")._replace(wallet="spot")]  # fmt: skip
    assert steps(moves, {}, by_hand=[ONE]) == [(at(2), BTC, 5)]


# --- properties ---------------------------------------------------------------------------------
unhurried = settings(deadline=None)  # other work runs on the same cores
amounts = st.decimals("0.00000001", 1000, places=8)
price_lists = st.lists(st.decimals("0.0001", 100_000, places=6), min_size=DAYS, max_size=DAYS)


@st.composite
def histories(draw):
    """Movements of three assets in two accounts, and prices with holes."""
    moves = []
    for _ in range(draw(st.integers(1, 14))):
        day, hour = draw(st.integers(0, DAYS - 1)), draw(st.integers(0, 23))
        account = draw(st.sampled_from([ONE, OTHER]))
        asset = draw(st.sampled_from([BTC, ETH, EUR]))
        part = draw(
            st.sampled_from(
                ["deposit", "withdrawal", "fee", "income", "correction", "trade", "lost"]
            )
        )
        quantity = draw(amounts) * (-1 if part in ("withdrawal", "fee", "lost") else 1)
        worth = None if draw(st.booleans()) else quantity * draw(amounts)
        if part == "trade":
            paid = draw(amounts)
            moves += bought(day, quantity, paid, asset=asset, account=account, hour=hour)
        else:
            moves.append(Movement(at(day, hour), account, asset, quantity, part, worth))
    closes = {asset: dict(enumerate(draw(price_lists))) for asset in (BTC, ETH, EUR)}
    for asset in draw(st.sets(st.sampled_from([BTC, ETH, EUR]))):
        kept = draw(st.sets(st.integers(0, DAYS - 1)))
        closes[asset] = {day: price for day, price in closes[asset].items() if day in kept}
    rates = {day: D(1) + D(day) / 100 for day in range(-1, DAYS)}
    return moves, Prices(closes, dollars=rates)


def explained(row):
    return sum(getattr(row, name) for name in PARTS) - row.withdrawals - row.fees


@unhurried
@given(histories())
def test_the_parts_of_every_day_add_up_to_the_change_at_every_scope(history):
    moves, prices = history
    before = {}
    for rows in valued(moves, prices, cash=frozenset({EUR})):
        seen = {row.scope_id: row for row in rows}
        for scope_id in {*before, *seen}:
            if scope_id in seen:
                row = seen[scope_id]
                assert row.value - before.get(scope_id, 0) == explained(row)
            else:
                assert before[scope_id] == 0
        before = {scope_id: row.value for scope_id, row in seen.items()}


@unhurried
@given(histories())
def test_accounts_and_assets_add_up_to_the_portfolio(history):
    moves, prices = history
    for rows in valued(moves, prices):
        total = rows[0]
        for kind in (day_rows.ASSET, day_rows.CONNECTION):
            of_kind = [row for row in rows if row.scope == kind]
            for name in ("value", "fees", "income", "price_effect", "trade_effect", "cost"):
                assert sum(getattr(row, name) for row in of_kind) == getattr(total, name)


@unhurried
@given(histories(), st.integers(0, DAYS - 1))
def test_beginning_later_gives_the_same_rows(history, skipped):
    moves, prices = history
    since = START + timedelta(days=skipped)
    books = daily.Books(portfolio=ME, movements=sorted(moves, key=lambda item: item.at), base=USD)
    later = daily.valuations(
        books=books, prices=prices, since=since, until=START + timedelta(days=DAYS - 1)
    )
    assert list(later) == valued(moves, prices)[skipped:]


@unhurried
@given(histories(), st.sampled_from([2, 10, 1000]))
def test_twice_the_units_is_twice_the_value_and_the_same_growth(history, factor):
    moves, prices = history
    plain = scope(valued(moves, prices), ME)
    more = [
        item._replace(quantity=item.quantity * factor,
                      value=None if item.value is None else item.value * factor)
        for item in moves
    ]  # fmt: skip
    moved = {(item.at.date() - START).days for item in moves}
    for day, row in scope(valued(more, prices), ME).items():
        assert abs(row.value - plain[day].value * factor) < D("1e-6") * factor
        before = plain.get(day - 1)
        if before and min(before.value, row.value) > 1 and day not in moved:
            assert row.growth == pytest.approx(plain[day].growth, rel=1e-6, abs=1e-6)


@unhurried
@given(price_lists, amounts)
def test_without_flows_growth_is_the_plain_return(closes, quantity):
    prices = Prices({BTC: dict(enumerate(closes))})
    first = move(0, BTC, quantity, "deposit", quantity * closes[0], hour=23)
    rows = scope(valued([first], prices), ME)
    product = 1.0
    for day in range(1, DAYS):
        growth = rows[day].growth
        product *= 1.0 if growth is None else growth
    start = rows[0].value
    if min(row.value for row in rows.values()) > 1:  # less has too few digits to say a return
        assert product == pytest.approx(float(rows[DAYS - 1].value / start), rel=1e-6)


@unhurried
@given(histories())
def test_the_order_in_which_movements_are_told_does_not_matter(history):
    moves, prices = history
    at_once = {item.at for item in moves}
    if len(at_once) == len(moves):
        assert valued(moves[::-1], prices) == valued(moves, prices)
