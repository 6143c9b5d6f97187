"""Built-in strategies that are in or out of each asset by its own prices, in equal shares."""

from collections.abc import Callable

from portfolios.strategies import decisions
from portfolios.strategies.decisions import Decisions, Holding
from portfolios.strategies.indicators import Indicators
from portfolios.strategies.market import Floats
from portfolios.strategies.parameters import Values


# --- trends -------------------------------------------------------------------------------------
def sma_crossover(indicators: Indicators, values: Values) -> Decisions:
    def holding(asset: int) -> Holding:
        fast = indicators.sma(asset, values["fast"])
        slow = indicators.sma(asset, values["slow"])
        return decisions.of_state(fast > slow, start=values["slow"] - 1)

    return _each(indicators, holding)


def ema_crossover(indicators: Indicators, values: Values) -> Decisions:
    def holding(asset: int) -> Holding:
        fast = indicators.ema(asset, values["fast"])
        slow = indicators.ema(asset, values["slow"])
        return decisions.of_state(fast > slow, start=values["slow"] - 1)

    return _each(indicators, holding)


def macd(indicators: Indicators, values: Values) -> Decisions:
    def holding(asset: int) -> Holding:
        line, signal, _ = indicators.macd(asset, values["fast"], values["slow"], values["signal"])
        return decisions.of_state(line > signal, start=values["slow"] + values["signal"] - 2)

    return _each(indicators, holding)


def donchian_breakout(indicators: Indicators, values: Values) -> Decisions:
    """The channel is that of the bars *before*: no close is above its own bar's high."""
    enter, leave = values["enter"], values["exit"]

    def holding(asset: int) -> Holding:
        close = indicators.price(asset)
        return decisions.of_signals(
            _after(close, indicators.highest(asset, enter)) > 0,
            _after(close, indicators.lowest(asset, leave)) < 0,
            start=max(enter, leave),
        )

    return _each(indicators, holding)


def _after(close: Floats, level: Floats) -> Floats:
    """How far each close is above the level of the bar before it."""
    apart = close.copy()
    apart[0] = 0.0
    apart[1:] -= level[:-1]
    return apart


# --- reversals ----------------------------------------------------------------------------------
def rsi_mean_reversion(indicators: Indicators, values: Values) -> Decisions:
    def holding(asset: int) -> Holding:
        rsi = indicators.rsi(asset, values["bars"])
        low, high = rsi < values["enter_below"], rsi > values["exit_above"]
        return decisions.of_signals(low, high, start=values["bars"])

    return _each(indicators, holding)


def bollinger_reversion(indicators: Indicators, values: Values) -> Decisions:
    def holding(asset: int) -> Holding:
        close = indicators.price(asset)
        _, middle, lower = indicators.bollinger(asset, values["bars"], values["width"])
        return decisions.of_signals(close < lower, close > middle, start=values["bars"] - 1)

    return _each(indicators, holding)


def _each(indicators: Indicators, holding: Callable[[int], Holding]) -> Decisions:
    market = indicators.market
    return decisions.joined(
        [holding(asset) for asset in range(len(market.assets))], bars=market.bars
    )
