"""Figures of a run. What is not defined is None, never nan and never zero in its place.

A year has 365 days of trading, so it has 365 · 86,400 ÷ (seconds of a bar) bars; a figure per
bar becomes a yearly one by that number (a mean) or its root (a deviation). Returns are those of
the equity from close to close. Rates are fractions: 0.1 is ten per cent.
"""

import math
from dataclasses import dataclass

import numpy as np

from portfolios.strategies.market import Floats, Market
from portfolios.strategies.outcome import Outcome
from portfolios.strategies.round_trips import Trades

_NOTHING = 1e-15  # a deviation of this size is what rounding leaves of equal returns


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall below an earlier peak: ``depth`` is negative, or zero without any fall.

    ``peak``, ``trough`` and ``recovered`` are the first seconds of their bars; None where there
    was no fall, and ``recovered`` also while the peak has not been reached again.
    """

    depth: float
    peak: int | None
    trough: int | None
    recovered: int | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a run came to.

    - ``cagr``: (last ÷ first equity)^(1 ÷ years) − 1; None for less than a year, which is not
      extrapolated (GIPS 2020, provision 2.A.27)
    - ``volatility``: standard deviation (n − 1) of the bars' returns, yearly
    - ``sharpe``: mean ÷ standard deviation, yearly, over a risk-free rate of zero (Sharpe, *The
      Sharpe Ratio*, Journal of Portfolio Management, 1994)
    - ``sortino``: the same over √mean(min(return, 0)²) (Sortino and Price, *Performance
      Measurement in a Downside Risk Framework*, Journal of Investing, 1994)
    - ``calmar``: CAGR ÷ depth of the maximum drawdown (Young, *Calmar Ratio*, Futures, 1991),
      here over the whole range
    - ``win_rate``, ``profit_factor`` (gains ÷ losses), ``best_trade`` and ``worst_trade`` (gain as
      a fraction of what was paid) are of closed round trips, after fees
    - ``exposure``: the fraction of closes at which anything was held
    - ``turnover``: half of all that was traded ÷ the mean equity, over the whole range
    - ``trades`` counts closed round trips, ``open_trades`` those still open at the end
    """

    final_equity: float
    total_return: float
    cagr: float | None
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    drawdown: Drawdown
    win_rate: float | None
    profit_factor: float | None
    exposure: float
    turnover: float
    fees: float
    trades: int
    open_trades: int
    best_trade: float | None
    worst_trade: float | None


def metrics(outcome: Outcome, market: Market) -> Metrics:
    """All figures of a run."""
    equity, trades, fills = outcome.equity, outcome.trades, outcome.fills
    moves, total = returns(equity), total_return(equity)
    fall, cagr = drawdown(equity, market), annualised(total, years=market.years)
    closed = trades.closed
    shares = trades.gain_share[closed]
    return Metrics(
        final_equity=float(equity[-1]), total_return=total, cagr=cagr,
        volatility=volatility(moves, market), sharpe=sharpe(moves, market),
        sortino=_sortino(moves, market),
        calmar=None if cagr is None or not fall.depth else cagr / -fall.depth,
        drawdown=fall, win_rate=_win_rate(trades), profit_factor=_profit_factor(trades),
        exposure=outcome.bars_invested / market.bars,
        turnover=float(fills.value.sum() / 2 / equity.mean()),
        fees=float(fills.fee.sum()), trades=int(closed.sum()), open_trades=int((~closed).sum()),
        best_trade=float(np.max(shares)) if shares.size else None,
        worst_trade=float(np.min(shares)) if shares.size else None,
    )  # fmt: skip


# --- the equity ---------------------------------------------------------------------------------
def returns(equity: Floats) -> Floats:
    """From close to close, one fewer than bars."""
    moves: Floats = equity[1:] / equity[:-1]
    moves -= 1.0
    return moves


def total_return(equity: Floats) -> float:
    return float(equity[-1] / equity[0] - 1)


def annualised(total: float, *, years: float) -> float | None:
    """A total return as a yearly one; None for less than a year, or where it is past all bounds."""
    if years < 1:
        return None
    rate = float(np.float64(1 + total) ** (1 / years) - 1)
    return rate if math.isfinite(rate) else None


def volatility(moves: Floats, market: Market) -> float | None:
    """Yearly; None of fewer than two returns."""
    spread = _deviation(moves)
    return None if spread is None else spread * market.bars_of_a_year**0.5


def sharpe(moves: Floats, market: Market) -> float | None:
    """Yearly; None without a deviation to divide by."""
    spread = _deviation(moves)
    return float(moves.mean()) / spread * market.bars_of_a_year**0.5 if spread else None


def _deviation(moves: Floats) -> float | None:
    if moves.size < 2:
        return None
    spread = float(moves.std(ddof=1))
    return spread if spread > _NOTHING else 0.0


def _sortino(moves: Floats, market: Market) -> float | None:
    if not moves.size:
        return None
    below = np.minimum(moves, 0.0)
    below *= below
    downside = math.sqrt(below.mean())
    if downside <= _NOTHING:
        return None
    return float(moves.mean()) / downside * market.bars_of_a_year**0.5


def deepest(equity: Floats) -> tuple[float, int]:
    """Depth of the deepest fall (negative or zero) and the bar of its trough."""
    below = np.maximum.accumulate(equity)
    np.divide(equity, below, out=below)
    trough = int(np.argmin(below))
    return float(below[trough] - 1), trough


def drawdown(equity: Floats, market: Market) -> Drawdown:
    """The deepest fall, with the bars on which it began, was deepest, and was made good."""
    depth, trough = deepest(equity)
    if depth >= 0:
        return Drawdown(0.0, None, None, None)
    top = np.max(equity[: trough + 1])
    peak = np.flatnonzero(equity[: trough + 1] == top)[-1]
    later = np.flatnonzero(equity[trough:] >= top)
    recovered = int(market.at[trough + later[0]]) if later.size else None
    return Drawdown(depth, int(market.at[peak]), int(market.at[trough]), recovered)


# --- the trades ---------------------------------------------------------------------------------
def _win_rate(trades: Trades) -> float | None:
    gains = trades.gain[trades.closed]
    return float((gains > 0).mean()) if gains.size else None


def _profit_factor(trades: Trades) -> float | None:
    gains = trades.gain[trades.closed]
    lost = float(-gains[gains < 0].sum())
    return float(gains[gains > 0].sum()) / lost if lost > 0 else None
