"""What one asset is worth in USD at any instant, as a pure function of time.

Prices are integers in units of 10^-12 USD: exact, the same on every machine, and cheap enough
to be asked for any instant without a stored series.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Protocol

from exchanges.sandbox.assets import Asset

SCALE_DIGITS = 12
ONE_USD: int = 10**SCALE_DIGITS

_MILLION = 1_000_000
_NOISES = 2 * _MILLION + 1
_MASK = (1 << 64) - 1
_SECOND = 1_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR

# (period, amplitude in millionths): slow waves make the trend, quick ones the ticks.
_OCTAVES = (
    (400 * _DAY, 480_000),
    (95 * _DAY, 300_000),
    (23 * _DAY, 150_000),
    (5 * _DAY, 70_000),
    (26 * _HOUR, 28_000),
    (4 * _HOUR, 10_000),
    (31 * _MINUTE, 3_000),
    (3 * _MINUTE, 900),
    (11 * _SECOND, 250),
)


class Path(Protocol):
    """One asset's price in USD over time."""

    def at(self, instant: int) -> int:
        """Price at `instant` (ms) in units of 10^-12 USD."""


def mix(value: int) -> int:
    """Scatter an integer over 64 bits (the finaliser of splitmix64, by Steele and others)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


# The slow waves have few values, and every history asks for the same ones.
_slow = lru_cache(maxsize=65_536)(mix)


def code_number(text: str) -> int:
    """A stable number for a text; Python's own `hash` differs between processes."""
    return mix(int.from_bytes(text.encode(), "big") & _MASK)


def scaled(price: Decimal) -> int:
    """A decimal USD price in units of 10^-12."""
    return int(price.scaleb(SCALE_DIGITS))


class ConstantPath:
    """A peg: the same price for ever."""

    def __init__(self, price: int) -> None:
        self._price = price

    def at(self, instant: int) -> int:
        """The peg, whenever."""
        return self._price


class SeededPath:
    """A wandering price: waves of several periods, multiplied on a base price.

    Each wave is noise in ±10^6, linear between scattered values, one per period.
    """

    def __init__(self, *, seed: int, asset: Asset) -> None:
        self._base = scaled(asset.usd)
        key = mix(seed) ^ code_number(asset.code)
        self._octaves = [
            (_slow if period > _DAY else mix, mix(key + number), period, amplitude)
            for number, (period, amplitude) in enumerate(_swung(asset.swing))
        ]

    def at(self, instant: int) -> int:
        """Price at `instant`; neighbours are close, since every wave is continuous."""
        price = self._base
        for scatter, key, period, amplitude in self._octaves:
            index, offset = divmod(instant, period)
            left = scatter(key + index) % _NOISES - _MILLION
            right = scatter(key + index + 1) % _NOISES - _MILLION
            noise = left + (right - left) * offset // period
            price = price * (_MILLION + amplitude * noise // _MILLION) // _MILLION
        return max(price, 1)


def _swung(swing: int) -> list[tuple[int, int]]:
    return [(period, amplitude * swing // 100) for period, amplitude in _OCTAVES]


@dataclass(frozen=True, slots=True)
class Candle:
    """One bar of recorded prices, in USD."""

    start: int
    length: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal

    @property
    def end(self) -> int:
        """The first instant after the candle."""
        return self.start + self.length


class CandlePath:
    """A price that runs through recorded candles, and on from the seed outside them.

    Inside a candle it goes open, one extreme, the other, close; aggregating the path over the
    candle's own span therefore gives back exactly the candle.
    """

    def __init__(self, *, candles: Sequence[Candle], beyond: SeededPath) -> None:
        nodes = [node for candle in candles for node in _nodes(candle)]
        self._times = [time for time, _ in nodes]
        self._prices = [price for _, price in nodes]
        self._beyond = beyond
        self._candles = list(candles)
        self._starts = [candle.start for candle in candles]

    def at(self, instant: int) -> int:
        """Price at `instant`, interpolated between the nodes around it."""
        right = bisect_right(self._times, instant)
        if right == 0:
            return self._continued(0, instant)
        if right == len(self._times):
            return self._continued(-1, instant)
        left_time, left = self._times[right - 1], self._prices[right - 1]
        span = self._times[right] - left_time
        return left + (self._prices[right] - left) * (instant - left_time) // span

    def _continued(self, edge: int, instant: int) -> int:
        # The seed gives the movement, the nearest recorded price the level.
        level, seeded = self._prices[edge], self._beyond.at(self._times[edge])
        return max(level * self._beyond.at(instant) // seeded, 1)

    def covers(self, start: int, end: int) -> bool:
        """Whether [start, end) lies within the recorded candles."""
        return self._candles[0].start <= start and end <= self._candles[-1].end

    def extremes(self, start: int, end: int) -> tuple[int, int]:
        """Lowest and highest price in a covered [start, end): the recorded ones inside it."""
        first, last = bisect_left(self._times, start), bisect_left(self._times, end)
        found = [*self._prices[first:last], self.at(start), self.at(end - 1)]
        return min(found), max(found)

    def volume(self, start: int, end: int) -> Decimal:
        """Recorded volume in a covered [start, end), candles at the edges in proportion."""
        first = max(bisect_right(self._starts, start) - 1, 0)
        last = bisect_left(self._starts, end)
        return sum((_share(self._candles[n], start, end) for n in range(first, last)), Decimal(0))


def _share(candle: Candle, start: int, end: int) -> Decimal:
    overlap = min(candle.end, end) - max(candle.start, start)
    return candle.volume * max(overlap, 0) / candle.length


def _nodes(candle: Candle) -> list[tuple[int, int]]:
    rising = candle.close >= candle.open
    early, late = (candle.low, candle.high) if rising else (candle.high, candle.low)
    third = candle.length // 3
    return [
        (candle.start, scaled(candle.open)),
        (candle.start + third, scaled(early)),
        (candle.start + 2 * third, scaled(late)),
        (candle.end - 1, scaled(candle.close)),
    ]


def joined(fine: Sequence[Candle], coarse: Sequence[Candle]) -> list[Candle]:
    """Fine candles wherever there are any, coarse ones in the spans without."""
    starts = [candle.start for candle in fine]
    spare = [candle for candle in coarse if not _any_between(starts, candle.start, candle.end)]
    result = sorted([*fine, *spare], key=lambda candle: candle.start)
    return [a for a, b in pairwise(result) if a.end <= b.start] + result[-1:]


def _any_between(starts: Sequence[int], start: int, end: int) -> bool:
    return bisect_left(starts, start) < bisect_left(starts, end)
