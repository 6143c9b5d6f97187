"""Fills gathered into round trips, each from nothing held of an asset to nothing held again."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from portfolios.strategies.fills import BUY, Fills
from portfolios.strategies.market import Booleans, Floats, Integers, Market


class Trade(NamedTuple):
    """A round trip: from holding nothing of an asset to holding nothing of it again.

    Prices are averages over its fills. While it is open, ``exit_bar`` is None, the exit price is
    the last close and the gain what it is worth there, before the cost of selling. ``gain`` is
    cash after ``fees``; ``gain_share`` that as a fraction of what was paid, fees included.
    """

    asset: str
    entry_bar: int
    entry_price: float
    exit_bar: int | None
    exit_price: float
    units: float
    gain: float
    gain_share: float
    bars_held: int
    fees: float


@dataclass(frozen=True, slots=True, eq=False)
class Trades:
    """All round trips by asset and entry, each array of shape (trades,). See Trade.

    ``exit_bar`` is −1 where it is open.
    """

    asset: Integers
    entry_bar: Integers
    entry_price: Floats
    exit_bar: Integers
    exit_price: Floats
    units: Floats
    paid: Floats
    gain: Floats
    fees: Floats
    bars_held: Integers

    def __len__(self) -> int:
        return int(self.asset.size)

    @property
    def closed(self) -> Booleans:
        return self.exit_bar >= 0

    @property
    def gain_share(self) -> Floats:
        return self.gain / self.paid


def of(fills: Fills, market: Market) -> Trades:
    """The round trips by asset and entry. What is still held is worth the last close."""
    order = np.lexsort((fills.bar, fills.asset))
    asset, left = fills.asset[order], fills.left[order]
    ends = left == 0.0
    last = np.concatenate((asset[1:] != asset[:-1], [True]))[: asset.size]
    starts = np.flatnonzero(np.concatenate(([True], (ends | last)[:-1]))[: asset.size])
    finals = np.flatnonzero(ends | last)
    return _gathered(fills, market, order, starts, finals, open_=~ends[finals])


def _gathered(
    fills: Fills, market: Market, order: Integers, starts: Integers, finals: Integers,
    *, open_: Booleans,
) -> Trades:  # fmt: skip
    def total(values: Floats) -> Floats:
        return np.add.reduceat(values, starts) if starts.size else np.empty(0)

    bought = fills.side[order] == BUY
    units, value, fee = fills.units[order], fills.value[order], fills.fee[order]
    asset, bar, left = fills.asset[order][starts], fills.bar[order], fills.left[order][finals]
    units_in, units_out = total(units * bought), total(units * ~bought)
    spent, got, fees = total(value * bought), total(value * ~bought), total(fee)
    paid_fees = total(fee * bought)
    worth = np.where(open_, left * market.close[asset, -1], 0.0)
    sold = np.where(open_, units_out + left, units_out)
    ended = np.where(open_, market.bars - 1, bar[finals])
    return Trades(
        asset=asset, entry_bar=bar[starts], entry_price=spent / units_in,
        exit_bar=np.where(open_, -1, ended), exit_price=(got + worth) / sold, units=units_in,
        paid=spent + paid_fees, gain=got + worth - spent - fees, fees=fees,
        bars_held=ended - bar[starts],
    )  # fmt: skip
