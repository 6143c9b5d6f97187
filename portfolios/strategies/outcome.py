"""What a simulated run came to, as compact arrays; objects are made of them only when asked."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from portfolios.strategies import round_trips
from portfolios.strategies.fills import BUY, Fill, Fills
from portfolios.strategies.market import Floats, Integers, Market
from portfolios.strategies.round_trips import Trade, Trades


@dataclass(frozen=True, eq=False)
class Outcome:
    """A run. Positions change at ``at`` (bars, strictly increasing, shape (changes,)) only.

    ``units_after`` has the units of each asset from that open on, shape (assets, changes + 1),
    and ``cash_after`` the cash, shape (changes + 1,); the first column is the beginning.
    ``equity`` is what everything is worth at each close, shape (bars,).
    """

    market: Market
    at: Integers
    units_after: Floats
    cash_after: Floats
    equity: Floats
    fills: Fills

    @property
    def cash(self) -> Floats:
        """At each close, shape (bars,)."""
        return np.repeat(self.cash_after, self._spans)

    @property
    def units(self) -> Floats:
        """Held at each close, shape (assets, bars)."""
        return np.repeat(self.units_after, self._spans, axis=1)

    @property
    def _spans(self) -> Integers:
        return spans(self.at, self.market.bars)

    @property
    def bars_invested(self) -> int:
        """Bars at whose close anything was held."""
        return int(self._spans[(self.units_after > 0).any(axis=0)].sum())

    @cached_property
    def trades(self) -> Trades:
        return round_trips.of(self.fills, self.market)

    def each_fill(self) -> list[Fill]:
        """The fills as objects."""
        names, fills = self.market.assets, self.fills
        rows = zip(fills.bar.tolist(), fills.asset.tolist(), fills.side.tolist(),
                   fills.units.tolist(), fills.price.tolist(), fills.fee.tolist(),
                   strict=True)  # fmt: skip
        return [
            Fill(bar, names[asset], "buy" if side == BUY else "sell", units, price, fee)
            for bar, asset, side, units, price, fee in rows
        ]

    def each_trade(self) -> list[Trade]:
        """The round trips as objects, by entry."""
        trades = self.trades
        order = np.lexsort((trades.asset, trades.entry_bar))
        return [self._trade(int(place)) for place in order]

    def _trade(self, place: int) -> Trade:
        trades = self.trades
        exit_bar = int(trades.exit_bar[place])
        return Trade(
            self.market.assets[int(trades.asset[place])], int(trades.entry_bar[place]),
            float(trades.entry_price[place]), None if exit_bar < 0 else exit_bar,
            float(trades.exit_price[place]), float(trades.units[place]),
            float(trades.gain[place]), float(trades.gain_share[place]),
            int(trades.bars_held[place]), float(trades.fees[place]),
        )  # fmt: skip


def spans(at: Integers, bars: int) -> Integers:
    """How many closes each state lasts: before the first change, and after each."""
    return np.diff(np.concatenate(([0], at, [bars])))
