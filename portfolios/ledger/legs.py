"""From facts to signed legs: pure, no Django. Everything computed reads only these legs.

A trade is base, quote and fee; the fee is a leg of its own in whatever asset it was paid. A
transfer is one leg (two when it moves between wallets) and its fee. Conversions keep their own
kind, so that a person can tell a market fill from a conversion. Coins bought by card have the
money come in as a deposit first, so that it adds up to nothing in the wallet, as it does there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from exchanges.reports import Direction, Reward, Trade, TradeKind, Transfer


@dataclass(frozen=True, slots=True)
class Adjustment:
    """Units that a person books without a counterpart, below zero when they went.

    ``cost_quantity`` of ``cost_code`` is what they paid for units that came in, in all.
    """

    feed: str
    exchange_id: str
    reason: str
    code: str
    quantity: Decimal
    cost_code: str | None
    cost_quantity: Decimal | None
    note: str
    wallet: str
    occurred_at: datetime


Fact = Trade | Transfer | Reward | Adjustment


@dataclass(frozen=True, slots=True)
class Leg:
    """Units of one code that came into (+) or went out of (−) one wallet."""

    code: str
    wallet: str
    kind: str
    quantity: Decimal
    occurred_at: datetime


def legs(fact: Fact) -> list[Leg]:
    """The legs of a fact in a fixed order; none for a transfer that is still pending.

    A leg of zero units (a fee of 0) is left out, and the others keep their order.
    """
    if isinstance(fact, Trade):
        found = _trade_legs(fact)
    elif isinstance(fact, Transfer):
        found = _transfer_legs(fact)
    elif isinstance(fact, Adjustment):
        found = _adjustment_legs(fact)
    else:
        found = _reward_legs(fact)
    return [leg for leg in found if leg.quantity]


def _trade_legs(trade: Trade) -> Iterator[Leg]:
    kind = "trade" if trade.kind in (TradeKind.FILL, TradeKind.FIAT) else "conversion"
    sign = 1 if trade.side == "buy" else -1
    at, wallet = trade.occurred_at, trade.wallet
    yield Leg(trade.base_code, wallet, kind, sign * trade.base_quantity, at)
    yield Leg(trade.quote_code, wallet, kind, -sign * trade.quote_quantity, at)
    yield from _fee(trade)
    if trade.kind == TradeKind.FIAT:
        yield _outside_money(trade, sign)


def _outside_money(trade: Trade, sign: int) -> Leg:
    """A card payment: the money came from outside, or went there, and never lay in a wallet."""
    same = trade.fee_code == trade.quote_code  # a fee in another asset is no part of the money
    fee = trade.fee_quantity or Decimal(0) if same else Decimal(0)
    kind = "deposit" if sign > 0 else "withdrawal"
    money = sign * trade.quote_quantity + fee
    return Leg(trade.quote_code, trade.wallet, kind, money, trade.occurred_at)


def _transfer_legs(transfer: Transfer) -> Iterator[Leg]:
    if not transfer.settled:
        return
    at, quantity = transfer.occurred_at, transfer.quantity
    if transfer.direction == Direction.INTERNAL:
        yield Leg(transfer.code, transfer.wallet, "transfer", -quantity, at)
        yield Leg(transfer.code, transfer.counter_wallet, "transfer", quantity, at)
    else:
        sign = 1 if transfer.direction == Direction.DEPOSIT else -1
        kind = str(transfer.direction)
        yield Leg(transfer.code, transfer.wallet, kind, sign * quantity, at)
    yield from _fee(transfer)


def _adjustment_legs(fact: Adjustment) -> Iterator[Leg]:
    yield Leg(fact.code, fact.wallet, "adjustment", fact.quantity, fact.occurred_at)


def _reward_legs(reward: Reward) -> Iterator[Leg]:
    yield Leg(reward.code, reward.wallet, "reward", reward.quantity, reward.occurred_at)


def _fee(fact: Trade | Transfer) -> Iterator[Leg]:
    """What left on top. A rebate is a negative fee and comes in."""
    if fact.fee_code and fact.fee_quantity:
        yield Leg(fact.fee_code, fact.wallet, "fee", -fact.fee_quantity, fact.occurred_at)
