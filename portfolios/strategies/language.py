"""The words of the rule language: which indicators there are and what can be said of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from portfolios.strategies.parameters import Less, Parameter, number, whole

LONGEST = 5_000  # bars of one look-back
COMPARISONS = {
    "gt": "is above", "gte": "is at or above", "lt": "is below", "lte": "is at or below",
    "crosses_above": "is above and was not a bar before",
    "crosses_below": "is below and was not a bar before",
}  # fmt: skip
CROSSINGS = ("crosses_above", "crosses_below")
PRICES = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Indicator:
    """A word for a number of each bar. ``of`` and ``part`` are options like the others."""

    name: str
    description: str
    options: tuple[Parameter, ...] = ()
    rules: tuple[Less, ...] = ()


def _choice(name: str, choices: tuple[str, ...], default: str, description: str) -> Parameter:
    return Parameter(name, "choice", default, None, None, "", description, choices)


def _of(default: str) -> Parameter:
    return _choice("of", PRICES, default, "Of which of a bar's numbers.")


def _bars(default: int, least: int = 2) -> Parameter:
    return whole("bars", default, least, LONGEST, "Length of the look-back.")


LAG = whole("lag", 0, 0, LONGEST, "As it was so many bars before.")
_VALUE = number("value", 0.0, -1e15, 1e15, "The number.", unit="")

_ALL = (
    Indicator("price", "The close of the bar."),
    *(Indicator(name, f"The bar's {name}.") for name in PRICES),
    Indicator("sma", "Simple moving average.", (_bars(20), _of("close"))),
    Indicator("ema", "Exponential moving average.", (_bars(20), _of("close"))),
    Indicator("rsi", "Wilder's relative strength index, 0 to 100.", (_bars(14), _of("close"))),
    Indicator(
        "macd", "Distance of two exponential averages, its own average, and their difference.",
        (whole("fast", 12, 2, LONGEST, "Length of the fast average."),
         whole("slow", 26, 3, LONGEST, "Length of the slow average."),
         whole("signal", 9, 2, LONGEST, "Length of the distance's average."),
         _choice("part", ("line", "signal", "histogram"), "line", "Which of the three.")),
        (Less("fast", "slow"),),
    ),
    Indicator(
        "bollinger", "An average and bands around it.",
        (_bars(20), number("width", 2.0, 0.1, 10.0, "Distance of the bands.",
                           unit="standard deviations"),
         _choice("part", ("upper", "middle", "lower"), "middle", "Which band.")),
    ),
    Indicator(
        "donchian", "Highest high or lowest low of the last bars, this one included: take a lag "
        "of 1 to compare a close with the bars before it.",
        (_bars(20), _choice("part", ("upper", "lower"), "upper", "Which side.")),
    ),
    Indicator("atr", "Wilder's average true range.", (_bars(14, 1),)),
    Indicator("roc", "Change against so many bars before, in per cent.",
              (_bars(10, 1), _of("close"))),
    Indicator("stdev", "Standard deviation of the last values.", (_bars(20), _of("close"))),
    Indicator("highest", "The greatest of the last values, this bar's included.",
              (_bars(20), _of("high"))),
    Indicator("lowest", "The least of the last values, this bar's included.",
              (_bars(20), _of("low"))),
    Indicator("constant", "A number.", (_VALUE,)),
)  # fmt: skip

INDICATORS: Mapping[str, Indicator] = MappingProxyType({one.name: one for one in _ALL})

# --- how much, and when enough is enough --------------------------------------------------------
FRACTION = (number("fraction", 1.0, 0.01, 1.0, "Share of the asset's equity to invest.",
                   unit="fraction"),)  # fmt: skip
BY_VOLATILITY = (
    number("volatility_target", 40.0, 1.0, 500.0, "Volatility to aim at on entering.",
           unit="per cent a year"),
    whole("window", 30, 2, LONGEST, "Bars over which volatility is measured."),
    number("most", 1.0, 0.01, 1.0, "The most to invest.", unit="fraction"),
)  # fmt: skip
STOPS = (
    number("stop_loss", 5.0, 0.01, 99.99, "Leave when a close is so far below the entry.",
           unit="per cent"),
    number("take_profit", 10.0, 0.01, 100_000.0, "Leave when a close is so far above the entry.",
           unit="per cent"),
    number("trailing_stop", 5.0, 0.01, 99.99, "Leave when a close is so far below the highest "
           "close since the entry.", unit="per cent"),
    whole("max_bars", 100, 1, 1_000_000, "Leave after so many bars."),
)  # fmt: skip
