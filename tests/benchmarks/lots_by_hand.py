"""What one would write: decimals in a deque, a list or a heap, and a tuple for every match.

Without dates, accounts, unknown costs, or a way to go on later; as little as the work allows.
"""

import heapq
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.benchmarks import trades

Matches = list[tuple[int, int, Decimal, Decimal, Decimal, Decimal]]


def prepare(count: int, method: str) -> Callable[[], Matches]:
    """What matches every trade: when bought, when sold, units, cost, proceeds, gain."""
    rows = list(trades.decimals(count))
    engine = _METHODS[method]
    return lambda: engine(rows)


def gain(matches: Matches) -> Decimal:
    return sum((match[5] for match in matches), Decimal(0))


def _fifo(rows: list[Any]) -> Matches:
    held: deque[list[Any]] = deque()
    return _in_turn(rows, held, 0, held.popleft)


def _lifo(rows: list[Any]) -> Matches:
    held: list[list[Any]] = []
    return _in_turn(rows, held, -1, held.pop)


def _in_turn(rows: list[Any], held: Any, first: int, drop: Callable[[], Any]) -> Matches:
    matches: Matches = []
    for at, side, units, price, fee in rows:
        if side == "B":
            held.append([at, units, units * price + fee])
            continue
        left, money = units, units * price - fee
        while left:
            lot = held[first]
            if lot[1] <= left:
                taken, cost = lot[1], lot[2]
                drop()
            else:
                taken = left
                cost = lot[2] * taken / lot[1]
                lot[1] -= taken
                lot[2] -= cost
            part = money if taken == left else money * taken / left
            money -= part
            left -= taken
            matches.append((lot[0], at, taken, cost, part, part - cost))
    return matches


def _hifo(rows: list[Any]) -> Matches:
    matches: Matches = []
    held: list[Any] = []
    for at, side, units, price, fee in rows:
        if side == "B":
            heapq.heappush(held, (-price, at, [at, units, units * price + fee]))
            continue
        left, money = units, units * price - fee
        while left:
            lot = held[0][2]
            if lot[1] <= left:
                taken, cost = lot[1], lot[2]
                heapq.heappop(held)
            else:
                taken = left
                cost = lot[2] * taken / lot[1]
                lot[1] -= taken
                lot[2] -= cost
            part = money if taken == left else money * taken / left
            money -= part
            left -= taken
            matches.append((lot[0], at, taken, cost, part, part - cost))
    return matches


def _average(rows: list[Any]) -> Matches:
    """Dates as in FIFO, at the average cost of what is held."""
    matches: Matches = []
    held: deque[list[Any]] = deque()
    pool_units = pool_cost = Decimal(0)
    for at, side, units, price, fee in rows:
        if side == "B":
            held.append([at, units])
            pool_units += units
            pool_cost += units * price + fee
            continue
        left, money = units, units * price - fee
        while left:
            lot = held[0]
            taken = min(lot[1], left)
            if taken == lot[1]:
                held.popleft()
            else:
                lot[1] -= taken
            cost = pool_cost if taken == pool_units else pool_cost * taken / pool_units
            pool_units -= taken
            pool_cost -= cost
            part = money if taken == left else money * taken / left
            money -= part
            left -= taken
            matches.append((lot[0], at, taken, cost, part, part - cost))
    return matches


_METHODS = {"fifo": _fifo, "lifo": _lifo, "hifo": _hifo, "average": _average}
