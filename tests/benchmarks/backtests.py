"""Backtests of one kind in a process of its own: first and later times, memory, and what they earn.

``python -m tests.benchmarks.backtests sma 100000 5`` prints them as JSON. Ours, the bare NumPy and
backtesting.py run in turn over the same candles, because the machine's speed drifts.
"""

import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import talib

PROJECT = Path(__file__).parents[2]
CASH, FEE = 1e12, 1e-4  # so much cash that whole units, as backtesting.py trades, do not matter
SWEPT = {"fast": range(5, 55, 5), "slow": range(60, 160, 10)}
HOUR = 3_600


def run(kind: str, count: int, *, rounds: int = 5) -> dict[str, Any]:
    """What a process of its own printed."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.backtests", kind, str(count), str(rounds)],
        check=True, capture_output=True, text=True, cwd=PROJECT, env=dict(os.environ),
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# --- the candles --------------------------------------------------------------------------------
def candles(count: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(42)
    close = 30_000 * np.exp(np.cumsum(draw.normal(0, 0.0008, count)))
    opens = np.concatenate(([30_000.0], close[:-1]))
    high = np.maximum(opens, close) * (1 + np.abs(draw.normal(0, 0.0003, count)))
    low = np.minimum(opens, close) * (1 - np.abs(draw.normal(0, 0.0003, count)))
    return {"open": opens, "high": high, "low": low, "close": close,
            "volume": draw.uniform(1, 100, count)}  # fmt: skip


# --- ours ---------------------------------------------------------------------------------------
def ours(kind: str, rows: dict[str, np.ndarray]) -> Callable[[], float]:
    """The run with all its trades and figures; the equity at the end comes back."""
    from portfolios.strategies import measuring, running
    from portfolios.strategies.market import Market

    count = rows["close"].size
    prices = {name: values[np.newaxis] for name, values in rows.items()}
    market = Market(np.arange(count) * HOUR, HOUR, ("BTC",), **prices)
    definition = running.Definition({"sma": "sma_crossover", "rsi": "rsi_mean_reversion"}[kind])

    def work() -> float:
        found = running.simulate(market, definition, cash=CASH, fee=FEE, slippage=0.0)
        return measuring.metrics(found, market).final_equity

    return work


# --- the bare NumPy reference -------------------------------------------------------------------
def bare(kind: str, rows: dict[str, np.ndarray]) -> Callable[[], float]:
    """As one writes it in an afternoon: a factor for each bar, three figures, no trades."""

    def work() -> float:
        opens, close = rows["open"], rows["close"]
        inside = np.zeros(close.size + 1, dtype=bool)  # held from the open of the next bar on
        inside[1:] = _by_averages(close) if kind == "sma" else _by_strength(close)
        inside = inside[:-1]
        before = np.concatenate(([False], inside[:-1]))
        entries, exits = inside & ~before, before & ~inside
        factor = np.ones(close.size)
        factor[1:] = (
            np.where(inside & before, rows["close"], 1.0)[1:]
            / np.where(inside & before, np.concatenate(([1.0], close[:-1])), 1.0)[1:]
        )
        factor[entries] = close[entries] / opens[entries] / (1 + FEE)
        left = np.flatnonzero(exits)
        factor[left] = opens[left] / close[left - 1] * (1 - FEE)
        equity = CASH * np.cumprod(factor)
        moves = factor[1:] - 1
        sharpe = moves.mean() / moves.std() * (365 * 24) ** 0.5
        fall = (equity / np.maximum.accumulate(equity) - 1).min()
        assert np.isfinite([sharpe, fall]).all()
        return float(equity[-1])

    return work


def _by_averages(close: np.ndarray) -> np.ndarray:
    sums = np.concatenate(([0.0], np.cumsum(close)))
    inside = np.zeros(close.size, dtype=bool)
    fast = (sums[20:] - sums[:-20]) / 20
    slow = (sums[50:] - sums[:-50]) / 50
    inside[49:] = fast[30:] > slow
    return inside


def _by_strength(close: np.ndarray) -> np.ndarray:
    """Wilder's smoothing cannot be written without a loop, so the index is TA-Lib's here too."""
    index = talib.RSI(close, 14)
    signal = np.where(index < 30, 1, np.where(index > 70, -1, 0))
    last = np.maximum.accumulate(np.where(signal != 0, np.arange(close.size), 0))
    return signal[last] == 1


# --- backtesting.py -----------------------------------------------------------------------------
def theirs(kind: str, rows: dict[str, np.ndarray]) -> Callable[[], float]:
    """With TA-Lib's indicators as well, and the same rules.

    It passes over the bars on which an indicator is nan, and one more; so they are not nan.
    """
    warnings.simplefilter("ignore")
    import backtesting
    import pandas as pd

    backtesting.backtesting._tqdm = lambda steps, **_: steps  # no bar of progress

    class Averages(backtesting.Strategy):
        def init(self) -> None:
            self.fast, self.slow = (
                self.I(lambda close, bars: np.nan_to_num(talib.SMA(close, bars)),
                       self.data.Close, bars)
                for bars in (20, 50)
            )  # fmt: skip

        def next(self) -> None:
            above = self.slow[-1] and self.fast[-1] > self.slow[-1]
            if above and not self.position:
                self.buy()
            elif not above and self.position:
                self.position.close()

    class Strength(backtesting.Strategy):
        def init(self) -> None:
            self.index = self.I(
                lambda close: np.nan_to_num(talib.RSI(close, 14), nan=50), self.data.Close
            )

        def next(self) -> None:
            if self.index[-1] < 30 and not self.position:
                self.buy()
            elif self.index[-1] > 70 and self.position:
                self.position.close()

    frame = pd.DataFrame({name.capitalize(): values for name, values in rows.items()})
    frame.index = pd.date_range("1970", periods=len(frame), freq="h")
    chosen = Averages if kind == "sma" else Strength

    def work() -> float:
        test = backtesting.Backtest(frame, chosen, cash=CASH, commission=FEE)
        return float(test.run()["Equity Final [$]"])

    return work


# --- measuring ----------------------------------------------------------------------------------
def single(kind: str, count: int, rounds: int) -> dict[str, Any]:
    """Each in turn, backtesting.py only a few times for it takes long."""
    rows = candles(count)
    started = time.perf_counter()
    mine = ours(kind, rows)
    equity = mine()
    first = time.perf_counter() - started
    by_hand, other = bare(kind, rows), theirs(kind, rows)
    times: dict[str, list[float]] = {"ours": [], "bare": [], "theirs": []}
    for number in range(rounds):
        for name, work in (("ours", mine), ("bare", by_hand), ("theirs", other)):
            if name != "theirs" or number < 2:
                times[name].append(_timed(work))
    found = {name: statistics.median(taken) for name, taken in times.items()}
    return found | {"first": first, "equity": [equity, by_hand(), other()]}


def memory(kind: str, count: int, rounds: int) -> dict[str, Any]:
    """Bytes that the process held at most while it ran, and how many it held before."""
    work = ours(kind, candles(count))
    before = _from_here_on()
    work()
    return {"before": before, "peak": _status("VmHWM")}


def swept(count: int, rounds: int) -> dict[str, Any]:
    from portfolios.strategies import sweeping
    from portfolios.strategies.market import Market

    prices = {name: values[np.newaxis] for name, values in candles(count).items()}
    market = Market(np.arange(count) * HOUR, HOUR, ("BTC",), **prices)
    before = _from_here_on()
    started = time.perf_counter()
    found = sweeping.sweep(market, "sma_crossover", SWEPT, cash=CASH, fee=FEE, slippage=0.0)
    warning = found.overfitting
    taken = time.perf_counter() - started
    peak = _status("VmHWM")
    return {"seconds": taken, "before": before, "peak": peak, "trials": warning.trials}


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _from_here_on() -> int:
    """Bytes held now; the peak is counted anew (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not tell")


def main(kind: str, count: int, rounds: int) -> None:
    if kind == "sweep":
        found = swept(count, rounds)
    elif kind.startswith("memory_"):
        found = memory(kind.removeprefix("memory_"), count, rounds)
    else:
        found = single(kind, count, rounds)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
