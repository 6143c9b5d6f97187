"""The rows of one day: each asset in an account counts in the asset, the account and the portfolio.

Pure; ``daily`` says what the parts of a change mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from portfolios.returns import positions
from portfolios.returns.positions import Movement

CENT_OF_A_CENT = Decimal("1e-8")
_ZERO = Decimal(0)

PORTFOLIO, CONNECTION, ASSET = "portfolio", "connection", "asset"
Key = tuple[UUID | None, UUID]  # account and asset


class CostChange(NamedTuple):
    """Units of known cost that came (+) or went (−) on a day, their cost, and a gain realized."""

    day: date
    account: UUID | None
    asset: UUID
    quantity: Decimal
    cost: Decimal
    gain: Decimal


@dataclass(slots=True)
class Day:
    """One row: a scope's value at the end of a day, and the parts of the change."""

    scope: str
    scope_id: UUID
    day: date
    value: Decimal = _ZERO
    cost: Decimal = _ZERO
    value_without_cost: Decimal = _ZERO
    deposits: Decimal = _ZERO
    withdrawals: Decimal = _ZERO
    income: Decimal = _ZERO
    fees: Decimal = _ZERO
    realized: Decimal = _ZERO
    price_effect: Decimal = _ZERO
    currency_effect: Decimal = _ZERO
    traded: Decimal = _ZERO
    trade_effect: Decimal = _ZERO
    corrections: Decimal = _ZERO
    growth: float | None = None
    unpriced: int = 0
    is_partial: bool = False


@dataclass(slots=True)
class Cell:
    """One asset in one account as it stands: units, their value, the price that was used."""

    account: UUID | None
    asset: UUID
    units: Decimal = _ZERO
    value: Decimal = _ZERO
    price: Decimal | None = None


@dataclass(slots=True)
class Change:
    """The parts of one cell's day."""

    cell: Cell
    before: Decimal
    parts: dict[str, Decimal] = field(default_factory=dict)
    trade_effect: Decimal = _ZERO
    price_effect: Decimal = _ZERO
    currency_effect: Decimal = _ZERO
    gained: Decimal = _ZERO
    lost: Decimal = _ZERO
    unpriced: bool = False
    offsets: list[Movement] = field(default_factory=list)

    @property
    def repriced(self) -> Decimal:
        """What came with a first price less what went with the last, and what trades paid."""
        paid = sum((item.value or _ZERO for item in self.offsets), _ZERO)
        return self.gained - self.lost + paid


def rounded(amount: Decimal) -> Decimal:
    return amount.quantize(CENT_OF_A_CENT)


class Rows:
    """The rows of one day: each cell counts in its account, its asset and the portfolio."""

    def __init__(self, portfolio: UUID, day: date) -> None:
        self.day = day
        self.portfolio = portfolio
        self.by_id: dict[UUID, Day] = {portfolio: Day(PORTFOLIO, portfolio, day)}
        self._unpriced: dict[UUID, set[UUID]] = {}

    def of(self, cell: Cell | Movement | CostChange) -> list[Day]:
        rows = [self.by_id[self.portfolio], self._row(ASSET, cell.asset)]
        if cell.account is not None:
            rows.append(self._row(CONNECTION, cell.account))
        return rows

    def _row(self, scope: str, scope_id: UUID) -> Day:
        row = self.by_id.get(scope_id)
        if row is None:
            row = self.by_id[scope_id] = Day(scope, scope_id, self.day)
        return row

    def add(self, change: Change) -> None:
        parts = change.parts
        for row in self.of(change.cell):
            row.value += change.cell.value
            row.price_effect += change.price_effect
            if change.currency_effect:
                row.currency_effect += change.currency_effect
            if change.repriced:
                row.corrections += change.repriced
            if parts:
                _add_parts(row, parts, change.trade_effect)

    def realize(self, change: CostChange) -> None:
        if change.gain:
            gain = rounded(change.gain)
            for row in self.of(change):
                row.realized += gain

    def unpriced(self, cell: Cell) -> None:
        for row in self.of(cell):
            self._unpriced.setdefault(row.scope_id, set()).add(cell.asset)
            row.unpriced = len(self._unpriced[row.scope_id])
            row.is_partial = True

    def partial(self, cell: Cell) -> None:
        for row in self.of(cell):
            row.is_partial = True

    def told(self) -> list[Day]:
        return [row for row in self.by_id.values() if row.scope == PORTFOLIO or _says(row)]


def _add_parts(row: Day, parts: Mapping[str, Decimal], trade_effect: Decimal) -> None:
    row.deposits += parts.get(positions.DEPOSIT, _ZERO)
    row.withdrawals -= parts.get(positions.WITHDRAWAL, _ZERO)
    row.traded += parts.get(positions.TRADE, _ZERO)
    row.trade_effect += trade_effect
    row.fees -= parts.get(positions.FEE, _ZERO) + parts.get(positions.LOST, _ZERO)
    row.income += parts.get(positions.INCOME, _ZERO)
    row.corrections += parts.get(positions.CORRECTION, _ZERO) + parts.get(positions.INSIDE, _ZERO)
    came, went = parts.get("paired_in", _ZERO), parts.get("paired_out", _ZERO)
    if row.scope == CONNECTION:
        row.deposits += came
        row.withdrawals -= went
    else:  # what is lost on the way between own accounts is the network's fee
        row.fees -= came + went


_SAYING = (
    "value", "cost", "deposits", "withdrawals", "income", "fees", "realized", "price_effect",
    "currency_effect", "traded", "trade_effect", "corrections", "unpriced",
)  # fmt: skip


def _says(row: Day) -> bool:
    return any(getattr(row, name) for name in _SAYING)
