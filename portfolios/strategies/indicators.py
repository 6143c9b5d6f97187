"""Indicators of one market from TA-Lib, each computed once. Rows are views: do not write to them.

Traps of TA-Lib that are met here:

- It takes C-contiguous float64 only, which Market guarantees, and says nan before its look-back.
- EMA, RSI and ATR go on for ever from a seed at the *first* bar: the digits of a bar depend on
  all bars before it, and on none after it. An earlier start of the history gives other digits.
- How many first values of those are dropped is a global of the process (``set_unstable_period``),
  and so is how they are seeded (``set_compatibility``). Others' settings would change results.
- MACD swaps its periods silently when the fast one is the slower, and seeds its fast average late
  so that both begin on one bar: it is not EMA minus EMA on the first bars.
- SMA and STDDEV keep running sums: what was large before leaves its rounding behind, about 1e-16
  of it. A price that fell a millionfold still has nine digits.
- STDDEV divides by n, not n − 1.
"""

import math
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import talib

from portfolios.strategies import errors
from portfolios.strategies.errors import Stop
from portfolios.strategies.market import Floats, Market

_SEEDED = ("EMA", "RSI", "ATR")
_CALMEST = 1e-9  # a yearly volatility below it is only rounding


class Indicators:
    """The indicators of a market's assets; the most recently used are kept up to ``most_bytes``.

    ``stop`` is asked by strategies that search for long.
    """

    def __init__(
        self, market: Market, *, most_bytes: int = 200_000_000, stop: Stop | None = None
    ) -> None:
        self.market = market
        self._stop = stop
        self._most = most_bytes
        self._held = 0
        self._known: OrderedDict[tuple[object, ...], tuple[Floats, ...]] = OrderedDict()
        _as_delivered()

    def going_on(self) -> None:
        """For strategies that search for long. Raises Stopped when the caller wants no more."""
        errors.going_on(self._stop)

    # --- prices ---------------------------------------------------------------------------------
    def price(self, asset: int, name: str = "close") -> Floats:
        """open, high, low, close or volume of an asset. Raises LookupError without volume."""
        values = getattr(self.market, name)
        if values is None:
            raise LookupError("this market has no volume")
        row: Floats = values[asset]
        return row

    # --- averages and oscillators ---------------------------------------------------------------
    def sma(self, asset: int, bars: int, name: str = "close") -> Floats:
        row = self.price(asset, name)
        return self._one(("sma", asset, bars, name), lambda: talib.SMA(row, bars))

    def ema(self, asset: int, bars: int, name: str = "close") -> Floats:
        """Seeded with the simple average of the first ``bars`` values."""
        row = self.price(asset, name)
        return self._one(("ema", asset, bars, name), lambda: talib.EMA(row, bars))

    def rsi(self, asset: int, bars: int, name: str = "close") -> Floats:
        """0 to 100, smoothed as Wilder does."""
        row = self.price(asset, name)
        return self._one(("rsi", asset, bars, name), lambda: _rsi(row, bars))

    def roc(self, asset: int, bars: int, name: str = "close") -> Floats:
        """Change against the value ``bars`` before, in per cent."""
        row = self.price(asset, name)
        return self._one(("roc", asset, bars, name), lambda: talib.ROC(row, bars))

    def macd(self, asset: int, fast: int, slow: int, signal: int) -> tuple[Floats, ...]:
        """Line, signal and histogram. ``fast`` must be less than ``slow``."""
        row = self.price(asset)
        return self._all(
            ("macd", asset, fast, slow, signal), lambda: talib.MACD(row, fast, slow, signal)
        )

    # --- channels and spread --------------------------------------------------------------------
    def bollinger(self, asset: int, bars: int, width: float) -> tuple[Floats, ...]:
        """Upper, middle and lower band, ``width`` standard deviations (n) apart."""
        row = self.price(asset)
        return self._all(
            ("bollinger", asset, bars, width), lambda: talib.BBANDS(row, bars, width, width)
        )

    def stdev(self, asset: int, bars: int, name: str = "close") -> Floats:
        """Standard deviation (n) of the last values."""
        row = self.price(asset, name)
        return self._one(("stdev", asset, bars, name), lambda: talib.STDDEV(row, bars))

    def atr(self, asset: int, bars: int) -> Floats:
        """Average true range, smoothed as Wilder does."""
        high, low, close = (self.price(asset, name) for name in ("high", "low", "close"))
        return self._one(("atr", asset, bars), lambda: talib.ATR(high, low, close, bars))

    def highest(self, asset: int, bars: int, name: str = "high") -> Floats:
        """Of the last bars, this one included."""
        row = self.price(asset, name)
        return self._one(("highest", asset, bars, name), lambda: talib.MAX(row, bars))

    def lowest(self, asset: int, bars: int, name: str = "low") -> Floats:
        """Of the last bars, this one included."""
        row = self.price(asset, name)
        return self._one(("lowest", asset, bars, name), lambda: talib.MIN(row, bars))

    def volatility(self, asset: int, bars: int) -> Floats:
        """Standard deviation (n − 1) of the last ``bars`` returns, as a yearly fraction.

        Never zero, so that one can divide by it. Plain returns, not logarithms, whose last
        digits differ between processors.
        """
        return self._one(("volatility", asset, bars), lambda: self._volatility(asset, bars))

    def _volatility(self, asset: int, bars: int) -> Floats:
        close = self.price(asset)
        moves = np.empty_like(close)
        moves[0] = np.nan
        np.divide(close[1:], close[:-1], out=moves[1:])
        moves -= 1.0
        yearly = math.sqrt(bars / (bars - 1) * self.market.bars_of_a_year)
        if close.size == 1:
            return moves
        return np.maximum(talib.STDDEV(moves, bars) * yearly, _CALMEST)

    # --- kept -----------------------------------------------------------------------------------
    def _one(self, key: tuple[object, ...], make: Callable[[], Floats]) -> Floats:
        return self._all(key, lambda: (make(),))[0]

    def _all(
        self, key: tuple[object, ...], make: Callable[[], tuple[Floats, ...]]
    ) -> tuple[Floats, ...]:
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        found = self._known[key] = make()
        self._held += _size(found)
        while self._held > self._most and len(self._known) > 1:
            self._held -= _size(self._known.popitem(last=False)[1])
        return found


def _rsi(row: Floats, bars: int) -> Floats:
    """While a market has not moved at all there is neither strength nor weakness: 50, which is
    what no rises against no falls is in the middle of. TA-Lib says 0."""
    found: Floats = talib.RSI(row, bars)
    moved = int((row != row[0]).argmax())  # 0 when it never did
    still = moved or row.size
    found[bars:still] = 50.0
    return found


def _size(rows: tuple[Floats, ...]) -> int:
    return sum(row.nbytes for row in rows)


def _as_delivered() -> None:
    """Raises RuntimeError when somebody in this process changed how TA-Lib computes."""
    if any(talib.get_unstable_period(name) for name in _SEEDED) or talib.get_compatibility():
        raise RuntimeError("TA-Lib's global settings were changed; results would not be the same")
