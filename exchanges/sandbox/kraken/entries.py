"""The ledger: every fact as the signed entries that Kraken books for it.

A balance changes by `amount - fee`. Entries of one event share a `refid`, which for a fill is the
id of the trade.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from exchanges.sandbox import facts, houses
from exchanges.sandbox.kraken import names

_NOTHING = Decimal(0)
_RETURNED_AFTER = 90_000
_CHARGES = ("rollover", "margin", "settled")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; `code` is the coin, `asset` what Kraken calls it in its wallet."""

    code: str
    asset: str
    type: str
    subtype: str
    amount: Decimal
    fee: Decimal
    refid: str
    occurred_at: int
    id: str = ""
    order: int = 0
    balance: Decimal = _NOTHING

    def plain(self) -> dict[str, Any]:
        """The entry as Ledgers shows it."""
        return {
            "aclass": "currency",
            "amount": names.amount(self.code, self.amount),
            "asset": self.asset,
            "balance": names.amount(self.code, self.balance),
            "fee": names.amount(self.code, self.fee),
            "refid": self.refid,
            "time": names.seconds(self.occurred_at, self.order),
            "type": self.type,
            "subtype": self.subtype,
        }


def refid(fact: facts.Fact) -> str:
    """What the entries of a fact refer to."""
    return names.made(_LETTERS.get(type(fact), "S"), fact.feed, fact.id)


def of(found: Iterable[facts.Fact]) -> list[Entry]:
    """The entries of facts in order of time, with running balances."""
    drafts = [
        (draft.occurred_at, number, order, fact, draft)
        for number, fact in enumerate(found)
        for order, draft in enumerate(_drafts(fact))
    ]
    drafts.sort(key=lambda row: row[:3])
    running: defaultdict[str, Decimal] = defaultdict(Decimal)
    entries = []
    for _, _, order, fact, draft in drafts:
        running[draft.asset] += draft.amount - draft.fee
        entries.append(_entry(draft, fact, order, running[draft.asset]))
    return entries


def _entry(draft: Entry, fact: facts.Fact, order: int, balance: Decimal) -> Entry:
    return Entry(
        draft.code,
        draft.asset,
        draft.type,
        draft.subtype,
        draft.amount,
        draft.fee,
        draft.refid,
        draft.occurred_at,
        id=names.made("L", fact.feed, fact.id, order),
        order=order,
        balance=balance,
    )


def _drafts(fact: facts.Fact) -> Iterator[Entry]:
    return _BOOKED[type(fact)](fact)


def _spot(
    fact: facts.Fact,
    code: str,
    kind: str,
    amount: Decimal,
    *,
    fee: Decimal = _NOTHING,
    subtype: str = "",
    asset: str = "",
    reference: str = "",
) -> Entry:
    return Entry(
        code,
        asset or names.asset_id(code),
        kind,
        subtype,
        amount,
        fee,
        reference or refid(fact),
        fact.occurred_at,
    )


def _trade(fact: facts.Trade) -> Iterator[Entry]:
    """Both sides of a fill, each with the fee taken from it; a fee in a third coin by itself."""
    sign = 1 if fact.side == "buy" else -1
    sides = {fact.base: sign * fact.quantity, fact.quote: -sign * fact.quote_quantity}
    for code, amount in (sides | {fact.commission_asset: _NOTHING} | sides).items():
        fee = fact.commission if code == fact.commission_asset else _NOTHING
        yield _spot(fact, code, "trade", amount, fee=fee, subtype="tradespot")


def _deposit(fact: facts.Deposit) -> Iterator[Entry]:
    if fact.status == facts.COMPLETED:
        yield _spot(fact, fact.asset, "deposit", fact.quantity)


def _withdrawal(fact: facts.Withdrawal) -> Iterator[Entry]:
    """One that was cancelled is booked, and booked back."""
    yield _spot(fact, fact.asset, "withdrawal", -fact.quantity, fee=fact.fee)
    if fact.status != facts.COMPLETED:
        code, asset = fact.asset, names.asset_id(fact.asset)
        returned = fact.occurred_at + _RETURNED_AFTER
        yield Entry(code, asset, "withdrawal", "", fact.quantity, -fact.fee, refid(fact), returned)


