"""How much of the best of many trials is luck.

- Deflated Sharpe ratio: the probability that the true Sharpe ratio of the best trial is above what
  the best of as many trials without any merit would show by luck, given how they spread and the
  shape of its returns (Bailey and López de Prado, *The Deflated Sharpe Ratio*, Journal of Portfolio
  Management, 2014). All trials are counted as independent, which is strict: neighbours in a grid
  are alike.
- Probability of backtest overfitting, by combinatorially symmetric cross-validation: the range is
  cut into 16 blocks; of every choice of 8 the best trial is found, and it is counted how often
  that trial ranks in the lower half on the other 8 (Bailey, Borwein, López de Prado and Zhu, *The
  Probability of Backtest Overfitting*, Journal of Computational Finance, 2017).

Both need only sums of powers of returns in each block, so no trial's returns are kept.
"""

import itertools
import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np

from portfolios.strategies.market import Floats

BLOCKS = 16
SOURCE = (
    "Bailey and López de Prado, The Deflated Sharpe Ratio, 2014; Bailey, Borwein, López de Prado "
    "and Zhu, The Probability of Backtest Overfitting, 2017"
)
_EULER = 0.5772156649015329
_AT_ONCE = 1_000_000  # numbers of one matrix of choices × trials
_NOTHING = 1e-30  # a variance that is only rounding


@dataclass(frozen=True, slots=True)
class Overfitting:
    """``deflated_sharpe`` and ``probability`` are from 0 to 1; None where not defined.

    ``message`` is for people and names ``source``.
    """

    trials: int
    deflated_sharpe: float | None
    probability: float | None
    message: str
    source: str = SOURCE


def powers(moves: Floats) -> Floats:
    """Sums of the first four powers of returns, and how many, in each block: (5, BLOCKS).

    All nan when there are too few for blocks.
    """
    if moves.size < 2 * BLOCKS:
        return np.full((5, BLOCKS), np.nan)
    edges = (np.arange(BLOCKS) * moves.size) // BLOCKS
    squares = moves * moves
    found = np.empty((5, BLOCKS))
    found[0] = np.diff(np.append(edges, moves.size))
    for row, values in ((1, moves), (2, squares), (3, squares * moves), (4, squares * squares)):
        found[row] = np.add.reduceat(values, edges)
    return found


def judged(sums: Floats, best: int | None) -> Overfitting:
    """The warning for trials with these sums, shape (trials, 5, BLOCKS), of which one is best."""
    trials = len(sums)
    known = best is not None and not np.isnan(sums).any()
    deflated = _deflated(sums, best) if known and best is not None else None
    probability = _probability(sums) if known and trials > 1 else None
    return Overfitting(trials, deflated, probability, _message(trials, deflated, probability))


def _message(trials: int, deflated: float | None, probability: float | None) -> str:
    parts = [f"The best of {trials:,} trials looks better than it is: it was chosen for its luck "
             "as well as for its merit."]  # fmt: skip
    if deflated is not None:
        parts.append("The probability that its Sharpe ratio is above what so many trials find by "
                     f"luck alone is {deflated:.0%} (deflated Sharpe ratio).")  # fmt: skip
    if probability is not None:
        parts.append("The probability that the best of one half of the range is among the worse "
                     f"half in the other is {probability:.0%}.")  # fmt: skip
    return " ".join([*parts, f"Source: {SOURCE}."])


# --- deflated Sharpe ratio ----------------------------------------------------------------------
def _deflated(sums: Floats, best: int) -> float | None:
    ratios = _sharpe(sums.sum(axis=2).T)
    expected = _best_of_luck(float(ratios.var(ddof=1)) if len(ratios) > 1 else 0.0, len(ratios))
    return probabilistic_sharpe(sums[best].sum(axis=1), benchmark=expected)


def _best_of_luck(variance: float, trials: int) -> float:
    """The greatest Sharpe ratio to expect of so many trials without any merit."""
    if trials < 2:
        return 0.0
    normal = NormalDist()
    one, other = normal.inv_cdf(1 - 1 / trials), normal.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * ((1 - _EULER) * one + _EULER * other)


def probabilistic_sharpe(sums: Floats, *, benchmark: float) -> float | None:
    """The probability that the true ratio (per bar) is above ``benchmark``; sums of shape (5,)."""
    count = sums[0]
    first, second, third, fourth = (sums[1:] / count).tolist()
    variance = second - first**2
    if variance <= _NOTHING:
        return None
    skew = (third - 3 * first * second + 2 * first**3) / variance**1.5
    peaked = (fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4) / variance**2
    ratio = float(_sharpe(sums[:, np.newaxis])[0])
    spread = 1 - skew * ratio + (peaked - 1) / 4 * ratio**2
    if spread <= 0:
        return None
    return NormalDist().cdf((ratio - benchmark) * math.sqrt((count - 1) / spread))


def _sharpe(sums: Floats) -> Floats:
    """Per bar, of sums whose first axis has count, first and second powers; 0 without spread."""
    count, first, second = sums[0], sums[1], sums[2]
    mean = first / count
    variance = np.maximum(second / count - mean * mean, 0.0) * (count / (count - 1))
    flat = variance <= _NOTHING
    found: Floats = np.where(flat, 0.0, mean / np.sqrt(np.where(flat, 1.0, variance)))
    return found


# --- probability of backtest overfitting --------------------------------------------------------
def _probability(sums: Floats) -> float:
    choices = _choices()
    size = max(1, _AT_ONCE // len(sums))
    worse = sum(_worse(sums, choices[start : start + size])
                for start in range(0, len(choices), size))  # fmt: skip
    return worse / len(choices)


@cache
def _choices() -> Floats:
    """Each row chooses half of the blocks (1.0)."""
    chosen = list(itertools.combinations(range(BLOCKS), BLOCKS // 2))
    found = np.zeros((len(chosen), BLOCKS))
    np.put_along_axis(found, np.array(chosen), 1.0, axis=1)
    return found


def _worse(sums: Floats, choices: Floats) -> int:
    """For how many choices the best inside is in the lower half outside (a logit of rank ≤ 0)."""
    inside = _sharpe(np.stack([choices @ sums[:, row].T for row in range(3)]))
    outside = _sharpe(np.stack([(1 - choices) @ sums[:, row].T for row in range(3)]))
    best = inside.argmax(axis=1)[:, np.newaxis]
    mark = np.take_along_axis(outside, best, axis=1)
    rank = (outside < mark).sum(axis=1) + ((outside == mark).sum(axis=1) + 1) / 2
    return int((rank / (len(sums) + 1) <= 0.5).sum())
