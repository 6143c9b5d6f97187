"""Growth within a day, linked at each flow. Pure.

``growth`` is one plus the day's time-weighted return, linked at each flow (Global Investment
Performance Standards 2020, provision 2.A.23 ff.): value before the flow ÷ value after the one
before it, and so on. Outside flows are deposits, withdrawals and corrections; for an account moves
to and from own accounts as well, for an asset its trades. It is None for a day on which there was
nothing to earn a return. A large flow (a tenth of what was there) asks what else was held is worth
at its very instant; where only the day's close says so, the day ``is_partial``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from uuid import UUID

from portfolios.returns import positions
from portfolios.returns.day_prices import Prices
from portfolios.returns.day_rows import ASSET, CONNECTION, PORTFOLIO, Change, Day, Key, Rows
from portfolios.returns.positions import Movement

# A flow of this part of what a scope is worth is a "large cash flow" of GIPS 2020: all that was
# held is valued at its instant.
LARGE_FLOW = Decimal("0.1")
_DUST, _ROUNDING = Decimal("1e-7"), Decimal("1e-9")
_ZERO, _ONE = Decimal(0), Decimal(1)

_OUTSIDE = frozenset({positions.DEPOSIT, positions.WITHDRAWAL, positions.CORRECTION})
FLOWS = {
    PORTFOLIO: _OUTSIDE,
    CONNECTION: _OUTSIDE | {positions.PAIRED},
    ASSET: _OUTSIDE | {positions.TRADE},
}


@dataclass(frozen=True, slots=True)
class Pricing:
    """Who is asked for prices, and the asset in which everything is valued."""

    prices: Prices
    base: UUID | None


def grow(
    rows: Rows,
    changes: list[Change],
    *,
    moved: Mapping[Key, list[Movement]],
    before: Mapping[Key, Decimal],
    pricing: Pricing,
) -> None:
    """Give each row its growth: quotients of sums when nothing flowed, else linked at each flow.

    ``before`` are the units that each cell began the day with, ``moved`` what came and went.
    """
    frames = {scope_id: _Frame() for scope_id in rows.by_id}
    for change in changes:
        for row in rows.of(change.cell):
            frames[row.scope_id].add(change)
    items = [item for of_cell in moved.values() for item in of_cell]
    items += [item for change in changes for item in change.offsets]
    flows: dict[UUID, list[Movement]] = {}
    for item in sorted(items, key=lambda item: item.at):
        for row in rows.of(item):
            flows.setdefault(row.scope_id, []).append(item)
    counted = _Counted(changes, before)
    for scope_id, row in rows.by_id.items():
        frame = frames[scope_id]
        intraday = _Intraday(pricing, row, counted, frame.lost)
        row.growth = _linked(
            start=frame.opening,
            end=row.value - frame.gained + frame.lost,
            moved=flows.get(scope_id, []),
            is_flow=FLOWS[row.scope],
            value=intraday,
        )
        row.is_partial = row.is_partial or intraday.is_rough


@dataclass(slots=True)
class _Frame:
    """What a scope began the day with, and what came and went only because of prices.

    What gets its first price earns nothing on that day, and what loses its last one stays at
    what it was worth until the day ends.
    """

    opening: Decimal = _ZERO
    gained: Decimal = _ZERO
    lost: Decimal = _ZERO

    def add(self, change: Change) -> None:
        self.opening += change.before
        self.gained += change.gained
        self.lost += change.lost


class _Counted:
    """The units that count in a day's growth, by cell, and the prices they had the day before."""

    def __init__(self, changes: Iterable[Change], before: Mapping[Key, Decimal]) -> None:
        self.units, self.unpriced = dict(before), set[Key]()
        for change in changes:
            key = (change.cell.account, change.cell.asset)
            if change.unpriced:
                self.unpriced.add(key)
            if change.unpriced or change.gained:
                self.units[key] = _ZERO
        self.last_prices = {
            change.cell.asset: change.before / before[change.cell.account, change.cell.asset]
            for change in changes
            if change.before and before[change.cell.account, change.cell.asset]
        }


