"""Backtests beside backtesting.py and bare NumPy, a sweep of 100 pairs, and their memory."""

from typing import Any

from tests.benchmarks import backtests
from tests.benchmarks.measure import Result

COUNT, MANY = 100_000, 1_000_000
_MEGABYTE = 1_000_000
_FIRST = 1.0  # seconds; vectorbt's compiler takes 20


def measure() -> list[Result]:
    results: list[Result] = []
    for kind, name in (("sma", "SMA 20/50"), ("rsi", "RSI 14")):
        for count in (COUNT, MANY):
            results += _beside_others(f"{name}, {count:,} candles", backtests.run(kind, count))
        results.append(_memory(name, backtests.run(f"memory_{kind}", MANY)))
    return results + _sweep(backtests.run("sweep", COUNT))


def _beside_others(name: str, found: dict[str, Any]) -> list[Result]:
    _same_figures(name, found["equity"])
    ours, bare, theirs = found["ours"], found["bare"], found["theirs"]
    return [
        Result(f"{name}, with all figures", 1000 * ours, "ms", f"backtesting.py {theirs:.2f} s",
               theirs / ours, "≥ 20×", theirs >= 20 * ours),
        Result(f"{name}, with all figures", 1000 * ours, "ms", f"bare NumPy {1000 * bare:.1f} ms",
               ours / bare, "≤ 3×", ours <= 3 * bare),
        Result(f"{name}, first call, our imports included", 1000 * found["first"], "ms", "", None,
               f"≤ {1000 * _FIRST:.0f} ms", found["first"] <= _FIRST),
    ]  # fmt: skip


def _same_figures(name: str, equity: list[float]) -> None:
    """A faster run that comes to something else would prove nothing. Theirs has whole units."""
    ours, bare, theirs = equity
    if abs(ours / bare - 1) > 1e-8 or abs(ours / theirs - 1) > 1e-6:
        raise RuntimeError(f"{name}: {equity} are not the same run")


def _memory(name: str, found: dict[str, Any]) -> Result:
    peak = found["peak"] / _MEGABYTE
    return Result(f"{name}, {MANY:,} candles, peak of the process", peak, "MB",
                  f"before it ran {found['before'] / _MEGABYTE:.0f} MB", None, "≤ 500 MB",
                  peak <= 500)  # fmt: skip


def _sweep(found: dict[str, Any]) -> list[Result]:
    assert found["trials"] == 100
    more = (found["peak"] - found["before"]) / _MEGABYTE
    return [
        Result(f"sweep of 100 pairs, {COUNT:,} candles, with the warning", found["seconds"], "s",
               "vectorbt 2.2 s where it was measured", None, "≤ 2.2 s", found["seconds"] <= 2.2),
        Result(f"sweep of 100 pairs, {COUNT:,} candles, memory", more, "MB",
               "vectorbt 3,100 MB where it was measured", None, "≤ 310 MB", more <= 310),
    ]  # fmt: skip
