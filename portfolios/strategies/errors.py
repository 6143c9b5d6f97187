"""What can be wrong with a strategy, and that somebody asked to stop. Plain exceptions."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Told = Callable[[int, int], Any]
Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where (a JSON pointer, RFC 6901), a stable code, one sentence."""

    pointer: str
    code: str
    message: str


class StrategyInvalid(Exception):
    """A strategy, or how it is to be run, cannot be. ``problems`` has every one that was found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(f"{one.pointer}: {one.message}" for one in self.problems))

    @classmethod
    def at(cls, pointer: str, code: str, message: str) -> "StrategyInvalid":
        return cls([Problem(pointer, code, message)])


class Stopped(Exception):
    """The caller's ``stop`` said so; nothing was returned."""


def pointer(*parts: object) -> str:
    """Keys and places as a JSON pointer: ``pointer("rules", "all", 1)`` is ``/rules/all/1``.

    Half of a surrogate pair, which no answer could carry, becomes a question mark.
    """
    told = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)
    return told.encode("utf-8", "replace").decode()


def going_on(stop: Stop | None) -> None:
    """Raises Stopped when the caller wants no more."""
    if stop is not None and stop():
        raise Stopped


def tell(told: Told | None, done: int, total: int) -> None:
    """Report progress to whoever listens."""
    if told is not None:
        told(done, total)
