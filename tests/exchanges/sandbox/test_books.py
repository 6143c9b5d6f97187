"""The books are sound for any seed: never negative, balances the sums of the legs."""

from collections import defaultdict
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.sandbox import accounts, books, facts, history, houses, market, state
from exchanges.sandbox.history.story import Plan

ANCHOR = 1_760_000_400_000
STEP = Decimal("0.00000001")
seeds = st.integers(min_value=0, max_value=2**64)
plans = st.builds(
    Plan,
    assets=st.integers(2, 30),
    trades=st.integers(0, 150),
    days=st.integers(30, 900),
)


def opened(seed: int = 1, plan: Plan | None = None) -> books.Books:
    world = market.Market(seed=seed, anchor=ANCHOR)
    remembered = state.State(None, {}, ANCHOR)
    return books.Books(world=world, remembered=remembered, plan=plan or Plan(), size=100)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, number=st.integers(0, 99), plan=plans)
def test_no_balance_is_ever_negative_and_balances_are_sums_of_legs(seed, number, plan):
    kept = opened(seed, plan)
    running: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for leg in kept.ledger(number):
        running[leg.wallet, leg.asset] += leg.quantity
        assert running[leg.wallet, leg.asset] >= 0, leg
    held = kept.account(number).balances
    assert {(wallet, code): q for wallet in held for code, q in held[wallet].items()} == {
        key: quantity for key, quantity in running.items() if quantity
    }


@settings(max_examples=20, deadline=None)
@given(seed=seeds, plan=plans)
def test_quantities_fit_the_symbol_and_the_wire(seed, plan):
    kept = opened(seed, plan)
    for leg in kept.ledger(0):
        assert leg.quantity == leg.quantity.quantize(STEP)
    for trade in kept.account(0).feed(facts.Trade.feed):
        symbol = kept.world.symbols[trade.symbol]
        assert trade.quantity % symbol.step == 0
        assert trade.price % symbol.tick == 0
        assert 0 < trade.quantity * trade.price - trade.quote_quantity + STEP <= 2 * STEP


@settings(max_examples=20, deadline=None)
@given(seed=seeds, plan=plans)
def test_ids_are_unique_and_grow_with_time(seed, plan):
    account = opened(seed, plan).account(0)
    for feed in facts.FEEDS:
        ids = [fact.id for fact in account.feed(feed)]
        assert len(ids) == len(set(ids))
    for name in {trade.symbol for trade in account.feed(facts.Trade.feed)}:
        numbers = [int(trade.id) for trade in account.trades(name)]
        instants = [trade.occurred_at for trade in account.trades(name)]
        assert numbers == sorted(numbers)
        assert instants == sorted(instants)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, plan=plans)
def test_a_history_ends_before_the_anchor_and_has_its_trades(seed, plan):
    account = opened(seed, plan).account(0)
    instants = [fact.occurred_at for fact in account.all_facts()]
    assert instants == sorted(instants)
    assert max(instants) < ANCHOR
    assert min(instants) >= ANCHOR - (plan.days + 1) * 86_400_000
    assert len(account.feed(facts.Trade.feed)) == plan.trades


@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_the_same_seed_gives_the_same_facts(seed):
    assert opened(seed).account(7).all_facts() == opened(seed).account(7).all_facts()


def test_another_seed_or_number_gives_other_facts():
    kept = opened(1)
    assert kept.account(0).all_facts() != kept.account(1).all_facts()
    assert kept.account(0).all_facts() != opened(2).account(0).all_facts()


def test_every_feed_occurs_and_every_asset_is_held():
    kept = opened(plan=Plan(assets=30, trades=500))
    for number in range(3):
        account = kept.account(number)
        assert all(account.feed(feed) for feed in houses.BINANCE.feeds if feed not in _RARE)
        everything = {code for held in account.balances.values() for code in held}
        assert len(everything) >= 30
    found = [fact.feed for number in range(10) for fact in kept.account(number).all_facts()]
    assert set(found) == set(houses.BINANCE.feeds)


_RARE = {"locked_redemptions", "earn_redemptions"}


def test_some_withdrawals_and_bank_transfers_come_to_nothing():
    kept = opened(plan=Plan(trades=500))
    statuses = {
        (fact.feed, fact.status)
        for number in range(10)
        for fact in kept.account(number).all_facts()
        if isinstance(fact, facts.Withdrawal | facts.FiatOrder)
    }
    assert ("withdrawals", "cancelled") in statuses
    assert ("fiat_orders", "failed") in statuses


def test_facts_survive_json():
    for fact in opened().account(0).all_facts():
        assert facts.from_plain(facts.to_plain(fact)) == fact


@pytest.mark.parametrize(
    "spoilt",
    [
        {"feed": "gifts"},
        {"quantity": 0.5},
        {"quantity": "-1"},
        {"quantity": "NaN"},
        {"quantity": "0.123456789"},
        {"occurred_at": "now"},
        {"colour": "red"},
        {"status": "maybe"},
    ],
)
def test_unreadable_facts_are_refused(spoilt):
    deposit = {"feed": "deposits", "asset": "BTC", "quantity": "1"}
    kept = opened()
    with pytest.raises(facts.FactError):
        kept.add(0, deposit | spoilt, now=ANCHOR)


def test_accounts_that_were_forgotten_come_back_the_same():
    world = market.Market(seed=1, anchor=ANCHOR)
    kept = books.Books(
        world=world, remembered=state.State(None, {}, ANCHOR), plan=Plan(), size=9, kept=2
    )
    kept.add(0, {"feed": "deposits", "asset": "BTC", "quantity": "1"}, now=ANCHOR)
    before = kept.account(0)
    for number in range(1, 9):
        kept.account(number)
    assert kept.account(0) is not before
    assert kept.account(0).all_facts() == before.all_facts()


def test_keys_are_64_letters_and_digits_and_all_different():
    kept = opened()
    keys = [kept.api_key(n, role) for n in range(20) for role in ("read", "trade")]
    secrets = [kept.api_secret(n, role) for n in range(20) for role in ("read", "trade")]
    assert len({*keys, *secrets}) == 80
    assert all(len(key) == 64 and key.isascii() and key.isalnum() for key in keys + secrets)


def test_legs_say_where_they_come_from():
    drawn = history.draw(world=opened().world, account=0, plan=Plan())
    account = accounts.Account(number=0, history=drawn)
    legs = [leg for fact in account.all_facts() for leg in fact.legs()]
    assert legs == account.ledger()
    assert {leg.kind for leg in legs} == {
        "trade",
        "fee",
        "deposit",
        "withdrawal",
        "reward",
        "conversion",
        "transfer",
    }
