"""From the ledger to lots, gains and income in their tables, whatever comes when."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts import preferences
from accounts.models import User
from accounts.privacy import erasure
from exchanges import connections
from exchanges.models import HistoricPrice, NeedState, PriceNeed
from portfolios import derivation, tasks
from portfolios.by_hand import manual_prices
from portfolios.cost import basis
from portfolios.cost.lots import Method
from portfolios.ledger import books
from portfolios.models import AssetBasis, Disposal, Income, Lot, PortfolioState
from portfolios.transfers import matches
from tests import broker, factories
from tests.portfolios.bookings import (
    book,
    buy,
    day,
    derived,
    gains,
    marks,
    open_lots,
    reward,
    sell,
    transfer,
)
from tracker import clock, ids, tenancy


@pytest.fixture
def account(alice):
    return factories.connection(alice, label="first")


def derive(user) -> bool:
    return derivation.derive(user_id=user.id, now=clock.now())


def freshness(user):
    with tenancy.as_user(user.id):
        return books.freshness(user_id=user.id)


def state(user) -> PortfolioState:
    with tenancy.as_user(user.id):
        return PortfolioState.objects.get(user=user)


# --- what comes out -----------------------------------------------------------------------------
def test_a_sale_takes_the_lot_that_was_bought_first(alice, account):
    book(alice, account, buy("1", "100", day(0)), buy("1", "150", day(1)), sell("1", "180", day(2)))
    assert derive(alice)
    assert gains(alice) == [("1", "100", "180", "80")]
    assert open_lots(alice) == [("1", "150")]


def test_a_sale_before_any_purchase_has_an_unknown_gain_and_never_a_cost_of_zero(alice, account):
    book(alice, account, sell("1", "180", day(0)), buy("1", "100", day(1)))
    derive(alice)
    with tenancy.as_user(alice.id):
        piece = Disposal.objects.get()
    assert (piece.cost, piece.gain, piece.lot_id) == (None, None, None)
    assert (piece.basis, piece.term, piece.held_days) == ("unknown", "unknown", None)
    assert open_lots(alice) == [("1", "100")]


def test_what_lay_in_an_unexplained_deposit_has_neither_cost_nor_date(alice, account):
    book(alice, account, transfer("deposit", "1", day(0)), sell("1", "180", day(400)))
    derive(alice)
    with tenancy.as_user(alice.id):
        piece = Disposal.objects.get()
        assert (piece.basis, piece.term, piece.acquired_at) == ("unknown", "unknown", None)
        assert Lot.objects.get().basis == "unknown"


@pytest.mark.parametrize(("days", "term"), [(365, "short"), (366, "long")])
def test_units_held_for_more_than_the_threshold_are_long_term(alice, account, days, term):
    book(alice, account, buy("1", "100", day(0)), sell("1", "180", day(days)))
    derive(alice)
    with tenancy.as_user(alice.id):
        piece = Disposal.objects.get()
    assert (piece.held_days, piece.term) == (days, term)


def test_money_of_a_state_has_no_lots_but_interest_on_it_is_income(alice, account):
    book(alice, account, transfer("deposit", "50", day(0), "USD"), reward("2", day(1), "USD"))
    derive(alice)
    with tenancy.as_user(alice.id):
        assert not Lot.objects.exists()
        assert Income.objects.get().value == 2


def test_nobody_elses_rows_are_read_or_written(alice, bob, account):
    factories.books(bob, factories.connection(bob))
    before = derived(bob)
    book(alice, account, buy("1", "100", day(0)))
    derive(alice)
    assert derived(bob) == before


# --- a history that goes on, or changes -------------------------------------------------------
def test_what_comes_afterwards_goes_on_where_the_lots_were(alice, account):
    book(alice, account, buy("3", "300", day(0)))
    derive(alice)
    book(alice, account, sell("1", "150", day(1)))
    derive(alice)
    book(alice, account, sell("1", "160", day(2)), buy("1", "170", day(2)))
    derive(alice)
    assert gains(alice) == [("1", "100", "150", "50"), ("1", "100", "160", "60")]
    assert open_lots(alice) == [("1", "100"), ("1", "170")]


def test_a_trade_that_arrives_late_changes_what_later_sales_took(alice, account):
    book(alice, account, buy("1", "100", day(0)), sell("1", "200", day(5)))
    derive(alice)
    book(alice, account, buy("1", "40", day(-3)))
    derive(alice)
    assert gains(alice) == [("1", "40", "200", "160")]
    assert open_lots(alice) == [("1", "100")]


def test_a_trade_of_the_same_instant_as_the_last_one_counts(alice, account):
    book(alice, account, buy("1", "100", day(0)), sell("1", "200", day(5)))
    derive(alice)
    book(alice, account, buy("1", "120", day(5)), sell("1", "90", day(5)))
    derive(alice)
    assert sorted(gains(alice)) == [("1", "100", "200", "100"), ("1", "120", "90", "-30")]


def test_computing_twice_changes_nothing(alice, account):
    book(alice, account, buy("1", "100", day(0)), sell("0.3", "60", day(5)), reward("1", day(6)))
    derive(alice)
    before = derived(alice)
    assert derive(alice)
    derivation.rebuild(user_id=alice.id, now=clock.now())
    assert derived(alice) == before


_units = st.integers(1, 5_000_000).map(lambda number: str(D(number).scaleb(-6)))
_paid = st.integers(1, 900_000).map(lambda number: str(D(number).scaleb(-2)))
_kinds = st.sampled_from(["buy", "sell", "deposit", "withdrawal", "swap", "move", "reward"])
_steps = st.tuples(_kinds, _units, _paid, st.integers(0, 40), st.sampled_from([0, 1]))


def _happens(user, accounts, step, since: int) -> None:
    """One thing in one of two accounts, or a move from the one to the other."""
    kind, units, paid, later, which = step
    at, account = day(since + later), accounts[which]
    if kind == "move":
        book(user, account, transfer("withdrawal", units, at))
        book(user, accounts[1 - which], transfer("deposit", units, at + timedelta(minutes=9)))
    elif kind == "reward":
        book(user, account, reward(units, at))
    elif kind == "swap":
        book(user, account, buy(units, paid, at, base_code="ETH", quote_code="BTC"))
    elif kind in ("buy", "sell"):
        make = {"buy": buy, "sell": sell}[kind]
        book(user, account, make(units, paid, at, fee_code="BTC", fee_quantity=D("0.001")))
    else:
        book(user, account, transfer(kind, units, at))


def _update(user) -> None:
    """Pairs and lots alone: what a worker does first."""
    with tenancy.as_user(user.id):
        books.mark(user_id=user.id, touched=matches.pair_new(user_id=user.id, now=clock.now()))
        reached = basis.update(user_id=user.id)
        basis.note(user_id=user.id, reached=reached, clean=True)


@pytest.mark.parametrize("scope", ["all", "account"])
@pytest.mark.parametrize("method", list(Method))
@settings(max_examples=15, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(batches=st.lists(
    st.tuples(st.lists(_steps, min_size=1, max_size=4), st.booleans()), min_size=1, max_size=4
))  # fmt: skip
def test_step_by_step_gives_the_same_rows_as_all_at_once(db, method, scope, batches):
    user = factories.person(
        f"{ids.new_id()}@example.com", cost_basis_method=method, cost_basis_scope=scope
    )
    accounts = [factories.connection(user, label=name) for name in ("one", "two")]
    for number, (batch, is_late) in enumerate(batches):
        for step in batch:
            _happens(user, accounts, step, since=0 if is_late else 50 * number)
        _update(user)
    before = derived(user)
    with tenancy.as_user(user.id):
        for model in (Lot, Disposal, Income, AssetBasis):
            model.objects.filter(user=user).delete()
        books.everything_changed(user_id=user.id, now=clock.now())
    _update(user)
    assert derived(user) == before


# --- choices ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("choice", "gain"),
    [({"cost_basis_method": "lifo"}, "0"), ({"cost_basis_method": "average"}, "25"),
     ({"cost_basis_scope": "account"}, "0"), ({}, "50")],
)  # fmt: skip
def test_another_method_or_scope_computes_everything_anew(
    alice, account, choice, gain, django_capture_on_commit_callbacks
):
    other = factories.connection(alice, label="other")
    book(alice, account, buy("1", "100", day(0)))
    book(alice, other, buy("1", "150", day(1)), sell("1", "150", day(2)))
    derive(alice)
    with django_capture_on_commit_callbacks(execute=True):
        preferences.change(user_id=alice.id, changes=choice)
    assert freshness(alice).updating == bool(choice)
    derive(alice)
    assert [piece[3] for piece in gains(alice)] == [gain]


def test_another_threshold_changes_the_term(alice, account, django_capture_on_commit_callbacks):
    book(alice, account, buy("1", "100", day(0)), sell("1", "180", day(100)))
    derive(alice)
    with django_capture_on_commit_callbacks(execute=True):
        preferences.change(user_id=alice.id, changes={"long_term_days": 99})
    derive(alice)
    with tenancy.as_user(alice.id):
        assert Disposal.objects.get().term == "long"


def test_lots_of_other_choices_are_never_continued(alice, account):
    """The choice is in force at once; the word of it may come later than the next trade."""
    book(alice, account, buy("1", "100", day(0)), buy("1", "150", day(1)))
    derive(alice)
    with tenancy.as_user(alice.id):
        User.objects.filter(id=alice.id).update(cost_basis_method="lifo")
    book(alice, account, sell("1", "150", day(2)), sell("0.5", "75", day(3)))
    derive(alice)
    assert gains(alice) == [("1", "150", "150", "0"), ("0.5", "50", "75", "25")]


def test_another_method_can_be_looked_at_without_storing_it(alice, account):
    book(alice, account, buy("1", "100", day(0)), buy("1", "150", day(1)), sell("1", "180", day(2)))
    derive(alice)
    before = derived(alice)
    with tenancy.as_user(alice.id):
        found = basis.compute(user_id=alice.id, method=Method.HIFO)
    assert [piece.gain for rows in found.rows for piece in rows.pieces] == [30]
    assert derived(alice) == before


# --- prices that come later -------------------------------------------------------------------
def test_what_has_no_price_yet_is_computed_when_it_comes(alice, account):
    usdt, _usd = factories.asset("USDT"), factories.asset("USD")
    swap = buy("1", "100", day(0), quote_code="USDT", symbol="BTC/USDT")
    book(alice, account, swap)
    derive(alice)
    assert open_lots(alice) == [("1", "?")]
    with tenancy.as_user(alice.id):
        waiting = AssetBasis.objects.get(asset__code="BTC")
    assert usdt.id in waiting.waits_for
    HistoricPrice.objects.create(
        asset=usdt, interval="1h", at=day(0), usd=D("0.99"), source="kraken: USDT/USD, 1h"
    )
    assert derivation.prices_arrived(assets={usdt.id}, now=clock.now()) == 1
    assert freshness(alice).updating
    derive(alice)
    assert open_lots(alice) == [("1", "99")]


def _answer(state: NeedState, *, interval: str) -> None:
    """All that is wanted of an interval has been asked for, and there was no price."""
    PriceNeed.objects.filter(interval=interval, state=NeedState.OPEN).update(state=state)


def _keep(code: str, interval: str, at, usd: str) -> None:
    HistoricPrice.objects.create(
        asset=factories.asset(code), interval=interval, at=at, usd=D(usd), source="test"
    )
    PriceNeed.objects.filter(interval=interval).update(state=NeedState.DONE)


def _arrived(user, code: str) -> None:
    now = clock.now()
    assert derivation.prices_arrived(assets={factories.asset(code).id}, now=now) == 1
    derive(user)


def test_the_close_of_a_day_that_comes_after_its_hour_was_found_absent_counts(alice, account):
    factories.asset("USD")
    book(alice, account, reward("1", day(0), "COIN"))
    derive(alice)
    _answer(NeedState.DONE, interval="1h")
    derivation.rebuild(user_id=alice.id, now=clock.now())
    assert open_lots(alice) == [("1", "?")]
    _keep("COIN", "1d", day(0).replace(hour=0), "7")
    _arrived(alice, "COIN")
    assert open_lots(alice) == [("1", "7")]
    with tenancy.as_user(alice.id):
        assert AssetBasis.objects.get(asset__code="COIN").waits_for is None


def test_the_close_of_the_day_is_wanted_where_the_hour_is_missing(alice, account):
    factories.asset("USD")
    book(alice, account, buy("1", "2", day(0), quote_code="COIN"), sell("1", "2", day(0.1)))
    derive(alice)
    midnight = day(0).replace(hour=0)
    assert PriceNeed.objects.filter(
        asset=factories.asset("COIN"), interval="1d", since__lte=midnight, until__gt=midnight
    ).exists()


def test_a_coin_that_a_market_takes_up_later_gets_the_price_of_then(alice, account):
    factories.asset("USD")
    book(alice, account, reward("1", day(0), "COIN"))
    derive(alice)
    for interval in ("1h", "1d"):
        _answer(NeedState.NOWHERE, interval=interval)
    derivation.rebuild(user_id=alice.id, now=clock.now())
    _keep("COIN", "1h", day(0), "5")
    _arrived(alice, "COIN")
    assert open_lots(alice) == [("1", "5")]


def test_who_was_not_told_of_prices_is_found_by_the_sweep_and_only_once(alice, account):
    """S41: the worker died between storing prices and telling of them."""
    factories.asset("USD")
    book(alice, account, reward("1", day(0), "COIN"))
    derive(alice)
    assert derivation.tell_who_waits_in_vain(now=clock.now()) == 0  # still to be fetched
    PriceNeed.objects.update(state=NeedState.DONE)
    _keep("COIN", "1h", day(0), "5")
    assert derivation.tell_who_waits_in_vain(now=clock.now()) == 1
    derive(alice)
    assert open_lots(alice) == [("1", "5")]
    PriceNeed.objects.filter(state=NeedState.OPEN).update(state=NeedState.DONE)
    while derivation.tell_who_waits_in_vain(now=clock.now()):
        assert derive(alice)  # valuations may have waited too; an end there must be
    assert not freshness(alice).updating


def test_who_waits_for_what_no_market_ever_quoted_is_not_told_again_and_again(alice, account):
    factories.asset("USD")
    book(alice, account, reward("1", day(0), "COIN"))
    derive(alice)
    for state_of_needs in (NeedState.NOWHERE, NeedState.DONE):
        PriceNeed.objects.update(state=state_of_needs)
        while derivation.tell_who_waits_in_vain(now=clock.now()):
            derive(alice)
            PriceNeed.objects.filter(state=NeedState.OPEN).update(state=state_of_needs)
    assert open_lots(alice) == [("1", "?")]


def test_who_does_not_wait_for_a_price_is_left_alone(alice, account):
    book(alice, account, buy("1", "100", day(0)))
    derive(alice)
    arrived = {factories.asset("USDT").id}
    assert derivation.prices_arrived(assets=arrived, now=clock.now()) == 0
    assert not freshness(alice).updating


def test_a_price_of_ones_own_touches_what_was_paid_for_with_the_asset(alice, account):
    book(alice, account, buy("1", "100", day(3), quote_code="XYZ", symbol="BTC/XYZ"))
    book(alice, account, buy("1", "100", day(4), base_code="ETH", symbol="ETH/USD"))
    derive(alice)
    manual_prices.put(
        user=alice, asset_id=factories.asset("XYZ").id, day=day(0).date(), price=D("2"),
        currency="USD", now=clock.now(),
    )  # fmt: skip
    assert marks(alice) == {"BTC", "XYZ"}


# --- who is behind ------------------------------------------------------------------------------
def test_freshness_says_whether_figures_are_being_computed(alice, bob, account):
    assert freshness(alice) == books.Freshness(updating=False, derived_at=None)
    book(alice, account, buy("1", "100", day(0)))
    assert freshness(alice).updating
    now = clock.now()
    derivation.derive(user_id=alice.id, now=now)
    assert freshness(alice) == books.Freshness(updating=False, derived_at=now)
    assert not freshness(bob).updating


def test_the_sweep_queues_whoever_is_behind_once(alice, bob, charlie, account):
    book(alice, account, buy("1", "100", day(0)))
    book(bob, factories.connection(bob), buy("1", "100", day(0)))
    derive(bob)
    now = clock.now()
    assert derivation.sweep(now=now) == 1
    assert broker.waiting("derive") == [
        ("portfolios.tasks.derive_portfolio", {"user_id": str(alice.id)})
    ]
    assert derivation.sweep(now=now) == 0
    assert derivation.sweep(now=now + timedelta(minutes=6)) == 1


def test_who_was_queued_by_the_sweep_is_computed(alice, account):
    book(alice, account, buy("1", "100", day(0)))
    tasks.sweep_behind()
    broker.work_off(tasks.derive_portfolio, queue="derive")
    assert not freshness(alice).updating
    assert open_lots(alice) == [("1", "100")]


def test_who_is_in_somebodys_hands_is_left_to_them(alice, account):
    book(alice, account, buy("1", "100", day(0)))
    now = clock.now()
    _hold(alice, until=now + timedelta(seconds=20))
    assert derivation.derive(user_id=alice.id, now=now) is False
    assert derivation.sweep(now=now) == 0
    assert open_lots(alice) == []


def test_a_dead_workers_lease_lapses(alice, account):
    book(alice, account, buy("1", "100", day(0)))
    now = clock.now()
    _hold(alice, until=now - timedelta(seconds=1))
    assert derivation.sweep(now=now) == 1
    assert derivation.derive(user_id=alice.id, now=now)
    assert open_lots(alice) == [("1", "100")]
    assert state(alice).derive_claimed_by is None


def _hold(user, *, until) -> None:
    with tenancy.as_user(user.id):
        PortfolioState.objects.filter(user=user).update(
            derive_claimed_by=ids.new_id(), derive_lease_until=until
        )


def test_removing_a_connection_removes_what_was_computed_of_it(
    alice, account, django_capture_on_commit_callbacks
):
    other = factories.connection(alice, label="other")
    book(alice, account, buy("1", "100", day(0)))
    book(alice, other, buy("2", "50", day(0), base_code="ETH", symbol="ETH/USD"))
    derive(alice)
    with django_capture_on_commit_callbacks(execute=True):
        connections.remove(user_id=alice.id, connection_id=other.id)
    derive(alice)
    assert open_lots(alice) == [("1", "100")]
    assert marks(alice) == set()


def test_nothing_is_derived_for_somebody_who_is_being_erased(alice, account):
    book(alice, account, buy("1", "100", day(0)))
    erasure.close_doors(alice.id, clock.now())
    assert derivation.sweep(now=clock.now()) == 0
    derive(alice)
    assert open_lots(alice) == []
