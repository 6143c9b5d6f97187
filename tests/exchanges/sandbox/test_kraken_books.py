"""Kraken's books are sound for any seed, and the ledger on the wire is made of nothing else."""

from collections import defaultdict
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.sandbox import books, facts, houses, market, state, symbols
from exchanges.sandbox.history.story import Plan
from exchanges.sandbox.kraken import entries, names

ANCHOR = 1_760_000_400_000
ZERO = Decimal(0)


def opened(seed: int = 1, plan: Plan | None = None) -> tuple[books.Books, books.Books]:
    """Binance's books and Kraken's, of the same persons."""
    remembered, plan = state.State(None, {}, ANCHOR), plan or Plan()
    first = books.Books(
        world=market.Market(seed=seed, anchor=ANCHOR), remembered=remembered, plan=plan, size=100
    )
    world = market.Market(seed=seed, anchor=ANCHOR, listed=symbols.kraken(), complete=False)
    second = books.Books(
        world=world, remembered=remembered, plan=plan, size=100,
        house=houses.KRAKEN, elsewhere=first,
    )  # fmt: skip
    return first, second


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**64),
    number=st.integers(0, 99),
    plan=st.builds(Plan, assets=st.integers(2, 30), trades=st.integers(0, 150),
                   days=st.integers(30, 900)),
)  # fmt: skip
def test_no_balance_is_ever_negative_and_the_ledger_gives_the_balances(seed, number, plan):
    account = opened(seed, plan)[1].account(number)
    assert account.overdrawn() is None
    sums = defaultdict(Decimal)
    for entry in entries.of(account.all_facts()):
        sums[entry.asset] += entry.amount - entry.fee
        assert entry.balance == sums[entry.asset]
    spot = {names.asset_id(code): held for code, held in account.balances["spot"].items()}
    assert {asset: held for asset, held in sums.items() if held and "." not in asset} == spot
    earning = sum((held for asset, held in sums.items() if "." in asset), ZERO)
    assert earning == sum(account.balances["earn"].values(), ZERO)


def test_every_feed_of_the_house_occurs_and_every_kind_of_entry():
    kept = opened(plan=Plan(assets=20, trades=300))[1]
    found = [fact for number in range(10) for fact in kept.account(number).all_facts()]
    assert {fact.feed for fact in found} == set(houses.KRAKEN.feeds)
    kinds = {(entry.type, entry.subtype) for entry in entries.of(found)}
    assert {kind for kind, _ in kinds} >= {
        *("trade", "spend", "receive", "deposit", "withdrawal", "transfer", "earn"),
        *("staking", "airdrop", "reward", "dividend", "credit", "nft_rebate", "invite bonus"),
        *("adjustment", "rollover", "margin", "settled"),
    }
    assert {how for kind, how in kinds if kind == "transfer"} == {
        "spottostaking", "stakingfromspot", "stakingtospot", "spotfromstaking",
    }  # fmt: skip


def test_what_was_sent_from_binance_arrives_minutes_later():
    sender, receiver = opened()
    for number in range(10):
        arrived = [f for f in receiver.account(number).all_facts() if isinstance(f, facts.Deposit)]
        by_transaction = {fact.tx_id: fact for fact in arrived}
        pairs = [
            (fact, by_transaction[fact.tx_id])
            for fact in sender.account(number).all_facts()
            if isinstance(fact, facts.Withdrawal) and fact.tx_id in by_transaction
        ]
        assert pairs
        for sent, came in pairs:
            assert (sent.asset, sent.quantity) == (came.asset, came.quantity)
            assert sent.fee > 0
            assert 0 < came.occurred_at - sent.occurred_at < 36 * 60_000


def test_fees_are_in_quote_or_base_and_ids_never_come_twice():
    account = opened()[1].account(0)
    ledger = entries.of(account.all_facts())
    assert len({entry.id for entry in ledger}) == len(ledger)
    fills = [fact for fact in account.all_facts() if isinstance(fact, facts.Trade)]
    assert {fill.commission_asset == fill.quote for fill in fills} == {True, False}
    assert all(fill.commission_asset in (fill.base, fill.quote) for fill in fills)


def test_keys_are_base_64_of_krakens_lengths():
    kept = opened()[1]
    assert len(kept.api_key(0, "read")) == 56
    assert len(kept.api_secret(0, "read")) == 88
    assert kept.holder(opened()[0].api_key(0, "read")) is None
