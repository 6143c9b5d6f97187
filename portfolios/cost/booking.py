"""From ledger legs to what happened to each asset, valued in the base currency: pure, no Django.

Decisions, each a convention that the figures depend on:

1. A trade is worth what was paid for it. In this order: its quote units where the quote is the
   base currency; its base units where that is; quote units × their price at that instant; base
   units × theirs; else it is unpriced, and cost and proceeds are unknown. What came was acquired
   and what went was disposed of at that value; so with crypto for crypto.
2. A fee raises the cost of what was bought or lowers the proceeds of what was sold (side buy or
   sell); of a conversion, the proceeds of what was given; where that is cash, what the other side
   has. A fee in a crypto asset is a disposal of that asset as well, at its market value. In an
   asset of the trade itself that is the trade's own price; in the asset sold, q + f units went
   for the trade's value in all, so that each of them brought value / (q + f). A fee without a
   price changes neither cost nor proceeds, and the source says so. A negative fee is income.
3. Rewards are acquired at market value, which is income. Units taken without a counterpart go
   like a fee, or, where the exchange calls it an adjustment, without proceeds. So do units it
   gives as an adjustment come in: at a cost nobody knows.
4. A deposit has an unknown cost, and a withdrawal no proceeds and no gain, until the person says
   what they were or they are paired. A pair is one move between own accounts, at the earlier of
   its two instants (clocks differ); what left and did not arrive is its fee, at market value.
5. Fiat and the base currency have no lots. Moves between wallets of one account change nothing.
"""

import operator
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple, Protocol
from uuid import UUID

from portfolios.cost import lots
from portfolios.cost.lots import Acquisition, Disposition, Event, Move

SOURCE_LENGTH = 96
_ZERO = Decimal(0)
_MOST = Decimal("1e28")  # units and money have columns of 30 digits before the point
_NO_PRICE = "no price"


class Entry(NamedTuple):
    """One leg of the ledger. Exactly one of the last four is set: the fact it belongs to."""

    id: UUID
    at: datetime
    asset: UUID
    account: UUID
    kind: str
    quantity: Decimal
    leg: int
    trade: UUID | None = None
    transfer: UUID | None = None
    reward: UUID | None = None
    adjustment: UUID | None = None


# What a trade's legs in the base currency say, where those are left out: the money that was paid
# or received, with either sign (None without such a leg), and the fees in it. Two in three legs of
# somebody who trades in their own currency are such.
Money = tuple[Decimal | None, Decimal]
NO_MONEY: Money = (None, _ZERO)


class Quote(Protocol):
    """Units of the base currency for one unit of an asset, and where that is from."""

    @property
    def price(self) -> Decimal: ...
    @property
    def source(self) -> str: ...


class Prices(Protocol):
    """Prices in the base currency."""

    def at(self, asset_id: UUID, instant: datetime) -> Quote | None: ...


@dataclass(frozen=True, slots=True)
class Given:
    """A cost that a person gave: ``quantity`` of ``asset`` in all."""

    asset: UUID
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Note:
    """What a person says a transfer was (a ``TransferMeaning``)."""

    meaning: str
    cost: Given | None = None
    acquired_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Booked:
    """An adjustment's reason (an ``AdjustmentReason``) and the cost given with it."""

    reason: str
    cost: Given | None = None


@dataclass(frozen=True, slots=True)
class FactBook:
    """What the ledger's legs do not say of their facts.

    ``rewards``: kind by reward. ``pairs``: deposit by withdrawal, for pairs that hold.
    """

    rewards: Mapping[UUID, str] = field(default_factory=dict)
    adjustments: Mapping[UUID, Booked] = field(default_factory=dict)
    notes: Mapping[UUID, Note] = field(default_factory=dict)
    pairs: Mapping[UUID, UUID] = field(default_factory=dict)


class Receipt(NamedTuple):
    """Units that came in as income, and their worth then; None when unpriced."""

    entry_id: UUID
    at: datetime
    asset: UUID
    account: UUID
    kind: str
    quantity: Decimal
    value: Decimal | None
    source: str


@dataclass(slots=True)
class Booking:
    """What happened: each asset's events in order, income, and prices that were not there."""

    events: dict[UUID, list[Event]]
    receipts: list[Receipt]
    unpriced: set[tuple[UUID, datetime]]


