"""A switchboard of faults: what the exchange should do wrong, where, and how often.

A fault is found by the path's beginning, and by account if it names one. Some act before the
request is served (`before`), some on the finished answer (`after`), and `clock` moves the
exchange's time for those it matches. A new kind is one function and one entry in a table.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

HANG, DELAY, STATUS, DROP = "hang", "delay", "status", "drop"
GARBAGE, TRUNCATE, CLOCK = "garbage", "truncate", "clock"
KINDS = (HANG, DELAY, STATUS, DROP, GARBAGE, TRUNCATE, CLOCK)
_WRONG_SCHEMA = {"sandbox": "no such row", "id": None, "asset": 7, "amount": ["?"]}


class FaultError(ValueError):
    """A fault that cannot be read; the message says why."""


class DroppedError(Exception):
    """The connection is to be closed without an answer."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One active fault; `count` is how often it still happens, None for ever.

    `seconds` belongs to delay, `status`, `body` and `headers` to status, `milliseconds` (positive
    when the exchange is ahead) to clock, `broken` (`row` or `json`) to garbage.
    """

    id: int = 0
    kind: str
    path: str = "/"
    account: int | None = None
    count: int | None = None
    seconds: float = 0
    status: int = 500
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    milliseconds: int = 0
    broken: str = "row"
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes over the wire instead of, or as, the exchange's own answer."""

    status: int
    body: bytes
    headers: dict[str, str]


class Switchboard:
    """The active faults, in the order in which they were added."""

    def __init__(self) -> None:
        self._faults: dict[int, Fault] = {}
        # Faults that happen no more may still hold requests back.
        self._spent: dict[int, Fault] = {}
        self._numbers = itertools.count(1)

    def __bool__(self) -> bool:
        return bool(self._faults)

    def add(self, plain: dict[str, Any]) -> Fault:
        """Switch a fault on. Raises FaultError."""
        fault = _read(plain)
        fault.id = next(self._numbers)
        self._faults[fault.id] = fault
        return fault

    def all(self) -> list[dict[str, Any]]:
        """The active faults as JSON takes them."""
        return [to_plain(fault) for fault in self._faults.values()]

    def remove(self, number: int | None = None) -> int:
        """Switch one fault off, or all; hanging requests are let go. Says how many."""
        active = _picked(self._faults, number)
        for fault in [*active, *_picked(self._spent, number)]:
            fault.ended.set()
        return len(active)

    def taken(self, path: str, account: int | None) -> list[Fault]:
        """The faults that this request meets, each counted down once."""
        met = [fault for fault in self._faults.values() if _matches(fault, path, account)]
        for fault in met:
            self._count_down(fault)
        return met

    def _count_down(self, fault: Fault) -> None:
        if fault.count is not None:
            fault.count -= 1
            if fault.count <= 0:
                self._spent[fault.id] = self._faults.pop(fault.id)


def _picked(held: dict[int, Fault], number: int | None) -> list[Fault]:
    """Take one fault, or all, out of those held."""
    return [held.pop(found) for found in list(held) if number in (None, found)]


def _matches(fault: Fault, path: str, account: int | None) -> bool:
    return path.startswith(fault.path) and fault.account in (None, account)


def to_plain(fault: Fault) -> dict[str, Any]:
    """The fault as JSON takes it."""
    names = [name for name in Fault.__slots__ if name != "ended"]
    return {name: getattr(fault, name) for name in names}


def _read(plain: dict[str, Any]) -> Fault:
    if plain.get("kind") not in KINDS:
        raise FaultError(f"kind must be one of {', '.join(KINDS)}")
    for name, value in plain.items():
        wanted = _TYPES.get(name)
        if wanted is None:
            raise FaultError(f"unknown field {name}")
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise FaultError(f"{name} is of the wrong type")
    if plain.get("count", 1) is not None and plain.get("count", 1) < 1:
        raise FaultError("count must be 1 or more")
    return Fault(**plain)


_NUMBER = (int, float)
_MAYBE_NUMBER = (int, type(None))
_TYPES: dict[str, tuple[type, ...]] = {
    "kind": (str,),
    "path": (str,),
    "account": _MAYBE_NUMBER,
    "count": _MAYBE_NUMBER,
    "seconds": _NUMBER,
    "status": (int,),
    "body": (str, dict, list, type(None)),
    "headers": (dict,),
    "milliseconds": (int,),
    "broken": (str,),
}


def skew(met: Iterable[Fault]) -> int:
    """By how many milliseconds the exchange's clock is off for this request."""
    return sum(fault.milliseconds for fault in met if fault.kind == CLOCK)


async def before(met: Iterable[Fault]) -> Answer | None:
    """What the faults do before the request is served; an answer replaces the serving.

    Raises DroppedError.
    """
    for fault in met:
        act = _BEFORE.get(fault.kind)
        if act and (answer := await act(fault)):
            return answer
    return None


def after(met: Iterable[Fault], answer: Answer) -> Answer:
    """What the faults make of the finished answer."""
    for fault in met:
        if act := _AFTER.get(fault.kind):
            answer = act(fault, answer)
    return answer


async def _hang(fault: Fault) -> None:
    await fault.ended.wait()


async def _delay(fault: Fault) -> None:
    await asyncio.sleep(fault.seconds)


async def _status(fault: Fault) -> Answer:
    if isinstance(fault.body, str | None):
        return Answer(fault.status, (fault.body or "").encode(), fault.headers)
    return Answer(fault.status, orjson.dumps(fault.body), fault.headers)


async def _drop(fault: Fault) -> None:
    raise DroppedError


def _garbage(fault: Fault, answer: Answer) -> Answer:
    if fault.broken == "json":
        return Answer(answer.status, b"<html>" + answer.body, answer.headers)
    content = orjson.loads(answer.body)
    rows = _rows(content)
    rows.insert(len(rows) // 2, _WRONG_SCHEMA)
    return Answer(answer.status, orjson.dumps(content), answer.headers)


def _rows(content: Any) -> list[Any]:
    """The list of rows in an answer, whatever it is called there."""
    if isinstance(content, list):
        return content
    found = [value for value in content.values() if isinstance(value, list)]
    return found[0] if found else []


def _truncate(fault: Fault, answer: Answer) -> Answer:
    return Answer(answer.status, answer.body[: len(answer.body) // 2], answer.headers)


_BEFORE: dict[str, Callable[[Fault], Awaitable[Answer | None]]] = {
    HANG: _hang,
    DELAY: _delay,
    STATUS: _status,
    DROP: _drop,
}
_AFTER: dict[str, Callable[[Fault, Answer], Answer]] = {GARBAGE: _garbage, TRUNCATE: _truncate}
