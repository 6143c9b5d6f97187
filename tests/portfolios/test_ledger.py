"""From facts to legs, in a table: what came in is positive, what went out negative."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.reports import Direction, Reward, Trade, TradeKind, Transfer
from portfolios.ledger import legs

AT = datetime(2024, 5, 5, 15, 38, 56, tzinfo=UTC)
BUY = Trade(
    feed="trades", exchange_id="1", kind=TradeKind.FILL, symbol="BNB/BTC", side="buy",
    base_code="BNB", base_quantity=D(12), quote_code="BTC", quote_quantity=D("48.000012"),
    price=D("4.000001"), fee_code="BNB", fee_quantity=D("10.1"), wallet="spot", order_id="2",
    occurred_at=AT,
)  # fmt: skip
DEPOSIT = Transfer(
    feed="deposits", exchange_id="1", direction=Direction.DEPOSIT, code="ETH", quantity=D(5),
    fee_code=None, fee_quantity=None, wallet="spot", counter_wallet="", settled=True, txid="",
    address="", network="", occurred_at=AT,
)  # fmt: skip
WITHDRAWAL = replace(
    DEPOSIT, direction=Direction.WITHDRAWAL, fee_code="ETH", fee_quantity=D("0.01")
)
MOVE = replace(DEPOSIT, direction=Direction.INTERNAL, counter_wallet="earn")
REWARD = Reward("rewards", "1", "staking", "DOT", D("0.5"), "spot", AT)
CARD = replace(
    BUY, kind=TradeKind.FIAT, base_code="LUNA", base_quantity=D("4.462"), quote_code="EUR",
    quote_quantity=D("19.8"), fee_code="EUR", fee_quantity=D("0.2"),
)  # fmt: skip

CASES = [
    ("buy with a fee in the base", BUY,
     "+12 BNB trade, -48.000012 BTC trade, -10.1 BNB fee"),
    ("sell with a third-asset fee", replace(BUY, side="sell", fee_code="USDT"),
     "-12 BNB trade, +48.000012 BTC trade, -10.1 USDT fee"),
    ("a rebate is a fee that comes in", replace(BUY, fee_quantity=D("-0.1")),
     "+12 BNB trade, -48.000012 BTC trade, +0.1 BNB fee"),
    ("no fee", replace(BUY, fee_code=None, fee_quantity=None),
     "+12 BNB trade, -48.000012 BTC trade"),
    ("conversion", replace(BUY, kind=TradeKind.CONVERSION, side="sell", fee_quantity=D(0)),
     "-12 BNB conversion, +48.000012 BTC conversion"),
    ("bought by card", CARD,
     "+4.462 LUNA trade, -19.8 EUR trade, -0.2 EUR fee, +20.0 EUR deposit"),
    ("sold to a card", replace(CARD, side="sell"),
     "-4.462 LUNA trade, +19.8 EUR trade, -0.2 EUR fee, -19.6 EUR withdrawal"),
    ("bought by card, the fee in another asset", replace(CARD, fee_code="BNB"),
     "+4.462 LUNA trade, -19.8 EUR trade, -0.2 BNB fee, +19.8 EUR deposit"),
    ("deposit", DEPOSIT, "+5 ETH deposit"),
    ("withdrawal, fee on top", WITHDRAWAL, "-5 ETH withdrawal, -0.01 ETH fee"),
    ("pending is no ledger fact yet", replace(WITHDRAWAL, settled=False), ""),
    ("move between wallets", MOVE, "-5 ETH transfer, +5 ETH transfer"),
    ("reward", REWARD, "+0.5 DOT reward"),
]  # fmt: skip


@pytest.mark.parametrize(("fact", "expected"), [case[1:] for case in CASES],
                         ids=[case[0] for case in CASES])  # fmt: skip
def test_legs(fact, expected):
    shown = ", ".join(f"{leg.quantity:+} {leg.code} {leg.kind}" for leg in legs.legs(fact))
    assert shown == expected


def test_a_move_leaves_one_wallet_for_the_other():
    assert [(leg.wallet, leg.quantity) for leg in legs.legs(MOVE)] == [
        ("spot", D(-5)), ("earn", D(5)),
    ]  # fmt: skip


units = st.decimals(min_value="0.000000000000000001", max_value="1e15", places=18)


@given(base=units, quote=units, fee=units, side=st.sampled_from(["buy", "sell"]))
def test_money_paid_by_card_adds_up_to_nothing(base, quote, fee, side):
    fact = replace(CARD, side=side, base_quantity=base, quote_quantity=quote, fee_quantity=fee)
    euros = sum((leg.quantity for leg in legs.legs(fact) if leg.code == "EUR"), D(0))
    assert euros == 0


@given(base=units, quote=units, fee=units)
def test_a_sale_mirrors_a_purchase_but_for_the_fee(base, quote, fee):
    buy = replace(BUY, base_quantity=base, quote_quantity=quote, fee_quantity=fee, fee_code="X")
    bought, sold = legs.legs(buy), legs.legs(replace(buy, side="sell"))
    for one, other in zip(bought, sold, strict=True):
        assert one.quantity == (other.quantity if one.kind == "fee" else -other.quantity)
