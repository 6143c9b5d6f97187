"""Returns and risk of ten years of days against empyrical, and XIRR against pyxirr itself."""

import random
import statistics
from collections.abc import Callable
from datetime import date, timedelta

import empyrical
import numpy as np
import pyxirr

from portfolios.returns import performance
from tests.benchmarks.measure import Result, seconds

DAYS, FLOWS, ROUNDS, TIMES = 3_650, 353, 9, 200


def measure() -> list[Result]:
    returns = np.random.default_rng(42).normal(0.0006, 0.03, DAYS)
    growth = 1 + returns
    _same_figures(growth, returns)
    ours, theirs = _in_turn(lambda: performance.risk(growth), lambda: _empyrical(returns))
    days, amounts = _flows()
    rate, bare = _in_turn(
        lambda: performance.money_weighted(days, amounts), lambda: pyxirr.xirr(days, amounts)
    )
    risk_ratio, rate_ratio = ours / theirs, rate / bare
    return [
        Result("TWR and risk, 3,650 days", ours * 1000, "ms", f"empyrical {theirs * 1000:.3f} ms",
               risk_ratio, "≤ 1.5", risk_ratio <= 1.5),
        Result("XIRR, 353 flows", rate * 1000, "ms", f"pyxirr {bare * 1000:.3f} ms", rate_ratio,
               "≤ 5", rate_ratio <= 5),
    ]  # fmt: skip


def _empyrical(returns: np.ndarray) -> tuple[float, ...]:
    return (
        empyrical.cum_returns_final(returns),
        empyrical.max_drawdown(returns),
        empyrical.sharpe_ratio(returns, annualization=365),
        empyrical.sortino_ratio(returns, annualization=365),
    )


def _same_figures(growth: np.ndarray, returns: np.ndarray) -> None:
    """A faster figure that is another one would prove nothing."""
    found = performance.risk(growth)
    ours = (found.twr, found.drawdown.depth, found.sharpe, found.sortino)
    if not np.allclose(ours, _empyrical(returns), rtol=1e-9):
        raise RuntimeError(f"{ours} are not empyrical's figures")


def _flows() -> tuple[list[date], list[float]]:
    draw = random.Random(42)
    start = date(2016, 1, 1)
    days = [start + timedelta(days=10 * number) for number in range(FLOWS)]
    amounts = [-100.0 - 900 * draw.random() for _ in days]
    amounts[-1] = -2 * sum(amounts)
    return days, amounts


def _in_turn(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """Seconds for one call of each, in turn, because the machine's speed drifts."""
    mine, other = [], []
    for _ in range(ROUNDS):
        mine.append(seconds(lambda: [ours() for _ in range(TIMES)]) / TIMES)
        other.append(seconds(lambda: [theirs() for _ in range(TIMES)]) / TIMES)
    return statistics.median(mine), statistics.median(other)
