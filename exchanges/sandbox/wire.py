"""A request and an answer as they pass between the server, the faults and the dialects."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came over the wire: nothing decoded, since signatures cover what was sent.

    Names of `headers` are in lower case.
    """

    method: str
    path: str
    query: str
    body: str
    headers: Mapping[str, str]
    address: str

    def header(self, name: str) -> str:
        """A header, or an empty text."""
        return self.headers.get(name.lower(), "")


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes over the wire; a body that trickles takes `seconds` to arrive."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    seconds: float = 0


class Dialect(Protocol):
    """An exchange's REST interface, and how that exchange words what the switchboard makes up."""

    def account_of(self, call: Call) -> int | None:
        """Whose key came with a request."""

    def answer(self, call: Call, *, now: int, skew: int = 0, coarse: int = 0) -> Answer:
        """The answer to a request at `now`.

        `skew` moves the clock that the caller meets; with `coarse`, all that happened is told in
        steps of so many milliseconds.
        """

    def asks_for(self, call: Call, symbol: str) -> bool:
        """Whether a request is about a symbol, as the exchange writes it."""

    def slow_down(self, *, seconds: int) -> Answer:
        """Too many requests: come back in so many seconds."""

    def banned(self, *, now: int, seconds: int) -> Answer:
        """Shut out for so many seconds."""

    def unknown_symbol(self) -> Answer:
        """No such symbol."""
