"""Custom rules over a market: conditions as arrays of bars, stops searched entry by entry."""

import bisect
from collections.abc import Callable

import numpy as np

from portfolios.strategies import decisions, language, rules
from portfolios.strategies.decisions import Decisions, Holding
from portfolios.strategies.errors import StrategyInvalid
from portfolios.strategies.indicators import Indicators
from portfolios.strategies.market import Booleans, Floats, Market
from portfolios.strategies.parameters import Values
from portfolios.strategies.rules import Comparison, Condition, Every, Not, Operand, Rules, Stops


def decide(indicators: Indicators, wanted: Rules) -> Decisions:
    """What rules want at each close. Raises StrategyInvalid when that would take too much work,
    or when they speak of volume and the market has none."""
    market = indicators.market
    rules.check_work(wanted, bars=market.bars, assets=len(market.assets))
    holdings = [_holding(indicators, asset, wanted) for asset in range(len(market.assets))]
    return decisions.joined(holdings, bars=market.bars)


def _holding(indicators: Indicators, asset: int, wanted: Rules) -> Holding:
    judge, start = _Judge(indicators, asset), rules.warm_up(wanted)
    enter = judge.of(wanted.enter)
    leave = np.zeros_like(enter) if wanted.exit is None else judge.of(wanted.exit)
    if wanted.stops == Stops():
        at, inside = decisions.of_signals(enter, leave, start=start)
    else:
        at, inside = _stopped(indicators, asset, enter, leave, start, wanted.stops)
    return at, inside * _size(indicators, asset, wanted)[at] if at.size else inside


def _size(indicators: Indicators, asset: int, wanted: Rules) -> Floats:
    size = wanted.size
    if size.volatility_target is None:
        return np.full(indicators.market.bars, size.fraction)
    realised = indicators.volatility(asset, size.window)
    return np.minimum(size.volatility_target / realised, size.fraction)


# --- conditions ---------------------------------------------------------------------------------
class _Judge:
    """Says on which bars conditions are true for one asset."""

    def __init__(self, indicators: Indicators, asset: int) -> None:
        self._indicators, self._asset = indicators, asset
        self._bars = indicators.market.bars

    def of(self, condition: Condition) -> Booleans:
        if isinstance(condition, Comparison):
            return self._compared(condition)
        if isinstance(condition, Not):
            return ~self.of(condition.part)
        joined = np.logical_and if isinstance(condition, Every) else np.logical_or
        found = self.of(condition.parts[0])
        for part in condition.parts[1:]:
            joined(found, self.of(part), out=found)
        return found

    def _compared(self, comparison: Comparison) -> Booleans:
        left, right = self._values(comparison.left), self._values(comparison.right)
        if comparison.how in _PLAIN:
            return _PLAIN[comparison.how](left, right)
        if comparison.how == "crosses_below":
            left, right = right, left
        above = left > right
        found = np.zeros_like(above)
        found[1:] = above[1:] & ~above[:-1]
        return found

    def _values(self, operand: Operand) -> Floats:
        """Of each bar, nan where it is not known yet."""
        if operand.indicator == "constant":
            return np.broadcast_to(np.float64(operand.option("value")), self._bars)
        try:
            row = _row(self._indicators, self._asset, operand)
        except LookupError as error:
            told = "These candles have no volume."
            raise StrategyInvalid.at(operand.pointer, "no_volume", told) from error
        return _late(row, operand.lag)


_PLAIN: dict[str, Callable[[Floats, Floats], Booleans]] = {
    "gt": np.greater, "gte": np.greater_equal, "lt": np.less, "lte": np.less_equal,
}  # fmt: skip
_OF_ONE = ("sma", "ema", "rsi", "roc", "stdev", "highest", "lowest")


def _late(row: Floats, lag: int) -> Floats:
    if not lag:
        return row
    found = np.full_like(row, np.nan)
    found[lag:] = row[:-lag]
    return found


def _row(indicators: Indicators, asset: int, operand: Operand) -> Floats:
    options, name = dict(operand.options), operand.indicator
    if name in language.PRICES:
        return indicators.price(asset, name)
    if name in _OF_ONE:
        found: Floats = getattr(indicators, name)(asset, options["bars"], options["of"])
        return found
    if name == "atr":
        return indicators.atr(asset, options["bars"])
    return _PARTS[name](indicators, asset, options)


def _of_macd(indicators: Indicators, asset: int, options: Values) -> Floats:
    lines = indicators.macd(asset, options["fast"], options["slow"], options["signal"])
    return lines[("line", "signal", "histogram").index(options["part"])]


def _of_bollinger(indicators: Indicators, asset: int, options: Values) -> Floats:
    bands = indicators.bollinger(asset, options["bars"], options["width"])
    return bands[("upper", "middle", "lower").index(options["part"])]


def _of_donchian(indicators: Indicators, asset: int, options: Values) -> Floats:
    if options["part"] == "upper":
        return indicators.highest(asset, options["bars"])
    return indicators.lowest(asset, options["bars"])


_PARTS = {"macd": _of_macd, "bollinger": _of_bollinger, "donchian": _of_donchian}


# --- stops --------------------------------------------------------------------------------------
def _stopped(
    indicators: Indicators, asset: int, enter: Booleans, leave: Booleans, start: int, stops: Stops
) -> Holding:
    """In and out with stops, one search for each entry.

    A stop is judged at closes against the open at which the position was bought (whatever the
    slippage), decided there and filled at the next open: a gap makes it worse, as it would be.
    After a stop the next entry is decided on the next bar at the earliest.
    """
    market = indicators.market
    entries = (np.flatnonzero((enter & ~leave)[start:]) + start).tolist()
    exits = np.flatnonzero(leave).tolist()
    at, bar = [], start
    while (place := bisect.bisect_left(entries, bar)) < len(entries):
        indicators.going_on()
        entry = entries[place]
        after = bisect.bisect_right(exits, entry)
        limit = exits[after] if after < len(exits) else market.bars
        bar = _end(market, asset, entry + 1, limit, stops)
        at += [entry, bar]
        bar += 1
    if at and at[-1] >= market.bars:
        at.pop()
    inside = np.zeros(len(at))
    inside[::2] = 1.0
    return np.array(at, dtype=np.int64), inside


def _end(market: Market, asset: int, fill: int, limit: int, stops: Stops) -> int:
    """The bar on whose close to leave what is bought at the open of ``fill``: ``limit`` at last."""
    if stops.max_bars is not None:
        limit = min(limit, fill + stops.max_bars - 1)
    if fill >= market.bars:
        return market.bars
    bought = top = market.open[asset, fill]
    start, size = fill, 32
    while start < limit:
        closes = market.close[asset, start : min(start + size, limit)]
        tops = np.maximum(np.maximum.accumulate(closes), top)
        places = np.flatnonzero(_hit(closes, bought, tops, stops))
        if places.size:
            return start + int(places[0])
        top, start, size = tops[-1], start + size, size * 2
        if start >= market.bars:
            break
    return limit


def _hit(closes: Floats, bought: float, tops: Floats, stops: Stops) -> Booleans:
    """Levels are made of whole per cents first, so that 110 is ten per cent above 100."""
    hit = np.zeros(closes.size, dtype=np.bool_)
    if stops.stop_loss is not None:
        hit |= closes <= bought * (100 - stops.stop_loss) / 100
    if stops.take_profit is not None:
        hit |= closes >= bought * (100 + stops.take_profit) / 100
    if stops.trailing_stop is not None:
        hit |= closes <= tops * (100 - stops.trailing_stop) / 100
    return hit