class _Intraday:
    """What a scope's units were worth between two movements of a day.

    ``lost`` is what counts all day at one value. ``is_rough`` tells after a large flow whether
    some price was not of its hour.
    """

    def __init__(self, pricing: Pricing, row: Day, counted: _Counted, lost: Decimal) -> None:
        self.pricing, self.row, self.counted, self.lost = pricing, row, counted, lost
        self.units: dict[UUID, Decimal] | None = None
        self.is_rough = False

    def at(self, instant: datetime, prices: Mapping[UUID, Decimal]) -> Decimal:
        total = self.lost
        for asset, units in self._held().items():
            if units:
                price = prices.get(asset)
                if price is None:
                    price = self._price(asset, instant)
                total += units * price
        return total

    def note(
        self, flow: Decimal, worth: Decimal, instant: datetime, prices: Mapping[UUID, Decimal]
    ) -> None:
        """Remember whether a large flow met units whose price at its hour nobody knows."""
        if self.is_rough or worth <= 0 or abs(flow) < LARGE_FLOW * worth:
            return
        pricing = self.pricing
        self.is_rough = any(
            units
            and asset not in prices
            and asset != pricing.base
            and not pricing.prices.is_of_the_hour(asset, instant)
            for asset, units in self._held().items()
        )

    def move(self, item: Movement) -> None:
        if (item.account, item.asset) not in self.counted.unpriced:
            held = self._held()
            held[item.asset] = held.get(item.asset, _ZERO) + item.quantity

    def _held(self) -> dict[UUID, Decimal]:
        if self.units is None:
            self.units = {}
            for (account, asset), units in self.counted.units.items():
                if units and self._belongs(account, asset):
                    self.units[asset] = self.units.get(asset, _ZERO) + units
        return self.units

    def _belongs(self, account: UUID | None, asset: UUID) -> bool:
        if self.row.scope == PORTFOLIO:
            return True
        return self.row.scope_id == (account if self.row.scope == CONNECTION else asset)

    def _price(self, asset: UUID, instant: datetime) -> Decimal:
        """By the instant, else the day's close, else what it was worth the day before."""
        pricing = self.pricing
        if asset == pricing.base:
            return _ONE
        price = pricing.prices.at(asset, instant)
        if price is not None:
            return price
        close = pricing.prices.close(asset, self.row.day)
        return close.price if close else self.counted.last_prices.get(asset, _ZERO)


def _linked(
    *,
    start: Decimal,
    end: Decimal,
    moved: list[Movement],
    is_flow: frozenset[str],
    value: _Intraday,
) -> float | None:
    """One plus the day's return; None when there was nothing to earn one."""
    growth: Decimal | None = None
    base = largest = start
    if any(item.part in is_flow and item.value for item in moved):
        for at, group in groupby(moved, key=lambda item: item.at):
            items = list(group)
            flow = sum((item.value or _ZERO for item in items if item.part in is_flow), _ZERO)
            if flow:
                implied = _implied(items)
                worth = value.at(at, implied)
                value.note(flow, worth, at, implied)
                growth = _chained(growth, worth, base, largest)
                base, largest = worth + flow, max(largest, worth, flow)
            for item in items:
                value.move(item)
    growth = _chained(growth, end, base, largest)
    return None if growth is None else float(growth)


def _chained(
    growth: Decimal | None, value: Decimal, base: Decimal, largest: Decimal
) -> Decimal | None:
    """A stretch that begins with nothing, with what rounding left of it, or owing has no return."""
    if base <= max(_DUST, largest * _ROUNDING) or value < 0:
        return growth
    return (_ONE if growth is None else growth) * value / base


def _implied(items: Iterable[Movement]) -> dict[UUID, Decimal]:
    """The prices at which something moved at this instant."""
    return {
        item.asset: item.value / item.quantity for item in items if item.value and item.quantity
    }
