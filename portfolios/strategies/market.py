"""Candles as arrays: what every strategy sees, and all that it sees. Pure: numpy, no I/O."""

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
SECONDS_OF_A_YEAR = 365 * 86_400  # these markets have no holidays
_PRICES = ("open", "high", "low", "close")


class BadMarket(ValueError):
    """The arrays are not candles on one grid."""


class Gap(NamedTuple):
    """Bars that are missing after the bar that began at ``after`` (seconds since 1970, UTC)."""

    after: int
    bars: int


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """Candles of one or several assets on one common grid of bars.

    ``at`` is the first second of each bar (UTC), strictly increasing, shape (bars,); ``length``
    the seconds of a bar. Prices and volume are float64 of shape (assets, bars), in C order because
    TA-Lib wants them so. Prices are above zero, volume is not below. Raises BadMarket otherwise.
    """

    at: Integers
    length: int
    assets: tuple[str, ...]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats | None = None

    def __post_init__(self) -> None:
        self._put("at", np.ascontiguousarray(self.at, dtype=np.int64))
        for name in (*_PRICES, "volume"):
            if getattr(self, name) is not None:
                self._put(name, np.ascontiguousarray(getattr(self, name), dtype=np.float64))
        self._check()

    def _put(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check(self) -> None:
        if self.length <= 0 or self.at.ndim != 1 or not self.at.size or not self.assets:
            raise BadMarket("a market needs an asset, a bar and a length of bars")
        if not (self.at[1:] > self.at[:-1]).all():
            raise BadMarket("bars must follow one another")
        if len(set(self.assets)) != len(self.assets):
            raise BadMarket("an asset is named twice")
        for name in _PRICES:
            self._check_numbers(name, least=np.nextafter(0, 1))
        if self.volume is not None:
            self._check_numbers("volume", least=0.0)

    def _check_numbers(self, name: str, *, least: float) -> None:
        values = getattr(self, name)
        if values.shape != (len(self.assets), self.at.size):
            raise BadMarket(f"{name} must have a row for each asset and a column for each bar")
        # A comparison with nan is false, and min and max hand nan on.
        if not (values.min() >= least and values.max() < np.inf):
            raise BadMarket(f"{name} has a number that no market has")

    @property
    def bars(self) -> int:
        return int(self.at.size)

    @property
    def bars_of_a_year(self) -> float:
        return SECONDS_OF_A_YEAR / self.length

    @property
    def years(self) -> float:
        """Years of 365 days from the close of the first bar to the close of the last."""
        return float(self.at[-1] - self.at[0]) / SECONDS_OF_A_YEAR

    def part(self, start: int, end: int) -> "Market":
        """The bars from ``start`` up to, not including, ``end``."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in (*_PRICES, "volume"):
            if found[name] is not None:
                found[name] = found[name][:, start:end]
        return Market(**found | {"at": self.at[start:end]})

    def head(self, bars: int) -> "Market":
        """The first bars alone, as if nothing had happened since."""
        return self.part(0, bars)

    def gaps(self) -> list[Gap]:
        """Where bars are missing between others, and how many."""
        steps = np.diff(self.at) // self.length
        places = np.flatnonzero(steps > 1)
        return [Gap(int(self.at[place]), int(steps[place]) - 1) for place in places]
