"""What dialects build facts from: the same sums, whatever an exchange calls its fields."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.gateway.dialects import facts, table
from exchanges.gateway.dialects.base import Surroundings, the_list
from exchanges.gateway.markets import Markets
from exchanges.gateway.rows import BadRow
from exchanges.reports import Direction
from tests.exchanges.gateway.ledger import net

D = Decimal
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
OURS = ("bitget", "bybit", "gate", "kucoin", "okx")
amounts = st.decimals(min_value="0.00000001", max_value="1000000", places=8)
signed = st.decimals(min_value="-1000000", max_value="1000000", places=8)


@given(gross=amounts, fee=amounts)
def test_a_gross_withdrawal_takes_from_the_account_what_it_says(gross: D, fee: D) -> None:
    quantity = facts.net_of(gross, fee)
    sent = facts.transfer(
        "1", Direction.WITHDRAWAL, code="BTC", quantity=quantity, fee=fee, settled=True,
        wallet="spot", occurred_at=WHEN,
    )  # fmt: skip
    left = -net([sent])["spot", "BTC"]
    assert left == (gross if gross > fee else gross + fee)


@given(change=signed.filter(bool))
def test_a_move_changes_both_wallets_and_not_the_whole(change: D) -> None:
    moved = facts.moved_by("1", change, code="BTC", here="funding", there="spot", occurred_at=WHEN)
    assert net([moved]) == {("funding", "BTC"): change, ("spot", "BTC"): -change}


@given(fees=st.lists(signed, min_size=1, max_size=4))
def test_every_fee_of_a_fill_is_counted_once(fees: list[D]) -> None:
    charged = [(f"F{place}", fee) for place, fee in enumerate(fees)]
    trade = facts.fill(
        "1", of=("BTC", "USDT"), side="buy", amount=D(1), price=D(7), fee=charged[0],
        occurred_at=WHEN,
    )  # fmt: skip
    told = [trade, *facts.further_fees(trade, charged[1:])]
    expected = {("spot", code): -fee for code, fee in charged if fee}
    assert net(told) == expected | {("spot", "BTC"): D(1), ("spot", "USDT"): D(-7)}
    assert len({(fact.feed, fact.exchange_id) for fact in told}) == len(told)


@given(stamp=st.integers(1_231_000_000, 4_000_000_000))
def test_seconds_and_milliseconds_are_told_apart(stamp: int) -> None:
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=stamp)
    assert facts.moment({"at": str(stamp)}, "at") == instant
    assert facts.moment({"at": stamp * 1000}, "at") == instant


def test_a_balance_counts_what_is_owed_and_needs_its_first_part() -> None:
    quantity = facts.balance_of("free", "frozen", less=("owed",))
    assert quantity({"free": "2", "frozen": "", "owed": "0.5"}) == D("1.5")
    assert quantity({"free": "0", "owed": "3"}) == D(-3)
    with pytest.raises(BadRow):
        quantity({"free": "", "frozen": "1"})


def test_a_row_that_cannot_be_read_is_noted_and_the_others_are_read() -> None:
    around = Surroundings(Markets(()))
    parse = facts.holdings(the_list, "coin", facts.first("amount"), names={"XBT": "BTC"})
    answer = [{"coin": "XBT", "amount": "1"}, None, {"coin": "", "amount": "1"},
              {"coin": "ETH", "amount": "1e99"}, {"coin": "ADA", "amount": "0"}]  # fmt: skip
    assert [(held.code, held.quantity) for held in parse(answer, around)] == [("BTC", D(1))]
    assert len(around.bad) == 3


@pytest.mark.parametrize("exchange", OURS)
def test_what_a_dialect_declares_fits_together(exchange: str) -> None:
    declared = table.dialect(exchange)
    names = [feed.name for feed in declared.feeds]
    assert declared.id == exchange
    assert len(set(names)) == len(names)
    assert {"trades", "deposits", "withdrawals", "conversions", "ledger"} <= set(names)
    assert all(feed.id_field or feed.stable for feed in declared.feeds)
    assert not any(feed.scoped for feed in declared.feeds[:-1])  # the last knows every coin
    assert declared.key_check is not None
