"""Markets for tests: real candles, deterministic noise, and small ones by hand."""

import csv
from datetime import datetime
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from portfolios.strategies.market import Market

DAY = 86_400
NAMES = ("A", "B", "C", "D", "E", "F", "G", "H", "I", "J")


def by_hand(*closes, opens=None, length=DAY, volume=None) -> Market:
    """One row of closes for each asset; each bar opens at the close before, unless told."""
    close = np.array(closes, dtype=float)
    if opens is None:
        opens = np.concatenate((close[:, :1], close[:, :-1]), axis=1)
    start = np.array(opens, dtype=float)
    return Market(
        np.arange(close.shape[1]) * length, length, NAMES[: len(close)], start,
        np.maximum(start, close), np.minimum(start, close), close, volume,
    )  # fmt: skip


def noise(bars, *, assets=1, seed=7, spread=0.03, length=DAY) -> Market:
    """Random walks whose opens are not the closes before, with wicks and volume."""
    draw = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(draw.normal(0, spread, (assets, bars)), axis=1))
    start = np.concatenate((np.full((assets, 1), 100.0), close[:, :-1]), axis=1)
    start *= 1 + draw.normal(0, spread / 5, start.shape)
    high = np.maximum(start, close) * (1 + np.abs(draw.normal(0, spread / 3, close.shape)))
    low = np.minimum(start, close) * (1 - np.abs(draw.normal(0, spread / 3, close.shape)) / 2)
    at = np.arange(bars) * length
    volume = draw.uniform(1, 100, close.shape)
    return Market(at, length, NAMES[:assets], start, high, low, close, volume)


def real(folder: Path, *names: str, interval="1d") -> Market:
    """Recorded candles of several assets, on the bars that all of them have."""
    rows = [_rows(folder / "market" / f"{name}-USD-{interval}.csv") for name in names]
    common = sorted(set.intersection(*(set(one) for one in rows)))
    values = np.array([[one[at] for at in common] for one in rows])
    prices = [values[:, :, column] for column in range(5)]
    return Market(np.array(common), DAY if interval == "1d" else 3_600, names, *prices)


def _rows(path: Path) -> dict[int, list[float]]:
    with path.open() as file:
        return {
            int(datetime.fromisoformat(row["timestamp"]).timestamp()):
            [float(row[name]) for name in ("open", "high", "low", "close", "volume")]
            for row in csv.DictReader(file)
        }  # fmt: skip


# --- for hypothesis -----------------------------------------------------------------------------
@st.composite
def markets(draw, *, least_assets=1, most_assets=4, most_bars=200):
    """Noise of any kind: calm or wild, cheap or dear."""
    assets = draw(st.integers(least_assets, most_assets))
    bars = draw(st.integers(1, most_bars))
    made = noise(bars, assets=assets, seed=draw(st.integers(0, 10_000)),
                 spread=draw(st.sampled_from([0.0, 0.001, 0.05, 0.3])))  # fmt: skip
    scale = draw(st.sampled_from([1e-9, 1.0, 1e6]))
    rows = [getattr(made, name) * scale for name in ("open", "high", "low", "close")]
    return Market(made.at, made.length, made.assets, *rows, made.volume)
