"""Form fields with brackets, as Stripe's clients send them, to nested values and back."""

import re
from collections.abc import Iterable
from typing import Any

_PART = re.compile(r"\[([^\]]*)\]")


def nested(fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """`items[0][price]=x` and `ids[]=y` as {"items": [{"price": "x"}], "ids": ["y"]}."""
    tree: dict[str, Any] = {}
    for name, value in fields:
        first, bracket, rest = name.partition("[")
        _put(tree, [first, *_PART.findall(bracket + rest)], value)
    return {name: _listed(value) for name, value in tree.items()}


def _put(tree: dict[str, Any], path: list[str], value: str) -> None:
    *places, last = path
    for place in places:
        inner = tree.setdefault(place, {})
        tree = inner if isinstance(inner, dict) else {}
    tree[last or str(len(tree))] = value


def _listed(value: Any) -> Any:
    """Branches whose names are all numbers are lists."""
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(branch) for name, branch in value.items()}
    if inner and all(name.isdigit() for name in inner):
        return [inner[name] for name in sorted(inner, key=int)]
    return inner
