"""One strategy with many settings over one market: which did best, and how little that proves.

Indicators are shared between trials, and of each trial only its figures are kept.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from portfolios.strategies import catalogue, measuring, overfitting, parameters, running
from portfolios.strategies.errors import (
    Problem,
    Stop,
    StrategyInvalid,
    Told,
    going_on,
    pointer,
    tell,
)
from portfolios.strategies.indicators import Indicators
from portfolios.strategies.market import Floats, Integers, Market
from portfolios.strategies.overfitting import Overfitting
from portfolios.strategies.parameters import Values
from portfolios.strategies.running import Definition

MOST_TRIALS = 2_000
Grid = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, eq=False)
class SweepResult:
    """All trials in the order of the grid; arrays of shape (trials,).

    ``settings`` has the complete parameters of each, ``skipped`` counts combinations that are not
    valid. ``sharpe`` is nan where it is not defined (``rows`` says None). ``best`` is the trial
    with the highest Sharpe ratio, None where none has one.
    """

    key: str
    settings: tuple[Values, ...]
    total_return: Floats
    sharpe: Floats
    max_drawdown: Floats
    fees: Floats
    fills: Integers
    skipped: int
    sums: Floats

    @property
    def best(self) -> int | None:
        return None if np.isnan(self.sharpe).all() else int(np.nanargmax(self.sharpe))

    @cached_property
    def overfitting(self) -> Overfitting:
        """How much of the best is luck."""
        return overfitting.judged(self.sums, self.best)

    def rows(self) -> list[dict[str, Any]]:
        """Each trial as an object, None where a figure is not defined."""
        columns = zip(self.settings, self.total_return.tolist(), self.sharpe.tolist(),
                      self.max_drawdown.tolist(), self.fees.tolist(), self.fills.tolist(),
                      strict=True)  # fmt: skip
        return [
            {"parameters": values, "total_return": total, "max_drawdown": fall, "fees": fees,
             "sharpe": None if ratio != ratio else ratio, "fills": fills}
            for values, total, ratio, fall, fees, fills in columns
        ]  # fmt: skip


def sweep(
    market: Market, key: str, grid: Grid, *, cash: float, fee: float, slippage: float,
    told: Told | None = None, stop: Stop | None = None,
) -> SweepResult:  # fmt: skip
    """Run every valid combination of the grid's values; what the grid leaves out is default.

    Raises StrategyInvalid (pointers ``/grid/NAME/PLACE``), also without a valid combination or
    with more than MOST_TRIALS of them, and Stopped.
    """
    settings, skipped = combinations(key, grid)
    indicators = Indicators(market, stop=stop)
    figures = np.empty((5, len(settings)))
    sums = np.empty((len(settings), 5, overfitting.BLOCKS))
    for place, values in enumerate(settings):
        going_on(stop)
        tell(told, place, len(settings))
        outcome = running.simulate(
            market, Definition(key, values), cash=cash, fee=fee, slippage=slippage,
            indicators=indicators, stop=stop,
        )  # fmt: skip
        moves = measuring.returns(outcome.equity)
        ratio = measuring.sharpe(moves, market)
        figures[:, place] = (
            measuring.total_return(outcome.equity), np.nan if ratio is None else ratio,
            measuring.deepest(outcome.equity)[0], outcome.fills.fee.sum(), len(outcome.fills),
        )  # fmt: skip
        sums[place] = overfitting.powers(moves)
    tell(told, len(settings), len(settings))
    total, ratios, falls, fees, fills = figures
    return SweepResult(key, settings, total, ratios, falls, fees, fills.astype(np.int64), skipped,
                       sums)  # fmt: skip


# --- the grid -----------------------------------------------------------------------------------
def combinations(key: str, grid: Grid) -> tuple[tuple[Values, ...], int]:
    """The complete parameters of every valid combination, and how many are not valid."""
    found = _checked(key, grid)
    names, one = list(found), catalogue.found(key)
    valid: list[Values] = []
    total = 0
    for chosen in itertools.product(*found.values()):
        total += 1
        given = dict(zip(names, chosen, strict=True))
        values, wrong = parameters.problems(one.parameters, one.rules, given)
        if not wrong:
            valid.append(values)
    if not valid:
        told = "No combination of these values is valid."
        raise StrategyInvalid.at("/grid", "no_combination", told)
    return tuple(valid), total - len(valid)


def _checked(key: str, grid: Grid) -> dict[str, Sequence[Any]]:
    """The grid, each value once. Raises StrategyInvalid."""
    one = catalogue.found(key)
    known = {parameter.name: parameter for parameter in one.parameters}
    wrong = [problem for name, values in grid.items() for problem in _wrong(known, name, values)]
    if wrong:
        raise StrategyInvalid(wrong)
    found: dict[str, Sequence[Any]] = {
        name: list(dict.fromkeys(known[name].plain(value) for value in values))
        for name, values in grid.items()
    }
    count = np.prod([len(values) for values in found.values()], dtype=object)
    if count > MOST_TRIALS:
        told = f"A sweep has at most {MOST_TRIALS:,} combinations; these are {count:,}."
        raise StrategyInvalid.at("/grid", "too_many", told)
    return found


def _wrong(
    known: Mapping[str, parameters.Parameter], name: str, values: Sequence[Any]
) -> Iterator[Problem]:
    place = pointer("grid", name)
    if name not in known:
        yield Problem(place, "unknown", f"Not known here. There is {', '.join(known)}.")
    elif not isinstance(values, list | tuple | range) or not values:
        yield Problem(place, "wrong_type", "Must be a list of at least one value.")
    elif len(values) > MOST_TRIALS:
        yield Problem(place, "too_many", f"A list has at most {MOST_TRIALS:,} values.")
    else:
        for index, value in enumerate(values):
            if found := known[name].problem(value):
                yield Problem(place + pointer(index), *found)
