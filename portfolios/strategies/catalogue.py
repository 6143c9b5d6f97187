"""The built-in strategies: what they do, what can be set, and where they come from.

All of them are long only and decide at the close of a bar. Those that judge each asset by its own
prices give each an equal share of the equity.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from portfolios.strategies import allocating, parameters, trading
from portfolios.strategies.decisions import Decisions
from portfolios.strategies.errors import StrategyInvalid
from portfolios.strategies.indicators import Indicators
from portfolios.strategies.parameters import Less, Parameter, Values, number, whole

MOST_ASSETS = 10
_LONGEST = 5_000  # bars of a look-back


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """One strategy of the catalogue.

    ``warm_up`` says of checked parameters how many bars pass before the first on whose close it
    can decide anything.
    """

    key: str
    name: str
    description: str
    source: str
    parameters: tuple[Parameter, ...]
    decide: Callable[[Indicators, Values], Decisions]
    warm_up: Callable[[Mapping[str, Any]], int]
    rules: tuple[Less, ...] = ()
    fewest_assets: int = 1
    most_assets: int = MOST_ASSETS


def _no_wait(values: Mapping[str, Any]) -> int:
    return 0


def _averages(fast: int, slow: int) -> tuple[Parameter, ...]:
    return (
        whole("fast", fast, 2, _LONGEST, "Length of the average that follows the price closely."),
        whole("slow", slow, 3, _LONGEST, "Length of the average that follows it slowly."),
    )


def _every(default: int, description: str) -> Parameter:
    return whole("every", default, 1, _LONGEST, description)


_INVESTED = number(
    "invested", 1.0, 0.01, 1.0, "Share of the equity to invest; the rest stays in cash.",
    unit="fraction",
)  # fmt: skip
_FAST_IS_FASTER = (Less("fast", "slow"),)

_ALL = (
    BuiltIn(
        "buy_and_hold", "Buy and hold",
        "Buys all assets in equal parts at the beginning and keeps them. Every other strategy has "
        "to be better than this after its fees.",
        "Sharpe, The Arithmetic of Active Management, Financial Analysts Journal, 1991",
        (), allocating.buy_and_hold, _no_wait,
    ),
    BuiltIn(
        "dollar_cost_averaging", "Dollar-cost averaging",
        "Spends the starting cash in equal amounts at regular intervals, whatever the price is, "
        "until it is spent.",
        "Graham, The Intelligent Investor, 1949; judged by Constantinides, A Note on the "
        "Suboptimality of Dollar-Cost Averaging, Journal of Financial and Quantitative Analysis, "
        "1979",
        (_every(30, "Bars from one purchase to the next."),
         whole("parts", 12, 1, 1_000, "Number of equal parts of the starting cash.",
               unit="purchases")),
        allocating.dollar_cost_averaging, _no_wait,
    ),
    BuiltIn(
        "sma_crossover", "SMA crossover",
        "Holds an asset while the simple average of its last few closes is above that of many, "
        "and cash otherwise.",
        "Brock, Lakonishok and LeBaron, Simple Technical Trading Rules and the Stochastic "
        "Properties of Stock Returns, Journal of Finance, 1992",
        _averages(20, 50), trading.sma_crossover,
        lambda values: values["slow"] - 1, _FAST_IS_FASTER,
    ),
    BuiltIn(
        "ema_crossover", "EMA crossover",
        "As the SMA crossover, with averages in which recent closes weigh more.",
        "Appel, Technical Analysis: Power Tools for Active Investors, 2005",
        _averages(12, 26), trading.ema_crossover,
        lambda values: values["slow"] - 1, _FAST_IS_FASTER,
    ),
    BuiltIn(
        "rsi_mean_reversion", "RSI mean reversion",
        "Buys an asset that has fallen fast (its relative strength index is low) and sells when "
        "it has risen fast.",
        "Wilder, New Concepts in Technical Trading Systems, 1978",
        (whole("bars", 14, 2, _LONGEST, "Length of the index."),
         number("enter_below", 30.0, 1.0, 99.0, "Buy below this index.", unit="index"),
         number("exit_above", 70.0, 1.0, 99.0, "Sell above this index.", unit="index")),
        trading.rsi_mean_reversion,
        lambda values: values["bars"], (Less("enter_below", "exit_above"),),
    ),
    BuiltIn(
        "macd", "MACD",
        "Holds an asset while the distance of two exponential averages is above its own average: "
        "while a rise gathers speed.",
        "Appel, The Moving Average Convergence-Divergence Trading Method, 1979",
        (*_averages(12, 26), whole("signal", 9, 2, _LONGEST, "Length of the distance's average.")),
        trading.macd, lambda values: values["slow"] + values["signal"] - 2, _FAST_IS_FASTER,
    ),
    BuiltIn(
        "bollinger_reversion", "Bollinger reversion",
        "Buys an asset that closed below the lower Bollinger band and sells when it closes above "
        "the middle one.",
        "Bollinger, Bollinger on Bollinger Bands, 2001",
        (whole("bars", 20, 2, _LONGEST, "Length of the bands."),
         number("width", 2.0, 0.1, 10.0, "Distance of the bands from the middle.",
                unit="standard deviations")),
        trading.bollinger_reversion, lambda values: values["bars"] - 1,
    ),
    BuiltIn(
        "donchian_breakout", "Donchian breakout",
        "Buys an asset that closes above the highest price of the bars before and sells when it "
        "closes below the lowest of fewer bars.",
        "Donchian's channel as the Turtles traded it: Faith, Way of the Turtle, 2007",
        (whole("enter", 20, 2, _LONGEST, "Bars whose highest price is to be exceeded."),
         whole("exit", 10, 2, _LONGEST, "Bars whose lowest price is the way out.")),
        trading.donchian_breakout, lambda values: max(values["enter"], values["exit"]),
    ),
    BuiltIn(
        "momentum_rotation", "Momentum rotation",
        "Holds those assets that rose most over the look-back and changes them at regular "
        "intervals; what did not rise enough is left out and its place stays in cash.",
        "Jegadeesh and Titman, Returns to Buying Winners and Selling Losers, Journal of Finance, "
        "1993; the floor: Antonacci, Dual Momentum Investing, 2014",
        (whole("look_back", 90, 1, _LONGEST, "Bars over which the rise is measured."),
         whole("top", 1, 1, MOST_ASSETS, "How many assets to hold.", unit="assets"),
         _every(30, "Bars from one change to the next."),
         number("least_rise", 0.0, -100.0, 1_000.0, "An asset must have risen more than this.",
                unit="per cent")),
        allocating.momentum_rotation, lambda values: values["look_back"], fewest_assets=2,
    ),
    BuiltIn(
        "volatility_targeting", "Volatility targeting",
        "Invests less while prices swing widely and more while they are calm, so that the swings "
        "of the whole stay near a target. Never more than everything is invested.",
        "Moreira and Muir, Volatility-Managed Portfolios, Journal of Finance, 2017",
        (number("target", 40.0, 1.0, 500.0, "Volatility to aim at.", unit="per cent a year"),
         whole("window", 30, 2, _LONGEST, "Bars over which volatility is measured."),
         _every(7, "Bars from one adjustment to the next.")),
        allocating.volatility_targeting, lambda values: values["window"],
    ),
    BuiltIn(
        "periodic_rebalancing", "Periodic rebalancing",
        "Brings all assets back to equal shares at regular intervals: sells of what rose and buys "
        "of what fell.",
        "Perold and Sharpe, Dynamic Strategies for Asset Allocation, Financial Analysts Journal, "
        "1988",
        (_every(30, "Bars from one rebalancing to the next."), _INVESTED),
        allocating.periodic_rebalancing, _no_wait,
    ),
    BuiltIn(
        "threshold_rebalancing", "Threshold rebalancing",
        "Brings all assets back to equal shares as soon as one share is off by the threshold.",
        "Donohue and Yip, Optimal Portfolio Rebalancing with Transaction Costs, Journal of "
        "Portfolio Management, 2003",
        (number("threshold", 5.0, 0.5, 99.0, "How far off a share may be.",
                unit="percentage points"), _INVESTED),
        allocating.threshold_rebalancing, _no_wait,
    ),
)  # fmt: skip

CATALOGUE: Mapping[str, BuiltIn] = MappingProxyType({one.key: one for one in _ALL})


def found(key: object) -> BuiltIn:
    """The strategy of a key. Raises StrategyInvalid at ``/kind`` when there is none."""
    if isinstance(key, str) and key in CATALOGUE:
        return CATALOGUE[key]
    raise StrategyInvalid.at("/kind", "unknown", "There is no strategy of this name.")


def checked(key: object, given: object) -> Values:
    """The parameters, complete with defaults. Raises StrategyInvalid with every problem."""
    one = found(key)
    values, problems = parameters.problems(one.parameters, one.rules, given)
    if problems:
        raise StrategyInvalid(problems)
    return values


def schema(key: str) -> dict[str, Any]:
    """The parameters as a JSON Schema (draft 2020-12). What it cannot say its description says."""
    one = found(key)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "title": one.name,
        "description": " ".join([one.description, *(rule.sentence for rule in one.rules)]),
        "properties": {parameter.name: parameter.schema() for parameter in one.parameters},
        "additionalProperties": False,
    }
