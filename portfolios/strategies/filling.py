"""Orders become fills at the *next* bar's open: never at the price that they were decided on.

A buy costs open · (1 + slippage), a sale brings open · (1 − slippage), and each a fee that is a
fraction of what it moved. Nothing is borrowed and nothing sold that is not held. A target is a
share of the equity that is left *after* the costs of reaching it, valued at the opens, so that
the shares are exact whatever they cost. The order of the last bar is not filled. Who has next to
nothing left of the starting cash buys nothing more.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from portfolios.strategies.decisions import Decisions
from portfolios.strategies.errors import Stop, StrategyInvalid, Told, going_on, tell
from portfolios.strategies.fills import BUY, SELL, Fills
from portfolios.strategies.market import Floats, Integers, Market
from portfolios.strategies.outcome import Outcome, spans

_DUST = 1e-12  # of the equity: a trade as small as this is only rounding
_RUIN = 1e-12  # of the starting cash
_AT_ONCE = 4_096  # orders between two looks at whether to go on


@dataclass(frozen=True, slots=True)
class Costs:
    """``fee`` is a fraction of the value traded, ``slippage`` how much worse than the open."""

    fee: float
    slippage: float

    @property
    def of_buying(self) -> float:
        """Cash given above the open's value, as a fraction of it."""
        return (1 + self.slippage) * (1 + self.fee) - 1

    @property
    def of_selling(self) -> float:
        """Cash missing from the open's value, as a fraction of it."""
        return 1 - (1 - self.slippage) * (1 - self.fee)


class _Path(NamedTuple):
    at: Integers
    units_after: Floats
    cash_after: Floats
    fills: Fills


def outcome(
    market: Market, decisions: Decisions, *, cash: float, costs: Costs,
    told: Told | None = None, stop: Stop | None = None,
) -> Outcome:  # fmt: skip
    """The run of decisions from ``cash`` on. Raises Stopped, and StrategyInvalid when prices that
    no market has lead to more than can be counted."""
    with np.errstate(over="ignore", invalid="ignore"):
        if _is_all_or_nothing(decisions):
            path = _all_or_nothing(market, decisions, cash, costs)
        else:
            path = _one_by_one(market, decisions, cash, costs, told, stop)
        equity = _equity(market, path)
    if not np.max(equity) < np.inf:
        message = "The prices of these assets lead to more money than can be counted."
        raise StrategyInvalid.at("/assets", "out_of_range", message)
    tell(told, len(path.at), len(path.at))
    return Outcome(market, path.at, path.units_after, path.cash_after, equity, path.fills)


def _equity(market: Market, path: _Path) -> Floats:
    lasting = spans(path.at, market.bars)
    equity = np.repeat(path.cash_after, lasting)
    for units, close in zip(path.units_after, market.close, strict=True):
        held = np.repeat(units, lasting)
        held *= close
        equity += held
    return equity


def _filled(market: Market, decisions: Decisions) -> int:
    """How many orders have a next bar."""
    return int(np.searchsorted(decisions.at, market.bars - 1))


# --- one asset, everything or nothing: no loop --------------------------------------------------
def _is_all_or_nothing(decisions: Decisions) -> bool:
    targets = decisions.targets
    if targets.shape[0] != 1 or decisions.spend is not None:
        return False
    return bool(((targets == 0.0) | (targets == 1.0)).all())


def _all_or_nothing(market: Market, decisions: Decisions, cash: float, costs: Costs) -> _Path:
    """Cash before each purchase is the start times the factors of the round trips before it."""
    orders = _filled(market, decisions)
    inside = decisions.targets[0, :orders] > 0
    changed = inside != np.concatenate(([False], inside))[:orders]
    at = decisions.at[:orders][changed] + 1
    opens = market.open[0, at]
    prices = opens.copy()
    prices[::2] *= 1 + costs.slippage
    prices[1::2] *= 1 - costs.slippage
    return _alternating(at, prices, cash, costs.fee)


def _alternating(at: Integers, prices: Floats, cash: float, fee: float) -> _Path:
    trips = at.size // 2
    # Cash is multiplied by this from one purchase to the sale after it.
    factors = prices[1::2] / prices[: 2 * trips : 2] * ((1 - fee) / (1 + fee))
    before = np.cumprod(np.concatenate(([cash], factors)))
    ruined = np.flatnonzero(before < cash * _RUIN)
    if ruined.size and 2 * ruined[0] < at.size:
        end = 2 * int(ruined[0])
        return _alternating(at[:end], prices[:end], cash, fee)
    units = np.repeat(before[: at.size - trips] / (prices[::2] * (1 + fee)), 2)[: at.size]
    after, left = np.zeros(at.size + 1), np.zeros(at.size + 1)
    after[0] = cash
    after[2::2] = before[1 : trips + 1]
    left[1::2] = units[::2]
    side = np.full(at.size, SELL, np.int64)
    side[::2] = BUY
    fills = Fills(at, np.zeros(at.size, np.int64), side, units, prices, units * prices * fee,
                  left[1:])  # fmt: skip
    return _Path(at, left[np.newaxis], after, fills)


# --- any orders: one after another --------------------------------------------------------------
def _one_by_one(
    market: Market, decisions: Decisions, cash: float, costs: Costs,
    told: Told | None, stop: Stop | None,
) -> _Path:  # fmt: skip
    orders = _filled(market, decisions)
    book = _Book(len(market.assets), cash, costs)
    at = decisions.at[:orders] + 1
    for start in range(0, orders, _AT_ONCE):
        going_on(stop)
        tell(told, start, orders)
        book.run(market, decisions, at, start, min(start + _AT_ONCE, orders))
    return book.path(at)


