"""Which units were given up, what they had cost, and what is left: pure, no Django.

A book holds the open lots of one asset. It is handed what happened to that asset in order
(``in_order``) and says of each disposition which lots it took, in pieces. Decisions:

- A lot keeps its *total* cost, never a price per unit. A piece takes its share of what is left of
  that cost, and the last piece takes all that remains, so that the parts add up to what was paid.
  The same holds for the proceeds of a disposition that takes several lots. Shares are rounded to
  30 decimals, half to even.
- FIFO takes the units acquired first, LIFO those acquired last, HIFO the dearest and LOFO the
  cheapest by the price of one unit before fees; among equals the older ones. Units of unknown
  cost come last in HIFO and LOFO.
- AVERAGE takes units in the order of FIFO, which gives their dates and whether their cost is
  known, at the average cost of all units in the pool whose cost is known.
- What no lot covers becomes a piece without a lot, of unknown cost and gain. Never cost zero.
- With one pool for all accounts a move changes nothing. With a pool per account the lots travel
  with their dates and cost; what the account did not have arrives as a lot of unknown cost.
"""

import bisect
import functools
import gc
import heapq
import operator
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

QUANTUM = Decimal(1).scaleb(-30)
_ZERO = Decimal(0)
_LAST = Decimal("Infinity")
_HIGHEST = Decimal("1e28")
_AT_ONCE = 1_000  # events, where the pieces of some are wanted before all have happened


class Method(StrEnum):
    """In which order lots are taken."""

    FIFO = "fifo"
    LIFO = "lifo"
    HIFO = "hifo"
    LOFO = "lofo"
    AVERAGE = "average"


# --- what happens to an asset -------------------------------------------------------------------
class Acquisition(NamedTuple):
    """Units that came in, and what they cost in all; ``cost`` is None when nobody knows.

    ``acquired_at`` is when they were first acquired, where that was before they came in.
    ``key`` names the lot; without one it is the entry's id. ``price`` is that of one unit before
    fees; without one it is cost per unit.
    """

    entry_id: UUID
    at: datetime
    account: UUID
    quantity: Decimal
    cost: Decimal | None
    kind: str
    source: str = ""
    acquired_at: datetime | None = None
    key: UUID | None = None
    price: Decimal | None = None


class Move(NamedTuple):
    """Units that went from one account to another. ``entry_id`` is the entry that came in."""

    entry_id: UUID
    at: datetime
    account: UUID
    to_account: UUID
    quantity: Decimal


class Disposition(NamedTuple):
    """Units that went, and what came for them; ``proceeds`` is None when unknown, or no sale."""

    entry_id: UUID
    at: datetime
    account: UUID
    quantity: Decimal
    proceeds: Decimal | None
    kind: str
    source: str = ""


Event = Acquisition | Move | Disposition

_ARRIVE_FIRST = {Acquisition: 0, Move: 1, Disposition: 2}


def _order(event: Event) -> tuple[datetime, int, UUID]:
    return event.at, _ARRIVE_FIRST[type(event)], event.entry_id


def in_order(events: Iterable[Event]) -> list[Event]:
    """By time; at one instant what came in before what went, then by entry."""
    return sorted(events, key=_order)


# --- what becomes of it -------------------------------------------------------------------------
class Lot:
    """Units acquired together, how many are left and what those cost in all.

    ``origin`` is how they were acquired, ``position`` their order among the asset's lots.
    """

    __slots__ = ("acquired_at", "origin", "position", "remaining", "remaining_cost")

    def __init__(
        self,
        origin: Acquisition,
        position: int,
        remaining: Decimal,
        remaining_cost: Decimal | None,
    ) -> None:
        self.origin = origin
        self.acquired_at = origin.acquired_at or origin.at
        self.position = position
        self.remaining = remaining
        self.remaining_cost = remaining_cost

    @property
    def key(self) -> UUID:
        return self.origin.key or self.origin.entry_id

    @property
    def account(self) -> UUID:
        """Where it lies, with a pool per account; else where it was acquired."""
        return self.origin.account

    def __repr__(self) -> str:
        return f"Lot({self.remaining} of {self.origin.quantity} since {self.acquired_at})"


