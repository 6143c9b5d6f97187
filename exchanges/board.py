"""The tickers of one exchange as they change, and the dollar prices that follow: pure, no Django.

What ``crossing`` makes of all tickers, made again for those codes alone whose markets moved.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from exchanges import crossing
from exchanges.crossing import BRIDGES, UsdPrice
from exchanges.reports import Ticker

Pair = tuple[str, str]


class Board:
    """The latest ticker of each market; as many as there are markets, whatever arrives."""

    def __init__(self) -> None:
        self._tickers: dict[Pair, Ticker] = {}
        self._pairs: defaultdict[str, set[Pair]] = defaultdict(set)
        self._between_bridges: set[Pair] = set()
        self._moved: set[str] = set()

    def update(self, tickers: Iterable[Ticker]) -> None:
        """Take in what changed; a market never goes back in time."""
        for ticker in tickers:
            pair = (ticker.base_code, ticker.quote_code)
            held = self._tickers.get(pair)
            if held is None:
                self._list(pair)
            elif held.as_of > ticker.as_of:
                continue
            self._tickers[pair] = ticker
            self._moved.update(pair)

    def moved_prices(self, *, now: datetime) -> dict[str, UsdPrice]:
        """Dollar prices of the codes whose own markets changed since the last call.

        What is crossed through another coin follows that coin's moves with ``all_prices``.
        """
        moved, self._moved = self._moved, set()
        pairs = set(self._between_bridges)
        for code in moved.difference(BRIDGES):  # a bridge is priced through bridges alone
            pairs |= self._pairs[code]
        found = crossing.usd_prices([self._tickers[pair] for pair in sorted(pairs)], now=now)
        return {code: price for code, price in found.items() if code in moved}

    def all_prices(self, *, now: datetime) -> dict[str, UsdPrice]:
        """Dollar prices of every code."""
        self._moved = set()
        return crossing.usd_prices(self._tickers.values(), now=now)

    def _list(self, pair: Pair) -> None:
        for code in pair:
            self._pairs[code].add(pair)
        if pair[0] in BRIDGES and pair[1] in BRIDGES:
            self._between_bridges.add(pair)
