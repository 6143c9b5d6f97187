"""Built-in strategies that say how the equity is shared out, on a timetable or when it drifted."""

import numpy as np

from portfolios.strategies.decisions import Decisions
from portfolios.strategies.indicators import Indicators
from portfolios.strategies.market import Floats, Integers, Market
from portfolios.strategies.parameters import Values


def buy_and_hold(indicators: Indicators, values: Values) -> Decisions:
    market = indicators.market
    return _equally(market, np.zeros(1, np.int64), invested=1.0)


def periodic_rebalancing(indicators: Indicators, values: Values) -> Decisions:
    market = indicators.market
    return _equally(market, _every(market, values["every"]), invested=values["invested"])


def dollar_cost_averaging(indicators: Indicators, values: Values) -> Decisions:
    """The same part of the starting cash each time, until all parts are spent."""
    market = indicators.market
    at = _every(market, values["every"])[: values["parts"]]
    shape = (len(market.assets), at.size)
    spend = np.full(shape, 1.0 / (values["parts"] * len(market.assets)))
    return Decisions(market.bars, at, np.full(shape, np.nan), spend)


def momentum_rotation(indicators: Indicators, values: Values) -> Decisions:
    """Equal shares of the ``top`` assets; a place that no asset deserves stays in cash."""
    market, look_back = indicators.market, values["look_back"]
    at = _every(market, values["every"], start=look_back)
    rise = (market.close[:, at] / market.close[:, at - look_back] - 1) * 100
    ranks = np.argsort(np.argsort(-rise, axis=0, kind="stable"), axis=0, kind="stable")
    chosen = (ranks < values["top"]) & (rise > values["least_rise"])
    return Decisions(market.bars, at, chosen / min(values["top"], len(market.assets)))


def volatility_targeting(indicators: Indicators, values: Values) -> Decisions:
    """Of an asset's equal share, target ÷ realised volatility is invested, never more than all."""
    market, window = indicators.market, values["window"]
    at = _every(market, values["every"], start=window)
    targets = np.empty((len(market.assets), at.size))
    for asset, row in enumerate(targets):
        realised = indicators.volatility(asset, window)[at]
        row[:] = np.minimum(values["target"] / 100 / realised, 1.0) / len(market.assets)
    return Decisions(market.bars, at, targets)


def threshold_rebalancing(indicators: Indicators, values: Values) -> Decisions:
    """Back to equal shares as soon as one asset's share is ``threshold`` points off at a close.

    Shares after a fill are the targets whatever it cost, because targets are shares of what is
    left after costs; so the drift follows from prices alone.
    """
    market, invested = indicators.market, values["invested"]
    places, found = [0], 0
    while found + 1 < market.bars:
        indicators.going_on()
        found = _drifted(market, found + 1, invested, values["threshold"] / 100)
        if found < market.bars:
            places.append(found)
    return _equally(market, np.array(places, np.int64), invested=invested)


def _drifted(market: Market, fill: int, invested: float, threshold: float) -> int:
    """The first bar from ``fill`` at whose close a share is off; the number of bars if none."""
    share = invested / len(market.assets)
    start, size = fill, 64
    bought = market.open[:, fill, np.newaxis] / share
    while start < market.bars:
        worth = market.close[:, start : start + size] / bought
        off = np.abs(worth / (worth.sum(axis=0) + (1.0 - invested)) - share) >= threshold
        places = np.flatnonzero(off.any(axis=0))
        if places.size:
            return start + int(places[0])
        start, size = start + size, min(size * 2, 1 << 16)
    return market.bars


def _every(market: Market, bars: int, *, start: int = 0) -> Integers:
    return np.arange(start, market.bars, bars, dtype=np.int64)


def _equally(market: Market, at: Integers, *, invested: float) -> Decisions:
    assets = len(market.assets)
    targets: Floats = np.full((assets, at.size), invested / assets)
    return Decisions(market.bars, at, targets)
