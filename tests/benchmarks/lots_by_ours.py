"""Our engine on the workload: one pool, fees in cost and off proceeds."""

import decimal
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from portfolios.cost.lots import Acquisition, Book, Disposition, Event, Method
from tests.benchmarks import trades

_ACCOUNT = UUID(int=0)


def prepare(count: int, method: str) -> Callable[[], Book]:
    """What matches every trade. The precision is what ``tracker.money`` sets with Django."""
    decimal.getcontext().prec = 60
    events = [_event(number, *row) for number, row in enumerate(trades.decimals(count))]

    def match() -> Book:
        book = Book(method=Method(method))
        book.apply(events)
        return book

    return match


def gain(book: Book) -> Decimal:
    return sum((piece.gain for piece in book.pieces if piece.gain is not None), Decimal(0))


def _event(number: int, at: int, side: str, units: Decimal, price: Decimal, fee: Decimal) -> Event:
    key, instant, value = UUID(int=number), datetime.fromtimestamp(at, UTC), units * price
    if side == "B":
        cost = value + fee
        return Acquisition(key, instant, _ACCOUNT, units, cost, "trade", price=price)
    return Disposition(key, instant, _ACCOUNT, units, value - fee, "sale")
