"""Daily valuations: what was worth what at each day's end, and which parts the change had. Pure.

The smallest thing valued is one asset in one account (a cell). For each day

    value₁ − value₀ = deposits − withdrawals + traded + trade_effect − fees + income
                      + corrections + price_effect + currency_effect

holds exactly, because every part is rounded to eight decimals before the price effect is taken as
what remains. Cells add up to accounts, assets and the portfolio, so it holds there as well. The
parts follow transaction-based attribution (Spaulding, *Investment Performance Attribution*, 2003):
a holding earns the day's price change, a transaction earns from its own price to the day's close.

- A flow counts at its value at its own instant; from there to the close is price effect.
- ``traded`` is what trades brought in less what they took, at the trade's value: nothing in a
  portfolio. ``trade_effect`` is what that came to by the day's close.
- ``currency_effect``: money of a state, and with a base currency that is not the US dollar the
  part of each price change that is the dollar's (``value₀ · (fx₀ ÷ fx₁ − 1)``, fx in US dollars
  for one unit of the base currency).
- What gets its first price, or loses its last, comes and goes as a correction, not as a gain.
- What trades give for something without a price is a correction at the trade's instant, and so is
  what they get for it: nobody knows yet what was gained or lost.
- Lost or stolen units are a loss: they count among ``fees``.

``growth`` is one plus the day's time-weighted return, linked at each flow (Global Investment
Performance Standards 2020, provision 2.A.23 ff.): value before the flow ÷ value after the one
before it, and so on. Outside flows are deposits, withdrawals and corrections; for an account moves
to and from own accounts as well, for an asset its trades. It is None for a day on which there was
nothing to earn a return. A large flow (a tenth of what was there) asks what else was held is worth
at its very instant; where only the day's close says so, the day ``is_partial``.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple, Protocol
from uuid import UUID

from portfolios.returns import positions
from portfolios.returns.positions import Movement
from tracker import money

CENT_OF_A_CENT = Decimal("1e-8")
CARRIED_DAYS = 7
_DUST, _ROUNDING = Decimal("1e-7"), Decimal("1e-9")
_ZERO, _ONE = Decimal(0), Decimal(1)
_DAY = timedelta(days=1)
# A flow of this part of what a scope is worth is a "large cash flow" of GIPS 2020: all that was
# held is valued at its instant.
LARGE_FLOW = Decimal("0.1")

PORTFOLIO, CONNECTION, ASSET = "portfolio", "connection", "asset"
_OUTSIDE = frozenset({positions.DEPOSIT, positions.WITHDRAWAL, positions.CORRECTION})
FLOWS = {
    PORTFOLIO: _OUTSIDE,
    CONNECTION: _OUTSIDE | {positions.PAIRED},
    ASSET: _OUTSIDE | {positions.TRADE},
}


class Close(NamedTuple):
    """What one unit cost at a day's end. ``carried``: the close is an earlier day's."""

    price: Decimal
    carried: bool = False
    is_manual: bool = False


class Prices(Protocol):
    """What the valuation asks for prices, in the base currency."""

    def close(self, asset: UUID, day: date) -> Close | None:
        """The price at the end of a UTC day, at most seven days old."""

    def at(self, asset: UUID, instant: datetime) -> Decimal | None:
        """The price at an instant."""

    def is_of_the_hour(self, asset: UUID, instant: datetime) -> bool:
        """Whether ``at`` is of that very hour, and no close of a day stands in for it."""

    def dollars(self, day: date) -> Decimal | None:
        """US dollars for one unit of the base currency, or None when that is no money."""


class CostChange(NamedTuple):
    """Units of known cost that came (+) or went (−) on a day, their cost, and a gain realized."""

    day: date
    account: UUID | None
    asset: UUID
    quantity: Decimal
    cost: Decimal
    gain: Decimal


_Key = tuple[UUID | None, UUID]  # account and asset


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What is valued: movements and changes of cost in the order of time, and what is money.

    ``cash`` are the assets without lots, ``base`` is the one in which everything is valued.
    ``per_account`` says whether costs belong to accounts or to one pool of each asset.
    """

    portfolio: UUID
    movements: Sequence[Movement]
    costs: Sequence[CostChange] = ()
    cash: frozenset[UUID] = frozenset()
    base: UUID | None = None
    per_account: bool = False


