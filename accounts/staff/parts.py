"""What the API would answer, as tables for a page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Part:
    """A table with a title; without headers, each row is a name and its value."""

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]


def of(answer: Mapping[str, Any], title: str = "") -> list[Part]:
    """Plain values first, as one table; then what is nested, each under its name."""
    plain = [[_words(name), text(value)] for name, value in answer.items() if not _is_nested(value)]
    first = [Part(title, (), plain)] if plain else []
    return first + [part for name, value in answer.items() for part in _nested(name, value)]


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping) or _is_table(value)


def _is_table(value: Any) -> bool:
    return isinstance(value, Sequence) and any(isinstance(row, Mapping) for row in value)


def _nested(name: str, value: Any) -> Iterator[Part]:
    if isinstance(value, Mapping):
        yield from of(value, _words(name))
    elif _is_table(value):
        names = list(dict.fromkeys(key for row in value for key in row))
        cells = [[text(row.get(key)) for key in names] for row in value]
        yield Part(_words(name), [_words(key) for key in names], cells)


def text(value: Any) -> str:
    """A value as people read it; what is nested deeper stays JSON."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str)):
        return orjson.dumps(value, default=str).decode() if value else NOTHING
    return str(value)


def _words(name: str) -> str:
    return name.replace("_", " ")
