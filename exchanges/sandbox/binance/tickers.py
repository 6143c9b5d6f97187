"""Tickers that move: a small random walk around the market's price, as Binance streams it.

The walk is a function of seed, symbol and step, so that two sandboxes of one seed that ticked as
often say the same. It is drawn back to the market's own price and never leaves one percent of it.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from exchanges.sandbox import market, prices, symbols
from exchanges.sandbox.binance import public
from exchanges.sandbox.binance.wording import amount

_STEP = 400  # the widest step, in millionths of the price
_WIDEST = 10_000  # how far the walk leads from the market's price, in millionths
_MILLION = 1_000_000
# Statistics over a day hardly change within a minute, and are dear to work out.
_STATISTICS_EVERY = 60_000


@dataclass(slots=True)
class _Walk:
    """Where one symbol stands, in millionths beside the market's price, after how many steps."""

    key: int
    offset: int = 0
    steps: int = 0

    def step(self) -> None:
        drawn = prices.mix(self.key + self.steps) % (2 * _STEP + 1) - _STEP
        self.offset = self.offset * 99 // 100 + (drawn or 1)
        self.offset = max(-_WIDEST, min(_WIDEST, self.offset))
        self.steps += 1


class Tickers:
    """The moving tickers of a market, by symbol."""

    def __init__(self, world: market.Market) -> None:
        self._world = world
        self._walks: dict[str, _Walk] = {}
        self._days: dict[str, tuple[int, dict[str, Any]]] = {}
        self.symbols = [symbol for symbol in world.symbols.values() if symbol.trading]

    def moved(self, symbol: symbols.Symbol, *, now: int) -> dict[str, Any]:
        """The 24 hour ticker after one more step of the symbol's walk."""
        walk = self._walk(symbol.name)
        walk.step()
        last = self._price(symbol, walk.offset, now)
        return _ticker(symbol, self._day(symbol, now), last, now)

    def _walk(self, name: str) -> _Walk:
        if name not in self._walks:
            self._walks[name] = _Walk(prices.mix(self._world.seed) ^ prices.code_number(name))
        return self._walks[name]

    def _price(self, symbol: symbols.Symbol, offset: int, now: int) -> Decimal:
        exact = self._world.price(symbol, now) * (_MILLION + offset) / _MILLION
        return max(exact // symbol.tick, Decimal(1)) * symbol.tick

    def _day(self, symbol: symbols.Symbol, now: int) -> dict[str, Any]:
        held = self._days.get(symbol.name)
        if held is None or now - held[0] > _STATISTICS_EVERY:
            day = public.day_ticker(self._world, symbol, now)
            held = self._days[symbol.name] = now, day
        return held[1]


def _ticker(symbol: symbols.Symbol, day: dict[str, Any], last: Decimal, now: int) -> dict[str, Any]:
    opened = Decimal(day["openPrice"])
    change = last - opened
    return {
        "e": "24hrTicker",
        "E": now,
        "s": symbol.name,
        "p": amount(change),
        "P": f"{change * 100 / opened:.3f}",
        "w": day["weightedAvgPrice"],
        "x": day["prevClosePrice"],
        "c": amount(last),
        "Q": day["lastQty"],
        "b": amount(last),
        "B": day["bidQty"],
        "a": amount(last + symbol.tick),
        "A": day["askQty"],
        "o": day["openPrice"],
        "h": amount(max(last, Decimal(day["highPrice"]))),
        "l": amount(min(last, Decimal(day["lowPrice"]))),
        "v": day["volume"],
        "q": day["quoteVolume"],
        "O": now - 86_400_000,
        "C": now,
        "F": day["firstId"],
        "L": day["lastId"],
        "n": day["count"],
    }


_MINI = ("E", "s", "c", "o", "h", "l", "v", "q")


def mini(ticker: dict[str, Any]) -> dict[str, Any]:
    """The short form of a ticker."""
    return {"e": "24hrMiniTicker"} | {name: ticker[name] for name in _MINI}
