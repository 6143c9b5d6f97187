"""What a strategy wants at the close of each bar, kept as the bars on which it wants anything."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from portfolios.strategies.market import Booleans, Floats, Integers

Holding = tuple[Integers, Floats]


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """Orders of a run over ``bars`` bars, each decided at the close of its bar.

    ``at`` has the bars with orders, strictly increasing, shape (orders,). ``targets`` are the
    shares of the whole equity that each asset shall have, shape (assets, orders): nan leaves the
    asset's units as they are. ``spend`` are shares of the *starting* cash to buy each asset for,
    in the same shape; it is None except for strategies that invest amounts.
    """

    bars: int
    at: Integers
    targets: Floats
    spend: Floats | None = None

    @property
    def weights(self) -> Floats:
        """Targets of every bar, shape (assets, bars), nan where there is no order."""
        return self._dense(self.targets)

    @property
    def amounts(self) -> Floats | None:
        """``spend`` of every bar, shape (assets, bars), nan where there is none."""
        return None if self.spend is None else self._dense(self.spend)

    def _dense(self, values: Floats) -> Floats:
        found = np.full((values.shape[0], self.bars), np.nan)
        found[:, self.at] = values
        return found

    def on(self, bar: int) -> Floats | None:
        """Targets of one bar (negative counts from the end), None when it asks for nothing."""
        return self._of(bar, self.targets)

    def spend_on(self, bar: int) -> Floats | None:
        """Shares of the starting cash to spend on one bar, None when it asks for nothing."""
        return None if self.spend is None else self._of(bar, self.spend)

    def _of(self, bar: int, orders: Floats) -> Floats | None:
        wanted = bar % self.bars
        place = np.searchsorted(self.at, wanted)
        found = place < self.at.size and self.at[place] == wanted
        return orders[:, place] if found else None

    def standing(self, bar: int) -> Floats:
        """The last target of each asset up to and including ``bar``, nan where there was none."""
        known = self.targets[:, : np.searchsorted(self.at, bar, side="right")]
        found = np.full(len(known), np.nan)
        for asset, row in enumerate(known):
            places = np.flatnonzero(~np.isnan(row))
            if places.size:
                found[asset] = row[places[-1]]
        return found

    def between(self, start: int, end: int) -> "Decisions":
        """Those of bars from ``start`` up to, not including, ``end``, counted from there."""
        low, high = np.searchsorted(self.at, (start, end))
        spend = None if self.spend is None else self.spend[:, low:high]
        return Decisions(end - start, self.at[low:high] - start, self.targets[:, low:high], spend)


def of_state(wanted: Booleans, *, start: int) -> Holding:
    """Bars on which to go in (1.0) and out (0.0) so that one is in while ``wanted``.

    Nothing is wanted before bar ``start``.
    """
    if start >= wanted.size:
        return np.empty(0, np.int64), np.empty(0)
    late = wanted[start:]
    changes = np.flatnonzero(late[1:] != late[:-1]) + (start + 1)
    if late[0]:
        changes = np.concatenate(([start], changes))
    weights = np.zeros(changes.size)
    weights[::2] = 1.0  # in, out, in, …
    return changes, weights


def of_signals(enter: Booleans, leave: Booleans, *, start: int) -> Holding:
    """As ``of_state``, in from a bar with ``enter`` to the next with ``leave``; leaving wins."""
    places = np.flatnonzero((enter | leave)[start:]) + start
    inside = ~leave[places]
    before = np.concatenate(([False], inside[:-1]))[: inside.size]
    changed = inside != before
    return places[changed], inside[changed].astype(np.float64)


def joined(holdings: Sequence[Holding], *, bars: int) -> Decisions:
    """Assets that are decided each on its own, as equal shares of the equity."""
    share = 1.0 / len(holdings)
    if len(holdings) == 1:
        places, weights = holdings[0]
        return Decisions(bars, places, weights[np.newaxis])
    at = np.unique(np.concatenate([places for places, _ in holdings]))
    targets = np.full((len(holdings), at.size), np.nan)
    for row, (places, weights) in zip(targets, holdings, strict=True):
        row[np.searchsorted(at, places)] = weights * share
    return Decisions(bars, at, targets)
