"""Does a strategy know what it cannot know yet? It is run on futures that did not happen.

For several cuts the bars from the cut on are taken away, and then replaced by a sharp rise and by
a sharp fall of noise. What it decided before the cut must be the same to the last digit. Half of
the cuts stand right behind bars with orders, where one that peeks a single bar ahead betrays
itself.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from portfolios.strategies import running
from portfolios.strategies.decisions import Decisions
from portfolios.strategies.errors import Stop, Told, going_on, tell
from portfolios.strategies.market import Floats, Market
from portfolios.strategies.running import Definition

CUTS = 16
_SWINGS = {"rising": 0.5, "falling": -0.5}  # of the logarithm of the price at the first bar


@dataclass(frozen=True, slots=True)
class Difference:
    """The first bar on which it decided otherwise. ``future`` is truncated, rising or falling.

    ``decided`` and ``otherwise`` are what it wanted with the real future and with the other one:
    targets, or amounts to spend; None stands for no order.
    """

    bar: int
    at: int
    cut: int
    future: str
    decided: tuple[float | None, ...] | None
    otherwise: tuple[float | None, ...] | None


@dataclass(frozen=True, slots=True)
class Audit:
    """``cuts`` are the bars from which on the future was another one."""

    ok: bool
    cuts: tuple[int, ...]
    first_difference: Difference | None


def audit(
    market: Market, definition: Definition, *, cuts: int = CUTS,
    told: Told | None = None, stop: Stop | None = None,
) -> Audit:  # fmt: skip
    """Audit one strategy over a market. Raises StrategyInvalid, and Stopped."""

    def decide(seen: Market) -> Decisions:
        return running.decide(seen, definition, stop=stop)

    return of(market, decide, cuts=cuts, told=told, stop=stop)


def of(
    market: Market, decide: Callable[[Market], Decisions], *, cuts: int = CUTS,
    told: Told | None = None, stop: Stop | None = None,
) -> Audit:  # fmt: skip
    """Audit whatever decides over a market."""
    real = decide(market)
    places = _places(real, cuts)
    found: list[Difference] = []
    for done, cut in enumerate(places):
        tell(told, done, len(places))
        for name, other in _futures(market, cut):
            going_on(stop)
            found += _differences(market, real, decide(other), cut, name)
    tell(told, len(places), len(places))
    first = min(found, key=lambda one: one.bar, default=None)
    return Audit(first is None, places, first)


def _places(real: Decisions, cuts: int) -> tuple[int, ...]:
    """Half behind orders, half evenly; each leaves at least one bar on either side."""
    if real.bars < 2:
        return ()
    evenly = np.linspace(1, real.bars - 1, cuts - cuts // 2).astype(np.int64)
    orders = real.at[real.at < real.bars - 1] + 1
    chosen = np.linspace(0, max(orders.size - 1, 0), min(cuts // 2, orders.size)).astype(np.int64)
    return tuple(np.unique(np.concatenate((evenly, orders[chosen]))).tolist())


def _futures(market: Market, cut: int) -> Iterator[tuple[str, Market]]:
    yield "truncated", market.head(cut)
    for name, swing in _SWINGS.items():
        yield name, _noisy(market, cut, swing)


def _noisy(market: Market, cut: int, swing: float) -> Market:
    """The same past; from the cut on a leap, and noise after it. Deterministic."""
    left = market.bars - cut
    draw = np.random.default_rng(cut)
    steps = draw.normal(0.0, 0.02, (len(market.assets), left))
    steps[:, 0] = swing * draw.uniform(0.5, 1.5, len(market.assets))
    path = market.close[:, cut - 1 : cut] * np.exp(np.clip(np.cumsum(steps, axis=1), -20, 20))
    volume = market.volume
    if volume is not None:
        volume = _joined(volume, cut, draw.uniform(0, 100, path.shape))
    return replace(
        market, open=_joined(market.open, cut, path), high=_joined(market.high, cut, path * 1.01),
        low=_joined(market.low, cut, path * 0.99), close=_joined(market.close, cut, path),
        volume=volume,
    )  # fmt: skip


def _joined(real: Floats, cut: int, other: Floats) -> Floats:
    return np.concatenate((real[:, :cut], other), axis=1)


def _differences(
    market: Market, real: Decisions, other: Decisions, cut: int, name: str
) -> Iterator[Difference]:
    """At most one: the first before the cut."""
    mine, theirs = real.between(0, cut), other.between(0, cut)
    for bar in _unlike(mine, theirs):
        yield Difference(
            bar, int(market.at[bar]), cut, name, _wanted(mine, bar), _wanted(theirs, bar)
        )
        return


def _unlike(mine: Decisions, theirs: Decisions) -> list[int]:
    pairs = ((mine.at, theirs.at), (mine.targets, theirs.targets), (_spent(mine), _spent(theirs)))
    if all(np.array_equal(one, other, equal_nan=True) for one, other in pairs):
        return []
    bars = np.union1d(mine.at, theirs.at).tolist()
    return [bar for bar in bars if _wanted(mine, bar) != _wanted(theirs, bar)]


def _spent(decisions: Decisions) -> Floats:
    return np.empty(0) if decisions.spend is None else decisions.spend


def _wanted(decisions: Decisions, bar: int) -> tuple[float | None, ...] | None:
    place = int(np.searchsorted(decisions.at, bar))
    if place == decisions.at.size or decisions.at[place] != bar:
        return None
    orders = decisions.targets if decisions.spend is None else decisions.spend
    return tuple(None if one != one else one for one in orders[:, place].tolist())