def events(
    entries: Iterable[Entry],
    *,
    facts: FactBook,
    prices: Prices,
    base_asset_id: UUID,
    currency: str,
    fiat: Collection[UUID],
    moneys: Mapping[UUID, Money] = MappingProxyType({}),
) -> Booking:
    """What legs did to lots. All legs of a fact must be among ``entries``, in any order.

    But for those that ``moneys`` holds in their place, by trade. ``currency`` is the code of
    ``base_asset_id``, for the sources.
    """
    desk = _Desk(facts, prices, base_asset_id, currency, frozenset(fiat) | {base_asset_id})
    trades: dict[UUID, Entry] = {}
    several, transfers = _Groups(list), _Groups(list)
    for entry in entries:
        if (trade_id := entry[7]) is not None:
            if trades.setdefault(trade_id, entry) is not entry:
                several[trade_id].append(entry)
        elif entry[8] is not None:
            transfers[entry[8]].append(entry)
        elif entry[9] is not None:
            desk.reward(Entry._make(entry))
        else:
            desk.adjustment(Entry._make(entry))
    desk.trades(trades, several, moneys)
    desk.transfers(transfers)
    return desk.booking()


_Groups = defaultdict[UUID, list[Entry]]
_LEG = operator.itemgetter(6)
_SIDES = ("trade", "conversion")


