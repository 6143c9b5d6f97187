"""The lowest and the highest price of a moving window: pure, and small whatever the window.

Time is cut into steps (minutes, or hours in a window of more than a day). A step counts while all
of it lies within the window, so a move is never said to be quicker than it was; what is looked at
may be shorter than the window by one step.
"""

from collections import deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
# A window up to this long is looked at minute by minute.
LONGEST_BY_MINUTES = timedelta(days=1)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class Range(NamedTuple):
    """The lowest and the highest price of one step, or of a window."""

    low: Decimal
    high: Decimal


def step_of(window: timedelta) -> timedelta:
    """How finely a window is looked at."""
    return MINUTE if window <= LONGEST_BY_MINUTES else HOUR


def step_at(instant: datetime, step: timedelta) -> datetime:
    """The first instant of the step that holds ``instant``."""
    return instant - (instant - _EPOCH) % step


class Extremes:
    """The extremes of one price over one window.

    Two monotonic queues: a step that is neither lower than every later one, nor higher, can never
    be an extreme again, and is forgotten.
    """

    __slots__ = ("_highs", "_lows", "_step", "_window")

    def __init__(self, window: timedelta) -> None:
        self._window, self._step = window, step_of(window)
        self._lows: deque[tuple[datetime, Decimal]] = deque()
        self._highs: deque[tuple[datetime, Decimal]] = deque()

    def __len__(self) -> int:
        return len(self._lows) + len(self._highs)

    def add(self, at: datetime, price: Decimal) -> None:
        """Take in a price. One that is late counts to the newest step."""
        start, lows, highs = step_at(at, self._step), self._lows, self._highs
        if lows:
            start = max(start, lows[-1][0], highs[-1][0])
        while lows and lows[-1][1] >= price:
            lows.pop()
        if not lows or lows[-1][0] != start:
            lows.append((start, price))
        while highs and highs[-1][1] <= price:
            highs.pop()
        if not highs or highs[-1][0] != start:
            highs.append((start, price))

    def within(self, now: datetime) -> Range | None:
        """The extremes of the window that ends now; None when nothing is known of it."""
        since = now - self._window
        for queue in (self._lows, self._highs):
            while queue and queue[0][0] < since:
                queue.popleft()
        return Range(self._lows[0][1], self._highs[0][1]) if self._lows else None