def _bank(fact: facts.FiatOrder) -> Iterator[Entry]:
    if fact.status != facts.COMPLETED:
        return
    if fact.direction == "deposit":
        yield _spot(fact, fact.asset, "deposit", fact.quantity)
    else:
        yield _spot(fact, fact.asset, "withdrawal", -fact.quantity, fee=fact.fee)


def _card(fact: facts.FiatPayment) -> Iterator[Entry]:
    """The money comes in and is spent at once."""
    if fact.status != facts.COMPLETED:
        return
    paid_in = names.made("Q", fact.feed, fact.id, "paid in")
    yield _spot(fact, fact.fiat, "deposit", fact.source_quantity, reference=paid_in)
    yield _spot(fact, fact.fiat, "spend", fact.fee - fact.source_quantity, fee=fact.fee)
    yield _spot(fact, fact.asset, "receive", fact.quantity)


def _conversion(fact: facts.Conversion) -> Iterator[Entry]:
    yield _spot(fact, fact.from_asset, "spend", -fact.from_quantity)
    yield _spot(fact, fact.to_asset, "receive", fact.to_quantity)


def _given(fact: facts.Dividend) -> Iterator[Entry]:
    kind = fact.reason if fact.reason in houses.KRAKEN.reasons else "dividend"
    yield _spot(fact, fact.asset, kind, fact.quantity)


def _charge(fact: facts.Charge) -> Iterator[Entry]:
    kind = fact.reason if fact.reason in _CHARGES else _CHARGES[0]
    yield _spot(fact, fact.asset, kind, _NOTHING, fee=fact.quantity)


def _allocated(fact: facts.EarnSubscription) -> Iterator[Entry]:
    return _flexible(fact, "allocation", fact.asset, -fact.quantity)


def _deallocated(fact: facts.EarnRedemption) -> Iterator[Entry]:
    return _flexible(fact, "deallocation", fact.asset, fact.quantity)


def _flexible(fact: facts.Fact, how: str, code: str, to_spot: Decimal) -> Iterator[Entry]:
    """Two entries under one refid."""
    yield _spot(fact, code, "earn", to_spot, subtype=how)
    yield _spot(fact, code, "earn", -to_spot, subtype=how, asset=names.flexible_id(code))


def _earned(fact: facts.EarnReward) -> Iterator[Entry]:
    asset = names.flexible_id(fact.asset) if fact.type == "realtime" else ""
    yield _spot(fact, fact.asset, "earn", fact.quantity, subtype="reward", asset=asset)


def _bonded(fact: facts.LockedSubscription) -> Iterator[Entry]:
    asset = names.bonded_id(fact.asset, fact.days)
    yield from _staked(fact, fact.asset, "spottostaking", -fact.quantity, "")
    yield from _staked(fact, fact.asset, "stakingfromspot", fact.quantity, asset)


def _unbonded(fact: facts.LockedRedemption) -> Iterator[Entry]:
    asset = names.bonded_id(fact.asset, fact.days)
    yield from _staked(fact, fact.asset, "stakingtospot", -fact.quantity, asset)
    yield from _staked(fact, fact.asset, "spotfromstaking", fact.quantity, "")


def _staked(fact: facts.Fact, code: str, how: str, amount: Decimal, asset: str) -> Iterator[Entry]:
    """Each half of such a move has a refid of its own."""
    reference = names.made("R", fact.feed, fact.id, how)
    yield _spot(fact, code, "transfer", amount, subtype=how, asset=asset, reference=reference)


def _staking_reward(fact: facts.LockedReward) -> Iterator[Entry]:
    yield _spot(fact, fact.asset, "staking", fact.quantity)


_LETTERS: dict[type[facts.Fact], str] = {
    facts.Trade: "T",
    facts.Deposit: "Q",
    facts.FiatOrder: "Q",
    facts.Withdrawal: "A",
}
_BOOKED: dict[type[facts.Fact], Callable[[Any], Iterator[Entry]]] = {
    facts.Trade: _trade,
    facts.Deposit: _deposit,
    facts.Withdrawal: _withdrawal,
    facts.FiatOrder: _bank,
    facts.FiatPayment: _card,
    facts.Conversion: _conversion,
    facts.Dividend: _given,
    facts.Charge: _charge,
    facts.EarnSubscription: _allocated,
    facts.EarnRedemption: _deallocated,
    facts.EarnReward: _earned,
    facts.LockedSubscription: _bonded,
    facts.LockedRedemption: _unbonded,
    facts.LockedReward: _staking_reward,
}
