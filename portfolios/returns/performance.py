"""Returns and risk of a series of daily growth factors. Pure: numpy and numbers, no Django.

A growth factor is one plus a day's time-weighted return; a day on which there was nothing to earn
a return has ``nan`` and counts nowhere. Markets for these assets have no holidays, so a year has
365 returns. Rates are fractions: 0.1 is ten per cent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pyxirr
from numpy.typing import NDArray

DAYS_OF_A_YEAR = 365
Floats = NDArray[np.floating[Any]]
_LARGEST_RATE = 1e9


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall below an earlier peak. Places are indexes of the factors.

    ``depth`` is negative or zero. ``peak`` is −1 where the peak is the beginning itself, and
    ``recovered`` is None while the peak has not been reached again.
    """

    depth: float
    peak: int
    trough: int
    recovered: int | None


@dataclass(frozen=True, slots=True)
class Risk:
    """What a series of factors comes to. A figure that is not defined is None."""

    twr: float
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    drawdown: Drawdown
    best: int
    worst: int


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate of return, or the reason (a stable code) why there is none."""

    value: float | None
    code: str = ""


def returns(growth: Sequence[float | None]) -> Floats:
    """Factors as an array, with ``nan`` for days without a return."""
    return np.array(growth, dtype=np.float64)


def annualised(total: float, *, days: int) -> float | None:
    """A total return as a yearly one: (1 + r)^(365 ÷ days) − 1.

    None for less than a year: such a return is not extrapolated (GIPS 2020, provision 2.A.27).
    """
    if days < DAYS_OF_A_YEAR or total <= -1:
        return None
    return float((1 + total) ** (DAYS_OF_A_YEAR / days) - 1)


def risk(growth: Floats, *, risk_free: float = 0.0) -> Risk | None:
    """Return and risk of daily factors; None without any. ``risk_free`` is a yearly rate.

    - volatility: standard deviation of the returns (n − 1) · √365
    - Sharpe ratio: mean excess return ÷ its standard deviation · √365 (Sharpe, *The Sharpe
      Ratio*, Journal of Portfolio Management, 1994)
    - Sortino ratio: mean excess return · 365 ÷ (√mean(min(excess, 0)²) · √365) (Sortino and
      Price, *Performance Measurement in a Downside Risk Framework*, Journal of Investing, 1994)
    - maximum drawdown: the least value of index ÷ highest index so far − 1
    """
    places = np.flatnonzero(~np.isnan(growth))
    if not places.size:
        return None
    factors = growth if places.size == growth.size else growth[places]
    index = np.cumprod(factors)
    excess = factors - (1.0 + risk_free / DAYS_OF_A_YEAR)
    mean, spread = _mean_and_deviation(excess)
    below = np.minimum(excess, 0.0)
    downside = float(np.sqrt(below @ below / below.size))
    year = DAYS_OF_A_YEAR**0.5
    return Risk(
        # Linked geometrically (GIPS 2020, provision 2.A.24), so that flows change nothing.
        twr=float(index[-1] - 1),
        volatility=None if spread is None else spread * year,
        sharpe=mean / spread * year if spread else None,
        sortino=mean / downside * year if downside > _NOTHING else None,
        drawdown=_drawdown(index, places),
        best=int(places[np.argmax(factors)]),
        worst=int(places[np.argmin(factors)]),
    )


# A deviation of this size is what rounding leaves of equal returns.
_NOTHING = 1e-15


def _mean_and_deviation(excess: Floats) -> tuple[float, float | None]:
    mean = float(excess.sum() / excess.size)
    if excess.size < 2:
        return mean, None
    apart = excess - mean
    spread = float(np.sqrt(apart @ apart / (excess.size - 1)))
    return mean, spread if spread > _NOTHING else 0.0


def _drawdown(index: Floats, places: NDArray[np.intp]) -> Drawdown:
    peaks = np.maximum(np.maximum.accumulate(index), 1.0)
    below = index / peaks
    trough = int(np.argmin(below))
    depth = float(below[trough] - 1)
    if depth >= 0:
        return Drawdown(0.0, -1, -1, None)
    top = peaks[trough]
    reached = np.flatnonzero(index[: trough + 1] >= top)
    later = np.flatnonzero(index[trough:] >= top)
    return Drawdown(
        depth=depth,
        peak=int(places[reached[-1]]) if reached.size else -1,
        trough=int(places[trough]),
        recovered=int(places[trough + later[0]]) if later.size else None,
    )


def money_weighted(days: Sequence[date], amounts: Sequence[float]) -> Rate:
    """XIRR: the yearly rate r at which Σ amount ÷ (1 + r)^((day − first day) ÷ 365) is zero.

    What a person put in is negative, what they took out and what is left is positive. Without a
    change of sign there is no such rate, and none is guessed: ``no_sign_change``. ``too_short``
    when everything is on one day, ``not_found`` when no rate was found, ``too_large`` when days of
    gains would make a year's rate that says nothing.
    """
    if not amounts or not min(amounts) < 0 < max(amounts):
        return Rate(None, "no_sign_change")
    if min(days) == max(days):
        return Rate(None, "too_short")
    # The solver stops at a remainder in units of money; as shares it is the same for any currency.
    largest = max(abs(amount) for amount in amounts)
    found = pyxirr.xirr(days, [amount / largest for amount in amounts], silent=True)
    if found is None or not math.isfinite(found):
        return Rate(None, "not_found")
    if found > _LARGEST_RATE:
        return Rate(None, "too_large")
    return Rate(float(found))


def concentration(values: Sequence[Decimal]) -> Decimal | None:
    """Herfindahl–Hirschman index: the sum of squared shares, from 1 ÷ n to 1.

    Hirschman, *The Paternity of an Index*, American Economic Review, 1964. None without value;
    what is owed does not count.
    """
    held = [value for value in values if value > 0]
    total = sum(held, Decimal(0))
    return sum((value / total) ** 2 for value in held) if total else None  # type: ignore[return-value]


def extremes(values: Floats, *, points: int) -> NDArray[np.intp]:
    """Places of at most ``points`` values (at least four) that draw like all of them.

    M4 (Jugel et al., *M4: A Visualization-Oriented Time Series Data Aggregation*, VLDB 2014): the
    first, the last, the least and the greatest value of each stretch. No extreme is lost.
    """
    if values.size <= points:
        return np.arange(values.size)
    edges = np.linspace(0, values.size, points // 4 + 1).astype(np.intp)
    kept: set[int] = set()
    for start, end in pairwise(edges):
        stretch = values[start:end]
        least, greatest = start + int(np.argmin(stretch)), start + int(np.argmax(stretch))
        kept |= {int(start), int(end) - 1, int(least), int(greatest)}
    return np.array(sorted(kept), dtype=np.intp)
