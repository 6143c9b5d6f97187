"""What facts say about balances: the plainest bookkeeping there is, to check the gateway by."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from exchanges.reports import Direction, Fact, Reward, Trade, TradeKind, Transfer

Moved = dict[tuple[str, str], Decimal]


def net(facts: Iterable[Fact]) -> Moved:
    """The sum of all facts by (wallet, code), zeros left out."""
    moved: Moved = defaultdict(Decimal)
    for fact in facts:
        for wallet, code, quantity in legs(fact):
            moved[wallet, code] += quantity
    return {key: quantity for key, quantity in moved.items() if quantity}


def legs(fact: Fact) -> list[tuple[str, str, Decimal]]:
    """The signed movements of one fact. Money of a card never was in a wallet."""
    if isinstance(fact, Trade):
        return _trade(fact)
    if isinstance(fact, Reward):
        return [(fact.wallet, fact.code, fact.quantity)]
    return _transfer(fact) if fact.settled else []


def _trade(trade: Trade) -> list[tuple[str, str, Decimal]]:
    sign = 1 if trade.side == "buy" else -1
    found = [(trade.wallet, trade.base_code, sign * trade.base_quantity)]
    if trade.kind is not TradeKind.FIAT:
        found.append((trade.wallet, trade.quote_code, -sign * trade.quote_quantity))
        if trade.fee_code and trade.fee_quantity:
            found.append((trade.wallet, trade.fee_code, -trade.fee_quantity))
    return found


def _transfer(move: Transfer) -> list[tuple[str, str, Decimal]]:
    sign = 1 if move.direction is Direction.DEPOSIT else -1
    found = [(move.wallet, move.code, sign * move.quantity)]
    if move.direction is Direction.INTERNAL:
        found.append((move.counter_wallet, move.code, move.quantity))
    if move.fee_code and move.fee_quantity:
        found.append((move.wallet, move.fee_code, -move.fee_quantity))
    return found
