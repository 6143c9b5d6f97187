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

How a day's growth is computed says ``day_growth``.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from decimal import Decimal
from itertools import groupby
from uuid import UUID

from portfolios.returns import day_growth, positions
from portfolios.returns.day_growth import Pricing
from portfolios.returns.day_prices import Close, Prices
from portfolios.returns.day_rows import (
    CONNECTION,
    Cell,
    Change,
    CostChange,
    Day,
    Key,
    Rows,
    rounded,
)
from portfolios.returns.positions import Movement
from tracker import money

_ZERO, _ONE = Decimal(0), Decimal(1)
_DAY = timedelta(days=1)


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


@dataclass(slots=True)
class _Pool:
    """Units whose cost is known, and that cost."""

    quantity: Decimal = _ZERO
    cost: Decimal = _ZERO


class _Running:
    """The state between two days."""

    def __init__(self, books: Books, prices: Prices, since: date) -> None:
        self.books, self.prices = books, prices
        self.cells: dict[Key, Cell] = {}
        self.pools: dict[Key, _Pool] = {}
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
        rows = Rows(self.books.portfolio, day)
        for change in changes:
            rows.add(change)
        self._add_costs(rows, day)
        self._say_unpriced(rows, closes)
        day_growth.grow(
            rows, changes, moved=moved, before=before,
            pricing=Pricing(self.prices, self.books.base),
        )  # fmt: skip
        self._forget_the_empty()
        return rows.told()

    # --- cells ------------------------------------------------------------------------------
    def _cell(self, item: Movement) -> Cell:
        key = (item.account, item.asset)
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = Cell(item.account, item.asset)
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
    ) -> dict[Key, list[Movement]]:
        """Movements by cell, each with a value: its own, else by a close, else nothing."""
        found: dict[Key, list[Movement]] = {}
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

    def _change(self, cell: Cell, day: date, moved: list[Movement], close: Close | None) -> Change:
        change = Change(cell, cell.value)
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

    def _leave_out(self, change: Change, moved: list[Movement]) -> None:
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
        self, change: Change, day: date, moved: list[Movement], close: Close | None, value: Decimal
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
        self, change: Change, day: date, close: Close | None, rest: Decimal
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

    def _pool_key(self, account: UUID | None, asset: UUID) -> Key:
        return (account, asset) if self.books.per_account else (None, asset)

    def _add_costs(self, rows: Rows, day: date) -> None:
        """Costs of accounts by the accounts' lots where they have their own, else by all lots.

        The portfolio's and the assets' are by all lots: a lot that has moved since lies in the
        account that it moved to, and its cost was known before as well.
        """
        for change in self.costs_by_day.get(day, ()):
            self._book_cost(change)
            rows.realize(change)
        held: dict[Key, Decimal] = {}
        for cell in self.cells.values():
            for key in {(None, cell.asset), self._pool_key(cell.account, cell.asset)}:
                held[key] = held.get(key, _ZERO) + cell.units
        for cell in self.cells.values():
            if cell.value:
                self._add_cost(rows, cell, held)

    def _add_cost(self, rows: Rows, cell: Cell, held: Mapping[Key, Decimal]) -> None:
        in_all = self._cost_of(cell, held, (None, cell.asset))
        key = self._pool_key(cell.account, cell.asset)
        of_account = in_all if key[0] is None else self._cost_of(cell, held, key)
        for row in rows.of(cell):
            cost, without = of_account if row.scope == CONNECTION else in_all
            row.cost += cost
            row.value_without_cost += without

    def _cost_of(
        self, cell: Cell, held: Mapping[Key, Decimal], key: Key
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

    def _say_unpriced(self, rows: Rows, closes: Mapping[UUID, Close | None]) -> None:
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
