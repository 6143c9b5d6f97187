"""Walk-forward: settings are chosen on one stretch and judged on the next, which they never saw.

Pardo, *The Evaluation and Optimization of Trading Strategies*, 2008. The stretches that judge
follow one another without gap; the stretch that chooses stands before each and moves with it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from portfolios.strategies import filling, measuring, running, sweeping
from portfolios.strategies.decisions import Decisions
from portfolios.strategies.errors import Problem, Stop, StrategyInvalid, Told, going_on, tell
from portfolios.strategies.market import Floats, Market
from portfolios.strategies.outcome import Outcome
from portfolios.strategies.running import Definition
from portfolios.strategies.sweeping import Grid

MOST_FOLDS = 50
_FEWEST_BARS = 30  # of a stretch: fewer say nothing


@dataclass(frozen=True, slots=True)
class Fold:
    """Bars are those of the whole market; ends are not included. Figures that are undefined: None.

    ``parameters`` did best (by Sharpe ratio) on the bars that choose; None when none had a ratio.
    """

    train_start: int
    test_start: int
    test_end: int
    parameters: dict[str, Any] | None
    train_return: float | None
    train_sharpe: float | None
    test_return: float
    test_sharpe: float | None
    test_drawdown: float


@dataclass(frozen=True, eq=False)
class WalkForward:
    """``outcome`` is one run over ``market``, the stretches that judge, with all costs.

    Its first bar is the last before those, on whose close the first settings decide. ``trials``
    counts combinations tried in each fold. ``efficiency`` is the yearly growth rate where it was
    judged over that where it was chosen; None unless the latter is above zero.
    """

    folds: tuple[Fold, ...]
    market: Market
    outcome: Outcome
    trials: int
    efficiency: float | None


def walk_forward(
    market: Market, key: str, grid: Grid, *, folds: int, train_share: float,
    cash: float, fee: float, slippage: float,
    told: Told | None = None, stop: Stop | None = None,
) -> WalkForward:  # fmt: skip
    """Choose and judge fold by fold. ``train_share`` is the part of a fold's bars that chooses.

    A strategy enters each stretch with what it would hold there, its indicators warm from the bars
    that chose. Raises StrategyInvalid, also for one that spends amounts and so holds what depends
    on when it began, and Stopped.
    """
    edges = _edges(market, folds, train_share)
    costs = running.checked_costs(cash=cash, fee=fee, slippage=slippage)
    chosen, wanted = [], []
    for number, (start, test, end) in enumerate(edges):
        tell(told, number, len(edges))
        going_on(stop)
        trials = sweeping.sweep(market.part(start, test), key, grid, cash=cash, fee=fee,
                                slippage=slippage, stop=stop)  # fmt: skip
        chosen.append(trials)
        wanted.append(_carried_on(market.part(start, end), trials, test - start, stop))
    tell(told, len(edges), len(edges))
    seen = market.part(edges[0][1] - 1, edges[-1][2])
    outcome = filling.outcome(seen, _stitched(wanted), cash=cash, costs=costs, stop=stop)
    found = tuple(_fold(edge, trials, seen, outcome.equity, edges[0][1] - 1)
                  for edge, trials in zip(edges, chosen, strict=True))  # fmt: skip
    return WalkForward(found, seen, outcome, len(chosen[0].settings), _efficiency(found))


def _edges(market: Market, folds: int, train_share: float) -> list[tuple[int, int, int]]:
    """Of each fold where it begins, where judging begins, and where it ends."""
    wrong = []
    if not 1 <= folds <= MOST_FOLDS:
        told = f"There must be 1 to {MOST_FOLDS} folds."
        wrong.append(Problem("/folds", "out_of_range", told))
    if not 0.1 <= train_share <= 0.95:
        told = "The share that chooses must be between 0.1 and 0.95."
        wrong.append(Problem("/train_share", "out_of_range", told))
    if wrong:
        raise StrategyInvalid(wrong)
    judging = int(market.bars / (folds + train_share / (1 - train_share)))
    choosing = market.bars - folds * judging
    if min(judging, choosing) < _FEWEST_BARS:
        told = f"With so many folds a stretch has fewer than {_FEWEST_BARS} bars."
        raise StrategyInvalid.at("/folds", "too_short", told)
    return [(number * judging, choosing + number * judging, choosing + (number + 1) * judging)
            for number in range(folds)]  # fmt: skip


def _carried_on(
    market: Market, trials: sweeping.SweepResult, test: int, stop: Stop | None
) -> Decisions:
    """What the best settings want from the last bar that chose on, counted from that bar.

    There it asks for all that it would hold. Without a best it asks for cash.
    """
    size = market.bars - test + 1
    nothing = np.zeros((len(market.assets), 1))
    if trials.best is None:
        return Decisions(size, np.zeros(1, np.int64), nothing)
    definition = Definition(trials.key, trials.settings[trials.best])
    whole = running.decide(market, definition, stop=stop)
    if whole.spend is not None:
        told = "A strategy that invests amounts over time cannot be walked forward."
        raise StrategyInvalid.at("/kind", "not_walked", told)
    standing = np.nan_to_num(whole.standing(test - 1))[:, np.newaxis]
    later = whole.between(test, market.bars)
    return Decisions(size, np.concatenate(([0], later.at + 1)),
                     np.concatenate((standing, later.targets), axis=1))  # fmt: skip


def _stitched(wanted: list[Decisions]) -> Decisions:
    """One after another. The last bar of each is the first of the next, which decides there."""
    at, targets, start = [], [], 0
    for number, one in enumerate(wanted):
        last = number == len(wanted) - 1
        kept = one if last else one.between(0, one.bars - 1)
        at.append(kept.at + start)
        targets.append(kept.targets)
        start += one.bars - 1
    return Decisions(start + 1, np.concatenate(at), np.concatenate(targets, axis=1))


def _fold(
    edge: tuple[int, int, int], trials: sweeping.SweepResult, seen: Market, equity: Floats,
    offset: int,
) -> Fold:  # fmt: skip
    start, test, end = edge
    judged = equity[test - 1 - offset : end - offset]
    best = trials.best
    known = best is not None
    return Fold(
        start, test, end, trials.settings[best] if best is not None else None,
        float(trials.total_return[best]) if known else None,
        float(trials.sharpe[best]) if known else None,
        measuring.total_return(judged),
        measuring.sharpe(measuring.returns(judged), seen), measuring.deepest(judged)[0],
    )  # fmt: skip


def _efficiency(folds: tuple[Fold, ...]) -> float | None:
    known = [fold for fold in folds if fold.train_return is not None]
    if not known:
        return None
    chose = _rate([(fold.train_return or 0.0, fold.test_start - fold.train_start)
                   for fold in known])  # fmt: skip
    judged = _rate([(fold.test_return, fold.test_end - fold.test_start) for fold in known])
    return judged / chose if chose > 0 else None


def _rate(stretches: list[tuple[float, int]]) -> float:
    """Growth of the logarithm per bar; a year's number of bars would cancel out."""
    grown = sum(float(np.log1p(total)) for total, _ in stretches)
    return grown / sum(bars for _, bars in stretches)
