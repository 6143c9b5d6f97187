"""One fault, and reading it from JSON."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from exchanges.sandbox import wire

HANG, DELAY, STATUS, DROP, STORM, BAN = "hang", "delay", "status", "drop", "storm", "ban"
LOST_ANSWER, DELISTED, DRIP = "lost_answer", "delisted", "drip"
GARBAGE, TRUNCATE, SHORT_PAGE = "garbage", "truncate", "short_page"
DUPLICATES, REORDERED, SCHEMA = "duplicates", "reordered", "schema"
CLOCK, COARSE_TIMES = "clock", "coarse_times"
KINDS = (
    *(HANG, DELAY, STATUS, DROP, STORM, BAN, LOST_ANSWER, DELISTED, DRIP),
    *(GARBAGE, TRUNCATE, SHORT_PAGE, DUPLICATES, REORDERED, SCHEMA, CLOCK, COARSE_TIMES),
)
RENAMED, RETYPED, ENVELOPE = "rename", "type", "envelope"

_CHOICES = {
    "kind": KINDS,
    "broken": ("row", "json"),
    "by": (DROP, HANG),
    "change": (RENAMED, RETYPED, ENVELOPE),
}
_DEFAULT_BAN = 120  # seconds


class FaultError(ValueError):
    """A fault that cannot be read; the message says why."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One active fault; `count` is how often it still happens, None for ever.

    After `lasts` seconds no further request meets it; one that hangs goes on hanging until the
    fault is switched off.

    `seconds` belongs to delay and drip (how long the whole answer takes); `status`, `body` and
    `headers` to status; `milliseconds` to clock (positive when the exchange is ahead) and to
    coarse_times; `broken` to garbage; `by` to lost_answer; `change` and `field` (of a row; its
    first one if none is named) to schema; `retry_after` to storm. `until` is when it ends by
    itself, and `told` until when whoever asked was told to stay away.
    """

    id: int = 0
    kind: str
    path: str = "/"
    account: int | None = None
    symbol: str = ""
    count: int | None = None
    lasts: float | None = None
    seconds: float = 0
    status: int = 500
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    milliseconds: int = 0
    broken: str = "row"
    by: str = DROP
    change: str = RENAMED
    retry_after: int | None = None
    until: int | None = None
    told: dict[str, int] = field(default_factory=dict, repr=False)
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    field: str = ""

    def matches(self, request: "Request") -> bool:
        """Whether it is about this request."""
        return (
            request.call.path.startswith(self.path)
            and self.account in (None, request.account)
            and (not self.symbol or request.spoken.asks_for(request.call, self.symbol))
        )

    def plain(self) -> dict[str, Any]:
        """The fault as JSON takes it."""
        return {name: getattr(self, name) for name in self.__slots__ if name not in _UNTOLD}


_UNTOLD = ("until", "told", "ended")


@dataclass(frozen=True, slots=True)
class Request:
    """A request that may meet faults: what was asked, of which dialect, by whom, and when."""

    call: wire.Call
    spoken: wire.Dialect
    account: int | None
    now: int


def read(plain: dict[str, Any], *, now: int) -> Fault:
    """The fault that JSON means, switched on `now`. Raises FaultError."""
    for name, value in plain.items():
        wanted = _TYPES.get(name)
        if wanted is None:
            raise FaultError(f"unknown field {name}")
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise FaultError(f"{name} is of the wrong type")
    for name, choices in _CHOICES.items():
        if plain.get(name, choices[0] if name != "kind" else None) not in choices:
            raise FaultError(f"{name} must be one of {', '.join(choices)}")
    return _timed(Fault(**_sensible(plain)), now)


def _sensible(plain: dict[str, Any]) -> dict[str, Any]:
    for name in ("count", "lasts", "retry_after"):
        if plain.get(name) is not None and plain[name] <= 0:
            raise FaultError(f"{name} must be 1 or more")
    if plain["kind"] == DELISTED and not plain.get("symbol"):
        raise FaultError("symbol must say what is delisted")
    if plain["kind"] == COARSE_TIMES and plain.get("milliseconds", 0) < 1:
        raise FaultError("milliseconds must be 1 or more")
    return plain


def _timed(fault: Fault, now: int) -> Fault:
    if fault.kind == BAN and fault.lasts is None:
        fault.lasts = _DEFAULT_BAN
    if fault.lasts is not None:
        fault.until = now + int(fault.lasts * 1000)
    return fault


_NUMBER = (int, float)
_MAYBE_NUMBER = (int, type(None))
_TYPES: dict[str, tuple[type, ...]] = {
    "kind": (str,),
    "path": (str,),
    "account": _MAYBE_NUMBER,
    "symbol": (str,),
    "count": _MAYBE_NUMBER,
    "lasts": (int, float, type(None)),
    "seconds": _NUMBER,
    "status": (int,),
    "body": (str, dict, list, type(None)),
    "headers": (dict,),
    "milliseconds": (int,),
    "broken": (str,),
    "by": (str,),
    "change": (str,),
    "field": (str,),
    "retry_after": _MAYBE_NUMBER,
}