class Piece(NamedTuple):
    """A part of one lot given up, or of none (``lot`` None) when no lot covers it.

    ``cost`` is None when unknown, ``gain`` when that or the proceeds are.
    """

    disposition: Disposition
    lot: Lot | None
    quantity: Decimal
    cost: Decimal | None
    proceeds: Decimal | None
    gain: Decimal | None

    @property
    def acquired_at(self) -> datetime | None:
        return self.lot.acquired_at if self.lot else None

    @property
    def held_days(self) -> int | None:
        """UTC dates from acquisition to disposal; None when the acquisition is unknown."""
        if self.lot is None:
            return None
        return (self.disposition.at.date() - self.lot.acquired_at.date()).days


Taken = tuple[Lot | None, Decimal, Decimal | None]


def share(total: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """``total`` × ``part`` / ``whole``, rounded to 30 decimals."""
    return (total * part / whole).quantize(QUANTUM)


def unit_price(origin: Acquisition) -> Decimal | None:
    """What one unit cost before fees, to 30 decimals as it is stored; None when nobody knows."""
    if origin.cost is None:
        return None
    return per_unit(origin.cost, origin.quantity) if origin.price is None else origin.price


def per_unit(total: Decimal, units: Decimal) -> Decimal:
    """The price of one unit with 30 decimals, as it is stored, and never more than 1e28.

    So little may have been bought that no column holds it; that is among the dearest anyway.
    """
    price = total / units
    return (_HIGHEST if price > _HIGHEST else price).quantize(QUANTUM)


# --- pools: open lots in the order they are taken -----------------------------------------------
def _age(lot: Lot) -> tuple[datetime, int]:
    return lot.acquired_at, lot.position


class _Oldest:
    """Open lots, the oldest first. ``lots`` has them in the order of their age."""

    __slots__ = ("drop", "lots")

    def __init__(self) -> None:
        self.lots: deque[Lot] = deque()
        self.drop: Callable[[], object] = self.lots.popleft

    def append(self, lot: Lot) -> None:
        """Add one that is younger than all the others."""
        self.lots.append(lot)

    def insert(self, lot: Lot) -> None:
        """Add one of any age."""
        bisect.insort(self.lots, lot, key=_age)

    def first(self) -> Lot | None:
        return self.lots[0] if self.lots else None

    def take(self, lot: Lot, units: Decimal) -> Decimal | None:
        """Take units out of the first lot; returns what they cost. An emptied lot is dropped."""
        cost = lot.remaining_cost
        if units == lot.remaining:
            self.drop()
            lot.remaining = _ZERO
            lot.remaining_cost = None if cost is None else _ZERO
            return cost
        if cost is not None:
            cost = share(cost, units, lot.remaining)
            lot.remaining_cost -= cost  # type: ignore[operator]  # known where the share is
        lot.remaining -= units
        return cost

    def settle(self) -> None:
        """Bring what the lots say into line with the pool, once all is applied."""

    def __iter__(self) -> Iterator[Lot]:
        return iter(self.lots)


class _Newest(_Oldest):
    """The newest lot first."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        self.drop = self.lots.pop

    def first(self) -> Lot | None:
        return self.lots[-1] if self.lots else None


class _Cheapest(_Oldest):
    """The lot with the lowest cost per unit first; those of unknown cost last."""

    __slots__ = ("heap",)

    def __init__(self) -> None:
        # The float decides almost every comparison, and several times as fast.
        self.heap: list[tuple[float, Decimal, datetime, int, Lot]] = []
        self.drop = functools.partial(heapq.heappop, self.heap)

    def append(self, lot: Lot) -> None:
        rank = self.rank(lot)
        heapq.heappush(self.heap, (float(rank), rank, lot.acquired_at, lot.position, lot))

    insert = append

    def first(self) -> Lot | None:
        return self.heap[0][-1] if self.heap else None

    def rank(self, lot: Lot) -> Decimal:
        price = unit_price(lot.origin)
        return _LAST if price is None else price

    def __iter__(self) -> Iterator[Lot]:
        return (row[-1] for row in self.heap)


class _Dearest(_Cheapest):
    """The lot with the highest cost per unit first; those of unknown cost last."""

    __slots__ = ()

    def rank(self, lot: Lot) -> Decimal:
        price = unit_price(lot.origin)
        return _LAST if price is None else -price


class _Average(_Oldest):
    """The oldest lot first, at the average cost of all units whose cost is known."""

    __slots__ = ("cost", "units")

    def __init__(self) -> None:
        super().__init__()
        self.units = self.cost = _ZERO

    def append(self, lot: Lot) -> None:
        self.lots.append(lot)
        self._count(lot)

    def insert(self, lot: Lot) -> None:
        super().insert(lot)
        self._count(lot)

    def _count(self, lot: Lot) -> None:
        if lot.remaining_cost is not None:
            self.units += lot.remaining
            self.cost += lot.remaining_cost

    def take(self, lot: Lot, units: Decimal) -> Decimal | None:
        if units == lot.remaining:
            self.drop()
        lot.remaining -= units
        if lot.remaining_cost is None:
            return None
        if not lot.remaining:
            lot.remaining_cost = _ZERO
        cost = self.cost if units == self.units else share(self.cost, units, self.units)
        self.units -= units
        self.cost -= cost
        return cost

    def settle(self) -> None:
        """Each open lot is given its share of the pool's cost, the last one what remains."""
        units, cost = self.units, self.cost
        for lot in self.lots:
            if lot.remaining_cost is not None:
                last = lot.remaining == units
                lot.remaining_cost = cost if last else share(cost, lot.remaining, units)
                units -= lot.remaining
                cost -= lot.remaining_cost


_POOLS: dict[Method, type[_Oldest]] = {
    Method.FIFO: _Oldest,
    Method.LIFO: _Newest,
    Method.HIFO: _Dearest,
    Method.LOFO: _Cheapest,
    Method.AVERAGE: _Average,
}


@contextmanager
def collector_paused() -> Iterator[None]:
    """No looking for cycles among lots and pieces, which have none: that takes half of the time."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


# --- the book -----------------------------------------------------------------------------------
class Book:
    """The lots of one asset. ``apply`` events in order; then read ``opened`` and ``pieces``.

    ``opened``: every lot that was opened since the book was made, in order, taken or not.
    ``pieces``: every piece given up since, in order.
    ``next_position``: that of the next lot.
    """

    def __init__(
        self, *, method: Method, per_account: bool = False, next_position: int = 0
    ) -> None:
        self.opened: list[Lot] = []
        self.pieces: list[Piece] = []
        self.next_position = next_position
        self._average = method is Method.AVERAGE
        self._per_account = per_account
        self._pools: defaultdict[UUID | None, _Oldest] = defaultdict(_POOLS[method])
        self._resumed: list[tuple[Lot, Acquisition, Decimal, Decimal | None]] = []

    @classmethod
    def resume(
        cls,
        *,
        method: Method,
        per_account: bool = False,
        open_lots: Iterable[Lot],
        next_position: int,
    ) -> "Book":
        """Go on where a book ended. Events must come after those that it has seen.

        ``open_lots`` may be left short (but for AVERAGE, and for moves): as many as the coming
        dispositions need, in the order in which the method takes them, are enough.
        """
        book = cls(method=method, per_account=per_account, next_position=next_position)
        for lot in open_lots:
            book._pool(lot.account).insert(lot)
            book._resumed.append((lot, lot.origin, lot.remaining, lot.remaining_cost))
        return book

    def apply(self, events: Iterable[Event]) -> None:
        """Let events happen, which must be ``in_order``."""
        acts: dict[type[Event], Callable[[Any], None]] = {
            Acquisition: self._acquire, Move: self._move, Disposition: self._dispose
        }  # fmt: skip
        with collector_paused():
            for event in events:
                acts[type(event)](event)
            for pool in self._pools.values():
                pool.settle()

    def pieces_of(self, events: Sequence[Event]) -> Iterator[Piece]:
        """Let events happen while their pieces are asked for, and keep none of those."""
        for start in range(0, len(events), _AT_ONCE):
            self.apply(events[start : start + _AT_ONCE])
            pieces, self.pieces = self.pieces, []
            yield from pieces

    def open_lots(self) -> list[Lot]:
        """What is left, by position."""
        lots = [lot for pool in self._pools.values() for lot in pool]
        return sorted(lots, key=operator.attrgetter("position"))

    def changed(self) -> list[Lot]:
        """The lots it resumed with that are not as they were."""
        return [
            lot
            for lot, origin, remaining, cost in self._resumed
            if lot.remaining != remaining or lot.remaining_cost != cost or lot.origin is not origin
        ]

    def _pool(self, account: UUID) -> _Oldest:
        return self._pools[account if self._per_account else None]

    def _acquire(self, event: Acquisition) -> None:
        pool = self._pool(event.account)
        lot = self._open(event, event.cost)
        if event.acquired_at is None:
            pool.append(lot)
        else:
            pool.insert(lot)

    def _open(self, origin: Acquisition, cost: Decimal | None) -> Lot:
        lot = Lot(origin, self.next_position, origin.quantity, cost)
        self.next_position += 1
        self.opened.append(lot)
        return lot

    def _dispose(self, event: Disposition) -> None:
        """One piece for each lot it takes; the last piece takes the rest of the proceeds."""
        left, money = event.quantity, event.proceeds
        # Piece(…) takes twice as long as making the tuple it is.
        pool, pieces, new = self._pool(event.account), self.pieces, tuple.__new__
        while left:
            lot = pool.first()
            units = left if lot is None or lot.remaining > left else lot.remaining
            cost = None if lot is None else pool.take(lot, units)
            part = money
            if money is not None and units != left:
                part = share(money, units, left)
                money -= part
            gain = None if part is None or cost is None else part - cost
            pieces.append(new(Piece, (event, lot, units, cost, part, gain)))
            left -= units

    def _move(self, event: Move) -> None:
        """The lots go on with their dates and cost. What was not there has an unknown one."""
        if not self._per_account or event.account == event.to_account:
            return
        left = event.quantity
        source, target = self._pool(event.account), self._pool(event.to_account)
        while left and (lot := source.first()):
            units = min(left, lot.remaining)
            whole = units == lot.origin.quantity
            target.insert(
                self._carry(source, lot, event) if whole else self._split(source, lot, units, event)
            )
            left -= units
        if left:
            self._acquire(
                Acquisition(event.entry_id, event.at, event.to_account, left, None, "transfer")
            )

    def _carry(self, source: _Oldest, lot: Lot, event: Move) -> Lot:
        """A lot of which nothing was taken yet lies elsewhere from now on."""
        units = lot.remaining
        lot.remaining_cost = source.take(lot, units)
        lot.remaining = units
        lot.origin = lot.origin._replace(account=event.to_account)
        return lot

    def _split(self, source: _Oldest, lot: Lot, units: Decimal, event: Move) -> Lot:
        """Units of a lot go on as a lot of their own; the lot is then that much smaller."""
        origin = lot.origin
        cost = source.take(lot, units)
        given = cost
        if self._average and origin.cost is not None:
            given = share(origin.cost, units, origin.quantity)
        kept = None if origin.cost is None or given is None else origin.cost - given
        lot.origin = origin._replace(
            quantity=origin.quantity - units, cost=kept, price=unit_price(origin)
        )
        part = lot.origin._replace(
            key=_key_of_part(lot.key, event.entry_id), account=event.to_account,
            quantity=units, cost=given, acquired_at=lot.acquired_at,
        )  # fmt: skip
        return self._open(part, cost)


def _key_of_part(lot_key: Any, entry_id: Any) -> Any:
    """Always the same for a lot and a move. Ids may be UUIDs or their 16 bytes; so is this one."""
    if isinstance(lot_key, bytes):
        return uuid.uuid5(UUID(bytes=lot_key), entry_id.hex()).bytes
    return uuid.uuid5(lot_key, entry_id.hex)