class _Desk:
    """Books facts one after the other."""

    def __init__(
        self, facts: FactBook, prices: Prices, base: UUID, currency: str, cash: frozenset[UUID]
    ) -> None:
        self._facts, self._prices, self._base, self._cash = facts, prices, base, cash
        self._paid = f"paid in {currency}"
        self._events: defaultdict[UUID, list[Event]] = defaultdict(list)
        self._receipts: list[Receipt] = []
        self._unpriced: set[tuple[UUID, datetime]] = set()

    def booking(self) -> Booking:
        ordered = {asset: lots.in_order(found) for asset, found in self._events.items()}
        return Booking(ordered, self._receipts, self._unpriced)

    # --- trades ---------------------------------------------------------------------------------
    def trades(
        self,
        firsts: Mapping[UUID, Entry],
        others: Mapping[UUID, list[Entry]],
        moneys: Mapping[UUID, Money],
    ) -> None:
        """Each trade by its first leg, the other legs that some have, and the money of each.

        A leg on its own that was paid for is what nearly all are; it needs no more than ``_side``.
        """
        for trade_id, leg in firsts.items():
            paid, charge = moneys.get(trade_id, NO_MONEY)
            if paid is not None:
                paid = abs(paid)
            if trade_id in others:
                self.trade([leg, *others[trade_id]], paid, charge)
            elif paid is not None and leg[4] in _SIDES and leg[2] not in self._cash:
                self._side(leg, paid, charge, self._paid)
            else:
                self.trade([leg], paid, charge)

    def trade(self, legs: list[Entry], paid: Decimal | None, charge: Decimal) -> None:
        """What came and went at the trade's value; its fees; money from outside (card payments)."""
        legs.sort(key=_LEG)
        sides, fees = [], []
        for leg in legs:
            if leg[4] in _SIDES:
                sides.append(leg)
            elif leg[4] == "fee":
                fees.append(leg)
            else:
                self._outside(leg, None)
        value, source = self._worth_of(sides) if paid is None else (paid, self._paid)
        bearer = self._bearer(sides)
        for fee in fees:
            worth, origin = self._trade_fee(fee, sides, bearer, value, source)
            self._fee(fee, worth, origin)
            if worth is None:
                source = f"{source}; fee without a price"
            elif fee[5] < 0:
                charge += worth
        for leg in sides:
            if leg[2] not in self._cash:
                self._side(leg, value, charge if leg is bearer else _ZERO, source)

    def _side(self, leg: Entry, value: Decimal | None, charge: Decimal, source: str) -> None:
        units = leg[5]
        if units < 0:
            self._go(leg, -units, value - charge if value is not None else None, "sale", source)
        elif value is None or not charge:
            self._come(leg, value, leg[4], source)
        else:  # the price before fees is not the cost per unit
            self._come(leg, value + charge, leg[4], source, price=lots.per_unit(value, units))

    def _worth_of(self, sides: Sequence[Entry]) -> tuple[Decimal | None, str]:
        """The trade's value and where it is from. Legs of zero units are not in the ledger."""
        for leg in sides:
            if leg[2] == self._base:
                return abs(leg[5]), self._paid
        if len(sides) < 2:
            return _ZERO, "traded for nothing"
        for leg in reversed(sides):  # the quote's leg is the second
            value, source = self._market(leg[2], abs(leg[5]), leg[1])
            if value is not None:
                return value, source
        return None, _NO_PRICE

    def _bearer(self, sides: Sequence[Entry]) -> Entry | None:
        """The leg whose cost or proceeds the fee changes."""
        buys = bool(sides) and sides[0][4] == "trade" and sides[0][5] > 0  # the base's is first
        able = [leg for leg in sides if leg[2] not in self._cash]
        for leg in able:
            if (leg[5] > 0) == buys:
                return leg
        return able[0] if able else None

    def _trade_fee(
        self,
        fee: Entry,
        sides: Sequence[Entry],
        bearer: Entry | None,
        value: Decimal | None,
        source: str,
    ) -> tuple[Decimal | None, str]:
        """What a fee was worth, by the trade's own price where it is in one of its assets."""
        units = abs(fee[5])
        if fee[2] == self._base:
            return units, self._paid
        for leg in sides:
            if leg[2] == fee[2] and value is not None:
                whole = abs(leg[5])
                if leg is bearer and leg[5] < 0 and fee[5] < 0:
                    whole += units
                return _storable(value * units / whole, source)
        return self._market(fee[2], units, fee[1])

    def _fee(self, fee: Entry, worth: Decimal | None, source: str) -> None:
        """Units paid as a fee are disposed of at market value; a negative fee is income."""
        if fee[5] > 0:
            self._income(fee, "rebate", worth, source)
        elif fee[2] not in self._cash:
            self._go(fee, -fee[5], worth, "fee", source)

    # --- rewards and adjustments ----------------------------------------------------------------
    def reward(self, leg: Entry) -> None:
        # A leg of a reward names it.
        kind = self._facts.rewards.get(leg.reward, "reward")  # type: ignore[arg-type]
        if kind == "adjustment":
            self._corrected(leg)
        elif leg.quantity > 0:
            self._income(leg, kind, *self._market(leg.asset, leg.quantity, leg.at))
        elif leg.asset not in self._cash:
            self._fee(leg, *self._market(leg.asset, -leg.quantity, leg.at))

    def adjustment(self, leg: Entry) -> None:
        # A leg of an adjustment names it.
        found = self._facts.adjustments.get(leg.adjustment)  # type: ignore[arg-type]
        booked = found or Booked("correction")
        if leg.quantity > 0:
            self._added(leg, booked)
        elif leg.asset in self._cash:
            return
        elif booked.reason == "lost":
            self._go(leg, -leg.quantity, _ZERO, "lost", "lost")
        elif booked.reason == "gift":
            self._go_at_market(leg, "gift")
        else:
            self._corrected(leg)

    def _added(self, leg: Entry, booked: Booked) -> None:
        cost, source = self._given(booked.cost, leg.at)
        if booked.reason in ("airdrop", "fork"):
            if cost is None:
                cost, source = self._market(leg.asset, leg.quantity, leg.at)
            self._income(leg, booked.reason, cost, source)
        elif leg.asset not in self._cash:
            self._come(leg, cost, "adjustment", source)

    def _corrected(self, leg: Entry) -> None:
        if leg.asset in self._cash:
            return
        if leg.quantity > 0:
            self._come(leg, None, "adjustment", "")
        else:
            self._go(leg, -leg.quantity, None, "adjustment", "")

    # --- transfers ------------------------------------------------------------------------------
    def transfers(self, groups: Mapping[UUID, list[Entry]]) -> None:
        paired: set[UUID] = set()
        for gone, come in self._facts.pairs.items():
            if gone in groups and come in groups and self._pair(groups[gone], groups[come]):
                paired |= {gone, come}
        for transfer_id, legs in groups.items():
            if transfer_id not in paired:
                self._lone(legs, self._facts.notes.get(transfer_id))

    def _pair(self, gone: list[Entry], come: list[Entry]) -> bool:
        """One move, and what did not arrive as its fee; False when the two cannot be a pair."""
        out = next((leg for leg in gone if leg[4] == "withdrawal"), None)
        back = next((leg for leg in come if leg[4] == "deposit"), None)
        if out is None or back is None or out[2] != back[2]:
            return False
        fees = [leg for leg in gone if leg[4] == "fee"]
        lost = -out[5] - back[5] - sum(fee[5] for fee in fees if fee[2] == out[2])
        if lost < 0:  # more arrived than left
            return False
        if out[2] not in self._cash:
            at = min(out[1], back[1])
            self._events[out[2]].append(Move(back[0], at, out[3], back[3], back[5]))
        self._network_fees(out, fees, lost)
        self._network_fees(back, [leg for leg in come if leg[4] == "fee"], _ZERO)
        return True

    def _network_fees(self, leg: Entry, fees: list[Entry], lost: Decimal) -> None:
        """Fees as they were charged, but no more than what did not arrive; the rest is the leg's.

        Some exchanges report a fee on top that the amount already holds.
        """
        for fee in fees:
            if fee[2] == leg[2] and leg[5] < 0:
                units = min(-fee[5], lost)
                lost -= units
                fee = Entry._make(fee)._replace(quantity=-units)
            if fee[5]:
                self._charged(fee)
        if lost:
            self._charged(Entry._make(leg)._replace(quantity=-lost))

    def _charged(self, fee: Entry) -> None:
        self._fee(fee, *self._market(fee[2], abs(fee[5]), fee[1]))

    def _lone(self, legs: list[Entry], note: Note | None) -> None:
        for leg in legs:
            if leg[4] == "fee":
                self._charged(leg)
            elif leg[4] != "transfer":
                self._outside(leg, note)

    def _outside(self, leg: Entry, note: Note | None) -> None:
        """Units from outside or to there, as the person explains them or not at all."""
        if leg[5] > 0:
            self._received(leg, note)
        elif leg[2] not in self._cash:
            self._sent(leg, note.meaning if note else "")

    def _received(self, leg: Entry, note: Note | None) -> None:
        if note is None:
            note = Note("")
        since = min(note.acquired_at, leg[1]) if note.acquired_at else None
        cost, source = self._given(note.cost, since or leg[1])
        if note.meaning == "income":
            if cost is None:
                cost, source = self._market(leg[2], leg[5], leg[1])
            self._income(leg, "income", cost, source)
        elif leg[2] not in self._cash:
            self._come(leg, cost, _RECEIVED.get(note.meaning, "deposit"), source, since)

    def _sent(self, leg: Entry, meaning: str) -> None:
        if meaning == "lost":
            self._go(leg, -leg[5], _ZERO, "lost", "lost")
        elif meaning in _GIVEN:
            self._go_at_market(leg, _GIVEN[meaning])
        else:
            self._go(leg, -leg[5], None, "withdrawal", "")

    # --- what they have in common ---------------------------------------------------------------
    def _come(
        self,
        leg: Entry,
        cost: Decimal | None,
        kind: str,
        source: str,
        since: datetime | None = None,
        price: Decimal | None = None,
    ) -> None:
        # Acquisition(…) takes twice as long as making the tuple it is, and so do the others.
        source = source[:SOURCE_LENGTH]
        fields = (leg[0], leg[1], leg[3], leg[5], cost, kind, source, since, None, price)
        self._events[leg[2]].append(tuple.__new__(Acquisition, fields))

    def _go(
        self, leg: Entry, units: Decimal, proceeds: Decimal | None, kind: str, source: str
    ) -> None:
        fields = (leg[0], leg[1], leg[3], units, proceeds, kind, source[:SOURCE_LENGTH])
        self._events[leg[2]].append(tuple.__new__(Disposition, fields))

    def _go_at_market(self, leg: Entry, kind: str) -> None:
        proceeds, source = self._market(leg[2], -leg[5], leg[1])
        self._go(leg, -leg[5], proceeds, kind, source)

    def _income(self, leg: Entry, kind: str, worth: Decimal | None, source: str) -> None:
        """Income is worth what its units cost from then on. Cash has no lots, but is income."""
        entry_id, at, asset, account = leg[:4]
        if asset not in self._cash:
            self._come(leg, worth, "reward", source)
        source = source[:SOURCE_LENGTH]
        self._receipts.append(Receipt(entry_id, at, asset, account, kind, leg[5], worth, source))

    def _given(self, cost: Given | None, at: datetime) -> tuple[Decimal | None, str]:
        """A cost that the person gave, in the base currency."""
        if cost is None:
            return None, ""
        if cost.asset == self._base:
            return cost.quantity, "given by hand"
        worth, source = self._market(cost.asset, cost.quantity, at)
        return worth, f"given by hand; {source}"

    def _market(self, asset: UUID, units: Decimal, at: datetime) -> tuple[Decimal | None, str]:
        """What units are worth at an instant; without a price it is noted as missing."""
        if asset == self._base:
            return units, self._paid
        quote = self._prices.at(asset, at)
        if quote is None:
            self._unpriced.add((asset, at))
            return None, _NO_PRICE
        return _storable(units * quote.price, quote.source)


def _storable(worth: Decimal, source: str) -> tuple[Decimal | None, str]:
    """An amount as the tables hold it; a larger one comes of a wrong number of units.

    What is computed and what is read back are then the same to the digit.
    """
    if worth >= _MOST:
        return None, "too large to be true"
    return worth.quantize(lots.QUANTUM), source


# The kind of an acquisition or disposal by what a person says a transfer was.
_RECEIVED = {"purchase": "purchase", "gift_received": "gift", "own_deposit": "own_deposit"}
_GIVEN = {"gift_given": "gift", "donation": "donation", "payment": "payment"}
