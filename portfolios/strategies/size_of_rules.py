"""Whether a document is small and flat enough to be looked into at all. Nothing here recurses."""

from collections.abc import Iterator
from typing import Any

from portfolios.strategies.errors import Problem, pointer

MOST_BYTES = 20_000
MOST_NODES = 1_000
DEEPEST = 24  # objects and lists in one another: about ten conditions


def problem(document: object) -> Problem | None:
    """The first excess of depth, number of values or bytes, with where it is."""
    left, nodes, size = [("/rules", 0, document)], 0, 0
    while left:
        place, depth, value = left.pop()
        nodes, size = nodes + 1, size + _bytes(value)
        if depth > DEEPEST:
            return Problem(place, "too_deep", f"Rules go at most {DEEPEST} levels deep.")
        if nodes > MOST_NODES:
            return Problem(place, "too_many", f"Rules have at most {MOST_NODES:,} values.")
        for key, inner in _children(value):
            size += _bytes(key)
            if size > MOST_BYTES:
                break
            left.append((place + pointer(key), depth + 1, inner))
        if size > MOST_BYTES:
            return Problem(place, "too_large", f"Rules have at most {MOST_BYTES:,} bytes.")
    return None


def _children(value: object) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _bytes(value: object) -> int:
    """About what it takes as JSON; a long whole number is not written out to be counted."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass")) + 3
    if isinstance(value, int):
        return value.bit_length() // 3 + 2
    return 8
