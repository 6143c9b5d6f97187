"""The active faults."""

import itertools
from typing import Any

from exchanges.sandbox.faults import fault as faults
from exchanges.sandbox.faults.fault import Fault, Request


class Switchboard:
    """The active faults, in the order in which they were added."""

    def __init__(self) -> None:
        self._faults: dict[int, Fault] = {}
        # Faults that happen no more may still hold requests back.
        self._spent: dict[int, Fault] = {}
        self._numbers = itertools.count(1)

    def __bool__(self) -> bool:
        return bool(self._faults)

    def add(self, plain: dict[str, Any], *, now: int) -> Fault:
        """Switch a fault on. Raises FaultError."""
        fault = faults.read(plain, now=now)
        fault.id = next(self._numbers)
        self._faults[fault.id] = fault
        return fault

    def all(self, *, now: int) -> list[dict[str, Any]]:
        """The active faults as JSON takes them."""
        self._expire(now)
        return [fault.plain() for fault in self._faults.values()]

    def remove(self, number: int | None = None) -> int:
        """Switch one fault off, or all; hanging requests are let go. Says how many."""
        active = _picked(self._faults, number)
        for fault in [*active, *_picked(self._spent, number)]:
            fault.ended.set()
        return len(active)

    def taken(self, request: Request) -> list[Fault]:
        """The faults that this request meets, each counted down once."""
        self._expire(request.now)
        met = [fault for fault in self._faults.values() if fault.matches(request)]
        for fault in met:
            self._count_down(fault)
        return met

    def _count_down(self, fault: Fault) -> None:
        if fault.count is not None:
            fault.count -= 1
            if fault.count <= 0:
                self._spend(fault)

    def _expire(self, now: int) -> None:
        for fault in list(self._faults.values()):
            if fault.until is not None and fault.until <= now:
                self._spend(fault)

    def _spend(self, fault: Fault) -> None:
        self._spent[fault.id] = self._faults.pop(fault.id)


def _picked(held: dict[int, Fault], number: int | None) -> list[Fault]:
    """Take one fault, or all, out of those held."""
    return [held.pop(found) for found in list(held) if number in (None, found)]
