"""One strategy over one market: what it decides, and what comes of that."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from portfolios.strategies import catalogue, filling, judging, rules
from portfolios.strategies.decisions import Decisions
from portfolios.strategies.errors import Problem, Stop, StrategyInvalid, Told, going_on, pointer
from portfolios.strategies.filling import Costs
from portfolios.strategies.indicators import Indicators
from portfolios.strategies.market import Market
from portfolios.strategies.outcome import Outcome
from portfolios.strategies.rules import Rules

CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class Definition:
    """A strategy ready to run: a key of the catalogue with parameters, or ``custom`` with rules."""

    kind: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, Any] | None = None

    def checked(self) -> "Definition":
        """The same with all parameters. Raises StrategyInvalid with every problem."""
        if self.kind == CUSTOM:
            self.parsed()
            return replace(self, parameters={})
        if self.rules is not None:
            raise StrategyInvalid.at("/rules", "unknown", "Only a custom strategy has rules.")
        return replace(self, parameters=catalogue.checked(self.kind, self.parameters))

    def parsed(self) -> Rules:
        """The rules of a custom strategy. Raises StrategyInvalid with every problem."""
        if self.parameters:
            told = "A custom strategy has rules and no parameters."
            raise StrategyInvalid.at("/parameters", "unknown", told)
        return rules.checked(self.rules)

    def warm_up(self) -> int:
        """Bars before the first on whose close it can decide anything. Raises StrategyInvalid."""
        if self.kind == CUSTOM:
            return rules.warm_up(self.parsed())
        return catalogue.found(self.kind).warm_up(self.checked().parameters)


def decide(
    market: Market, definition: Definition, *, indicators: Indicators | None = None,
    stop: Stop | None = None,
) -> Decisions:  # fmt: skip
    """What a strategy wants at the close of each bar, from that bar and those before it alone.

    ``indicators`` are those of the same market, to share between runs. Raises StrategyInvalid,
    and Stopped when ``stop`` says so.
    """
    known = indicators or Indicators(market, stop=stop)
    if known.market is not market:
        raise ValueError("these are the indicators of another market")
    if definition.kind == CUSTOM:
        wanted = definition.parsed()
        _check_count(len(market.assets), 1, catalogue.MOST_ASSETS)
        return judging.decide(known, wanted)
    values, one = dict(definition.checked().parameters), catalogue.found(definition.kind)
    _check_count(len(market.assets), one.fewest_assets, one.most_assets)
    return one.decide(known, values)


def _check_count(assets: int, fewest: int, most: int) -> None:
    if not fewest <= assets <= most:
        told = f"This strategy needs {fewest} to {most} assets."
        raise StrategyInvalid.at("/assets", "out_of_range", told)


def simulate(
    market: Market, definition: Definition, *, cash: float, fee: float, slippage: float,
    indicators: Indicators | None = None, told: Told | None = None, stop: Stop | None = None,
) -> Outcome:  # fmt: skip
    """A run from ``cash``: what is decided at a bar's close is filled at the next bar's open.

    ``fee`` is a fraction of the value traded, ``slippage`` the fraction by which a fill is worse
    than the open. Long only, nothing borrowed; the last bar's decision is not filled. Raises
    StrategyInvalid, and Stopped when ``stop`` says so.
    """
    costs = checked_costs(cash=cash, fee=fee, slippage=slippage)
    going_on(stop)
    decisions = decide(market, definition, indicators=indicators, stop=stop)
    going_on(stop)
    return filling.outcome(market, decisions, cash=cash, costs=costs, told=told, stop=stop)


def checked_costs(*, cash: float, fee: float, slippage: float) -> Costs:
    """Raises StrategyInvalid unless there is cash and fee and slippage are fractions below one."""
    found = []
    if not (math.isfinite(cash) and cash > 0):
        found.append(Problem("/cash", "out_of_range", "The starting cash must be above zero."))
    for name, value in (("fee", fee), ("slippage", slippage)):
        if not 0 <= value < 1:
            told = f"The {name} must be a fraction from 0 to less than 1."
            found.append(Problem(pointer(name), "out_of_range", told))
    if found:
        raise StrategyInvalid(found)
    return Costs(fee, slippage)