def valuations(*, books: Books, prices: Prices, since: date, until: date) -> Iterator[list[Day]]:
    """The rows of each day from ``since`` to ``until``, both included, a list for each day.

    The portfolio has a row every day; accounts and assets where there is anything to say.
    """
    running = _Running(books, prices, since)
    by_day = {
        day: list(items)
        for day, items in groupby(
            (item for item in books.movements if _day(item) >= since), key=_day
        )
    }
    day = since
    while day <= until:
        yield running.advance(day, by_day.get(day, []))
        day += _DAY


def value_before(*, books: Books, prices: Prices, since: date) -> Decimal:
    """What the portfolio was worth when the day before ``since`` ended."""
    running = _Running(books, prices, since)
    return sum((cell.value for cell in running.cells.values()), _ZERO)


def _day(item: Movement) -> date:
    return item.at.astimezone(UTC).date()


def _is_money(value: Decimal) -> bool:
    """Whether a value can be meant: what is beyond all the money there is counts as unpriced."""
    return abs(value) < money.MOST_VALUE


def rounded(amount: Decimal) -> Decimal:
    return amount.quantize(CENT_OF_A_CENT)


@dataclass(slots=True)
class _Cell:
    """One asset in one account as it stands: units, their value, the price that was used."""

    account: UUID | None
    asset: UUID
    units: Decimal = _ZERO
    value: Decimal = _ZERO
    price: Decimal | None = None


@dataclass(slots=True)
class _Pool:
    """Units whose cost is known, and that cost."""

    quantity: Decimal = _ZERO
    cost: Decimal = _ZERO


@dataclass(slots=True)
class _Change:
    """The parts of one cell's day."""

    cell: _Cell
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


