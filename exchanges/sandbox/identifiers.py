"""Ids that grow with time, so that they are the same on every run and sort as Binance's do."""

from collections import Counter

# Numbers count from here, which keeps trade ids below 2^53 until the year 2200.
_ORIGIN = 1_500_000_000_000
_PER_MILLISECOND = 10
_ACCOUNTS = 100


class Series:
    """The ids of one account's facts."""

    def __init__(self, account: int) -> None:
        self._account = account % _ACCOUNTS
        self._used: Counter[tuple[str, int]] = Counter()

    def next(self, instant: int) -> str:
        """An id for anything but trades and orders, unique within the account."""
        return self._numbered("", instant)

    def order(self, instant: int) -> str:
        """An order's id."""
        return self._numbered("order", instant)

    def trade(self, symbol: str, instant: int) -> str:
        """A fill's id: unique and increasing within its symbol."""
        return self._numbered(symbol, instant)

    def _numbered(self, series: str, instant: int) -> str:
        count = self._used[series, instant]
        if count == _PER_MILLISECOND:
            return self._numbered(series, instant + 1)
        self._used[series, instant] += 1
        return str(((instant - _ORIGIN) * _ACCOUNTS + self._account) * _PER_MILLISECOND + count)
