"""What a visit asked, call by call: how long it waited, how long it took, what came of it.

Names of methods and numbers only: no address, no value of a parameter, no word of an answer. The
list is bounded, because an account with a long history takes thousands of calls.
"""

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from exchanges.reports import Asked, Timeline

FIRST, LAST = 100, 200


class CallLog:
    """The calls of one visit: the first ``FIRST``, the last ``LAST``, and a count."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._first: list[Asked] = []
        self._last: deque[Asked] = deque(maxlen=LAST)
        self._count = 0

    def note(self, asked: Asked) -> None:
        """Add one call."""
        self._count += 1
        if len(self._first) < FIRST:
            self._first.append(asked)
        else:
            self._last.append(asked)

    def at(self, moment: float) -> int:
        """Milliseconds from the beginning to a reading of the monotonic clock."""
        return int((moment - self._began) * 1000)

    def timeline(self) -> Timeline:
        """What was noted so far."""
        left_out = self._count - len(self._first) - len(self._last)
        return Timeline(tuple(self._first), tuple(self._last), left_out)


def count_rows(answer: Any) -> int:
    """How many rows an answer carries: its longest list, at most two steps down; else -1."""
    if isinstance(answer, list):
        return len(answer)
    if not isinstance(answer, Mapping):
        return -1
    found = [len(value) for value in answer.values() if isinstance(value, list)]
    if found:
        return max(found)
    inner = (value for value in answer.values() if isinstance(value, Mapping))
    return max(
        (len(part) for value in inner for part in value.values() if isinstance(part, list)),
        default=-1,
    )