class _Running:
    """The state between two days."""

    def __init__(self, books: Books, prices: Prices, since: date) -> None:
        self.books, self.prices = books, prices
        self.cells: dict[_Key, _Cell] = {}
        self.pools: dict[_Key, _Pool] = {}
        self.costs_by_day: dict[date, list[CostChange]] = {}
        self.beyond: set[UUID] = set()  # moved today at a value that cannot be meant
        for item in books.movements:
            if _day(item) < since:
                self._cell(item).units += item.quantity
        for change in books.costs:
            if change.day < since:
                self._book_cost(change)
            else:
                self.costs_by_day.setdefault(change.day, []).append(change)
        self._open(since - _DAY)

    def advance(self, day: date, movements: list[Movement]) -> list[Day]:
        """The rows of the next day."""
        for item in movements:
            self._cell(item)
        closes = {cell.asset: self._close(cell.asset, day) for cell in self.cells.values()}
        before = {key: cell.units for key, cell in self.cells.items()}
        self.beyond.clear()
        moved = self._valued(movements, closes)
        changes = [
            self._change(cell, day, moved.get(key, []), closes[cell.asset])
            for key, cell in self.cells.items()
        ]
        rows = _Rows(self.books.portfolio, day)
        for change in changes:
            rows.add(change)
        self._add_costs(rows, day)
        self._say_unpriced(rows, closes)
        self._grow(rows, changes, moved, before)
        self._forget_the_empty()
        return rows.told()

    # --- cells ------------------------------------------------------------------------------
    def _cell(self, item: Movement) -> _Cell:
        key = (item.account, item.asset)
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = _Cell(item.account, item.asset)
        return cell

    def _open(self, day: date) -> None:
        self._forget_the_empty()
        for cell in self.cells.values():
            close = self._close(cell.asset, day)
            if close is not None and _is_money(cell.units * close.price):
                cell.price = close.price
                cell.value = rounded(cell.units * close.price)

    def _close(self, asset: UUID, day: date) -> Close | None:
        return Close(_ONE) if asset == self.books.base else self.prices.close(asset, day)

    def _forget_the_empty(self) -> None:
        self.cells = {key: cell for key, cell in self.cells.items() if cell.units}

    def _valued(
        self, movements: list[Movement], closes: Mapping[UUID, Close | None]
    ) -> dict[_Key, list[Movement]]:
        """Movements by cell, each with a value: its own, else by a close, else nothing."""
        found: dict[_Key, list[Movement]] = {}
        for item in movements:
            value = item.value
            if value is None:
                close, cell = closes[item.asset], self._cell(item)
                price = close.price if close else cell.price
                if item.part == positions.TRADE:  # its other leg has no value either
                    price = None
                value = item.quantity * price if price else _ZERO
            if not _is_money(value):
                value = _ZERO
                self.beyond.add(item.asset)
            item = item._replace(value=rounded(value))
            found.setdefault((item.account, item.asset), []).append(item)
        return found

    def _change(
        self, cell: _Cell, day: date, moved: list[Movement], close: Close | None
    ) -> _Change:
        change = _Change(cell, cell.value)
        held, known_before = cell.units, cell.price is not None or not cell.units
        cell.units = held + sum((item.quantity for item in moved), _ZERO)
        price = close.price if close else None
        if price is not None and not _is_money(max(abs(held), abs(cell.units)) * price):
            price = None
        if price is None and (cell.units or not known_before or _is_told_elsewhere(moved)):
            self._leave_out(change, moved)
            return change
        if price is not None and not known_before:
            change.gained = rounded(held * price)
        value = rounded(cell.units * price) if price is not None else _ZERO
        self._split(change, day, moved, close, value)
        cell.value, cell.price = value, price
        return change

    def _leave_out(self, change: _Change, moved: list[Movement]) -> None:
        """Nobody says what it is worth: it leaves the total, and only trades say what was paid."""
        change.unpriced, change.lost = True, change.cell.value
        change.cell.value, change.cell.price = _ZERO, None
        moved[:] = [
            item if item.part == positions.TRADE else item._replace(value=_ZERO) for item in moved
        ]
        for item in moved:
            if item.value:
                change.parts[item.part] = change.parts.get(item.part, _ZERO) + item.value
                change.offsets.append(
                    item._replace(quantity=_ZERO, part=positions.CORRECTION, value=-item.value)
                )

    def _split(
        self, change: _Change, day: date, moved: list[Movement], close: Close | None, value: Decimal
    ) -> None:
        """The parts of ``value`` − before: what moved, and the price effect as what remains."""
        explained = change.repriced
        for item in moved:
            worth = item.value or _ZERO
            explained += worth
            if item.part == positions.PAIRED:
                name = "paired_in" if worth > 0 else "paired_out"
            else:
                name = item.part
            change.parts[name] = change.parts.get(name, _ZERO) + worth
        if close is not None and moved:
            change.trade_effect = _trade_effect(moved, close.price)
            explained += change.trade_effect
        rest = value - change.before - explained
        change.currency_effect = self._currency_effect(change, day, close, rest)
        change.price_effect = rest - change.currency_effect

    def _currency_effect(
        self, change: _Change, day: date, close: Close | None, rest: Decimal
    ) -> Decimal:
        asset = change.cell.asset
        if asset in self.books.cash:
            return rest
        if asset == self.books.base or not change.before or (close and close.is_manual):
            return _ZERO
        now, before = self.prices.dollars(day), self.prices.dollars(day - _DAY)
        if not now or not before or now == before:
            return _ZERO
        return rounded(change.before * (before / now - 1))

    # --- cost -------------------------------------------------------------------------------
    def _book_cost(self, change: CostChange) -> None:
        for key in {(None, change.asset), self._pool_key(change.account, change.asset)}:
            pool = self.pools.setdefault(key, _Pool())
            pool.quantity += change.quantity
            pool.cost += change.cost

    def _pool_key(self, account: UUID | None, asset: UUID) -> _Key:
        return (account, asset) if self.books.per_account else (None, asset)

    def _add_costs(self, rows: "_Rows", day: date) -> None:
        """Costs of accounts by the accounts' lots where they have their own, else by all lots.

        The portfolio's and the assets' are by all lots: a lot that has moved since lies in the
        account that it moved to, and its cost was known before as well.
        """
        for change in self.costs_by_day.get(day, ()):
            self._book_cost(change)
            rows.realize(change)
        held: dict[_Key, Decimal] = {}
        for cell in self.cells.values():
            for key in {(None, cell.asset), self._pool_key(cell.account, cell.asset)}:
                held[key] = held.get(key, _ZERO) + cell.units
        for cell in self.cells.values():
            if cell.value:
                self._add_cost(rows, cell, held)

    def _add_cost(self, rows: "_Rows", cell: _Cell, held: Mapping[_Key, Decimal]) -> None:
        in_all = self._cost_of(cell, held, (None, cell.asset))
        key = self._pool_key(cell.account, cell.asset)
        of_account = in_all if key[0] is None else self._cost_of(cell, held, key)
        for row in rows.of(cell):
            cost, without = of_account if row.scope == CONNECTION else in_all
            row.cost += cost
            row.value_without_cost += without

    def _cost_of(
        self, cell: _Cell, held: Mapping[_Key, Decimal], key: _Key
    ) -> tuple[Decimal, Decimal]:
        """A cell's share of a pool's cost by units, and the value of units without one."""
        if cell.asset in self.books.cash or cell.asset == self.books.base:
            return cell.value, _ZERO
        pool, units = self.pools.get(key), held[key]
        if pool is None or pool.quantity <= 0 or units <= 0 or cell.units <= 0:
            return _ZERO, cell.value
        share = cell.units / units
        if units < pool.quantity:
            return rounded(pool.cost * units / pool.quantity * share), _ZERO
        without = (units - pool.quantity) * share * (cell.price or _ZERO)
        return rounded(pool.cost * share), rounded(without)

    def _say_unpriced(self, rows: "_Rows", closes: Mapping[UUID, Close | None]) -> None:
        for cell in self.cells.values():
            if cell.asset in self.beyond:
                rows.partial(cell)
            if not cell.units:
                continue
            close = closes[cell.asset]
            if close is None or cell.price is None:
                rows.unpriced(cell)
            elif close.carried:
                rows.partial(cell)

    # --- growth -----------------------------------------------------------------------------
    def _grow(
        self,
        rows: "_Rows",
        changes: list[_Change],
        moved: Mapping[_Key, list[Movement]],
        before: Mapping[_Key, Decimal],
    ) -> None:
        """Each row's growth: quotients of sums when nothing flowed, else linked at each flow."""
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
            intraday = _Intraday(self, row, counted, frame.lost)
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

    def add(self, change: _Change) -> None:
        self.opening += change.before
        self.gained += change.gained
        self.lost += change.lost


