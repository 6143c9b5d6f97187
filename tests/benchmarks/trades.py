"""Trades to match lots of: the workload whose figures are known, as plain numbers."""

import hashlib
import random
from collections.abc import Iterator
from decimal import Decimal

# The first 16 digits of the SHA-256 of the list of 100,000, so that others measure the same.
DIGEST = "3e8dfb510371c16f"
_BEGINNING, _STEP = 1_420_070_400, 300


def workload(count: int) -> Iterator[tuple[int, str, int, int, int]]:
    """Seconds since 1970, B or S, units of 1e-8, price in cents, fee in 1e-10 of the currency.

    Five minutes apart; somewhat more is bought than sold, and never more sold than is held.
    """
    draw = random.Random(42).random
    at, price, held = _BEGINNING, 3_000_000, 0
    for _ in range(count):
        at += _STEP
        price = max(100_000, price + int(price * (draw() - 0.5) * 0.01))
        side = "B" if not held or draw() < 0.55 else "S"
        units = 1 + int(draw() * 1e8)
        if side == "S":
            units = min(held, units)
        held += units if side == "B" else -units
        yield at, side, units, price, units * price // 100_000


def digest(count: int) -> str:
    return hashlib.sha256(repr(list(workload(count))).encode()).hexdigest()[:16]


def decimals(count: int) -> Iterator[tuple[int, str, Decimal, Decimal, Decimal]]:
    """The workload as decimals: seconds, side, units, price of one, fee in money."""
    unit, cent, least = Decimal("1e-8"), Decimal("0.01"), Decimal("1e-10")
    for at, side, units, price, fee in workload(count):
        yield at, side, units * unit, price * cent, fee * least
