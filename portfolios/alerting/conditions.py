"""When an alert comes true, and when it may be told again: pure numbers, no Django.

An alert watches one figure: a price, how far a price moved within a window, what a portfolio is
worth, or how far it fell. It *rises* when it waits for the figure to reach its threshold from
below, otherwise it falls. It is told when the figure reaches the threshold while it is armed, which
disarms it. It is armed again once the figure has gone back beyond the level that its hysteresis
sets, so that trembling around the threshold tells nothing new.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

PRICE_ABOVE, PRICE_BELOW, PRICE_CHANGE = "price_above", "price_below", "price_change"
VALUE_ABOVE, VALUE_BELOW, DRAWDOWN = "value_above", "value_below", "drawdown"
OF_PRICES = frozenset({PRICE_ABOVE, PRICE_BELOW, PRICE_CHANGE})
# Kinds that wait for a figure to become large.
RISING = frozenset({PRICE_ABOVE, PRICE_CHANGE, VALUE_ABOVE, DRAWDOWN})

UP, DOWN, EITHER = "up", "down", "any"
_ONE, _HUNDRED = Decimal(1), Decimal(100)
_PERCENT = Decimal("1e-8")


class Move(NamedTuple):
    """How far a price moved, in percent: ``figure`` is never negative, ``shown`` has its sign."""

    figure: Decimal
    shown: Decimal


def reached(figure: Decimal, *, threshold: Decimal, rises: bool) -> bool:
    """Whether the figure is at or beyond the threshold."""
    return figure >= threshold if rises else figure <= threshold


def rearm_level(*, threshold: Decimal, hysteresis: Decimal, rises: bool) -> Decimal:
    """What the figure must go back beyond; ``hysteresis`` is in percent of the threshold."""
    back = hysteresis / _HUNDRED
    return threshold * (_ONE - back if rises else _ONE + back)


def gone_back(
    figure: Decimal, *, threshold: Decimal, hysteresis: Decimal, rises: bool
) -> bool:  # fmt: skip
    """Whether an alert that was told may be told again. Never true of a figure that is reached."""
    level = rearm_level(threshold=threshold, hysteresis=hysteresis, rises=rises)
    return figure < level if rises else figure > level


def moved(price: Decimal, *, low: Decimal, high: Decimal, direction: str) -> Move:
    """How far a price stands from the extremes of its window, as ``direction`` looks at it.

    ``up`` is the rise from the lowest, ``down`` the fall from the highest, ``any`` the larger of
    the two. All three prices are above zero, and ``low`` ≤ ``price`` ≤ ``high``.
    """
    rise = ((price / low - _ONE) * _HUNDRED).quantize(_PERCENT)
    fall = ((_ONE - price / high) * _HUNDRED).quantize(_PERCENT)
    if direction == UP or (direction == EITHER and rise >= fall):
        return Move(rise, rise)
    return Move(fall, -fall)


def drawdown(growth: Iterable[float | None]) -> Decimal:
    """How far below its highest a portfolio ends, in percent, 0 to 100.

    ``growth`` are its time-weighted factors in order (one and a day's return; None is a day without
    one), so what is paid in or taken out is neither a rise nor a fall. The beginning counts as a
    height.
    """
    index = highest = 1.0
    for factor in growth:
        if factor is not None:
            index *= factor
            highest = max(highest, index)
    return (Decimal(max(0.0, 1 - index / highest)) * _HUNDRED).quantize(_PERCENT)