class _Counted:
    """The units that count in a day's growth, by cell, and the prices they had the day before."""

    def __init__(self, changes: Iterable[_Change], before: Mapping[_Key, Decimal]) -> None:
        self.units, self.unpriced = dict(before), set[_Key]()
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

    def __init__(self, running: _Running, row: Day, counted: _Counted, lost: Decimal) -> None:
        self.running, self.row, self.counted, self.lost = running, row, counted, lost
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
        running = self.running
        self.is_rough = any(
            units
            and asset not in prices
            and asset != running.books.base
            and not running.prices.is_of_the_hour(asset, instant)
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
        running = self.running
        if asset == running.books.base:
            return _ONE
        price = running.prices.at(asset, instant)
        if price is not None:
            return price
        close = running.prices.close(asset, self.row.day)
        return close.price if close else self.counted.last_prices.get(asset, _ZERO)


def _is_told_elsewhere(moved: Iterable[Movement]) -> bool:
    """Whether the other half of something counts for nothing, so that this half must as well."""
    return any(
        item.part == positions.PAIRED or (item.part == positions.TRADE and not item.value)
        for item in moved
    )


def _trade_effect(moved: list[Movement], price: Decimal) -> Decimal:
    trades = [item for item in moved if item.part == positions.TRADE]
    if not trades:
        return _ZERO
    units = sum((item.quantity for item in trades), _ZERO)
    return rounded(units * price) - sum((item.value or _ZERO for item in trades), _ZERO)


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


class _Rows:
    """The rows of one day: each cell counts in its account, its asset and the portfolio."""

    def __init__(self, portfolio: UUID, day: date) -> None:
        self.day = day
        self.portfolio = portfolio
        self.by_id: dict[UUID, Day] = {portfolio: Day(PORTFOLIO, portfolio, day)}
        self._unpriced: dict[UUID, set[UUID]] = {}

    def of(self, cell: "_Cell | Movement | CostChange") -> list[Day]:
        rows = [self.by_id[self.portfolio], self._row(ASSET, cell.asset)]
        if cell.account is not None:
            rows.append(self._row(CONNECTION, cell.account))
        return rows

    def _row(self, scope: str, scope_id: UUID) -> Day:
        row = self.by_id.get(scope_id)
        if row is None:
            row = self.by_id[scope_id] = Day(scope, scope_id, self.day)
        return row

    def add(self, change: _Change) -> None:
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

    def unpriced(self, cell: _Cell) -> None:
        for row in self.of(cell):
            self._unpriced.setdefault(row.scope_id, set()).add(cell.asset)
            row.unpriced = len(self._unpriced[row.scope_id])
            row.is_partial = True

    def partial(self, cell: _Cell) -> None:
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