class _Book:
    """Cash and units while orders are filled one by one, on plain floats."""

    def __init__(self, assets: int, cash: float, costs: Costs) -> None:
        self.cash, self.units = cash, [0.0] * assets
        self._start = cash
        self._costs = costs
        self._buying, self._selling = costs.of_buying, costs.of_selling
        self._cash_after = [np.array([cash])]
        self._units_after = [np.zeros((1, assets))]
        self._fills: list[tuple[int, int, int, float, float, float, float]] = []
        self._kept: list[np.ndarray] = []

    def run(self, market: Market, decisions: Decisions, at: Integers, start: int, end: int) -> None:
        """Fill some orders."""
        bars = at[start:end]
        opens = market.open[:, bars].T.tolist()
        spending = decisions.spend is not None
        orders = decisions.targets if decisions.spend is None else decisions.spend
        wanted = orders[:, start:end].T.tolist()
        cash_after, units_after = [], []
        for bar, prices, row in zip(bars.tolist(), opens, wanted, strict=True):
            changes = self._purchases(row) if spending else self._towards(row, prices)
            self._fill(bar, prices, changes)
            cash_after.append(self.cash)
            units_after.append(self.units.copy())
        self._cash_after.append(np.array(cash_after))
        self._units_after.append(np.array(units_after))
        self._kept.append(np.array(self._fills).reshape(-1, 7))
        self._fills = []

    def path(self, at: Integers) -> _Path:
        """What became of it all."""
        rows = np.concatenate([np.empty((0, 7)), *self._kept])
        bar, asset, side = (rows[:, column].astype(np.int64) for column in range(3))
        units, price, fee, left = (np.ascontiguousarray(rows[:, column]) for column in range(3, 7))
        units_after = np.ascontiguousarray(np.concatenate(self._units_after).T)
        fills = Fills(bar, asset, side, units, price, fee, left)
        return _Path(at, units_after, np.concatenate(self._cash_after), fills)

    # --- what to trade, as values at the open ---------------------------------------------------
    def _purchases(self, shares: list[float]) -> list[float]:
        """Amounts of cash, costs included. The last one takes what rounding left."""
        amounts = [share * self._start if share > 0 else 0.0 for share in shares]
        total = sum(amounts)
        if total >= self.cash * (1 - _DUST) and total > 0:
            amounts = [amount * (self.cash / total) for amount in amounts]
        return [amount / (1 + self._buying) for amount in amounts]

    def _towards(self, targets: list[float], prices: list[float]) -> list[float]:
        """Changes that bring the assets with a target there; the others (nan) stay."""
        values = [units * price for units, price in zip(self.units, prices, strict=True)]
        equity = self.cash + sum(values)
        if equity < _RUIN * self._start:
            targets = [0.0 if target == target else target for target in targets]
        after = self._after_costs(targets, values, equity)
        changes = [
            0.0 if target != target else target * after - value
            for target, value in zip(targets, values, strict=True)
        ]
        changes = [change if abs(change) > _DUST * equity else 0.0 for change in changes]
        return self._affordable(changes)

    def _after_costs(self, targets: list[float], values: list[float], equity: float) -> float:
        """The equity E that is left once the targets, as shares of E, are reached.

        E + Σ cost(target · E − value) = equity is linear between the points where an asset turns
        from sold to bought. From above, each step leaves fewer to buy, so it ends.
        """
        pairs = [(t, v) for t, v in zip(targets, values, strict=True) if t == t]
        after = equity
        for _ in range(len(pairs) + 1):
            slope, level = 1.0, equity
            for target, value in pairs:
                rate = self._buying if target * after > value else -self._selling
                slope += rate * target
                level += rate * value
            found = level / slope
            if found >= after:
                return found
            after = found
        return after

    def _affordable(self, changes: list[float]) -> list[float]:
        """Purchases are cut in proportion where cash does not cover them: nothing is borrowed."""
        need = sum(change for change in changes if change > 0) * (1 + self._buying)
        brought = -sum(change for change in changes if change < 0) * (1 - self._selling)
        if need <= self.cash + brought:
            return changes
        part = max(self.cash + brought, 0.0) / need
        return [change * part if change > 0 else change for change in changes]

    # --- and trading it -------------------------------------------------------------------------
    def _fill(self, bar: int, prices: list[float], changes: list[float]) -> None:
        for asset, change in enumerate(changes):
            if change < 0:
                self._sell(bar, asset, prices[asset], -change)
        for asset, change in enumerate(changes):
            if change > 0:
                self._buy(bar, asset, prices[asset], change)

    def _buy(self, bar: int, asset: int, price: float, value: float) -> None:
        units = value / price
        paid = price * (1 + self._costs.slippage)
        fee = units * paid * self._costs.fee
        self.units[asset] += units
        left = self.cash - (units * paid + fee)
        # What rounding takes below zero, or leaves of all cash, is nothing.
        self.cash = 0.0 if left < _DUST * value else left
        self._fills.append((bar, asset, BUY, units, paid, fee, self.units[asset]))

    def _sell(self, bar: int, asset: int, price: float, value: float) -> None:
        held = self.units[asset]
        units = value / price
        if units >= held * (1 - _DUST):
            units = held
        got = price * (1 - self._costs.slippage)
        fee = units * got * self._costs.fee
        self.units[asset] = held - units
        self.cash += units * got - fee
        self._fills.append((bar, asset, SELL, units, got, fee, self.units[asset]))
