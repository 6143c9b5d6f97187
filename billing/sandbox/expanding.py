"""`expand`: identifiers replaced by their objects, and parts that only come when asked for."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from billing.sandbox.wire import Object, StripeError, invalid

# Left out of an answer unless asked for by name.
_ONLY_WHEN_ASKED = {
    "invoice": {"confirmation_secret", "payments"},
    "checkout.session": {"line_items"},
}
_DEEPEST = 4

Find = Callable[[str], Awaitable[Object | None]]
Tree = dict[str, Any]


def trimmed(value: Any) -> Any:
    """A value without the parts that only come when asked for."""
    if isinstance(value, list):
        return [trimmed(one) for one in value]
    if not isinstance(value, dict):
        return value
    left_out = _ONLY_WHEN_ASKED.get(_kind(value), set())
    return {name: trimmed(part) for name, part in value.items() if name not in left_out}


async def expanded(value: Any, paths: Iterable[str], find: Find) -> Any:
    """A value with the paths expanded. Raises StripeError."""
    return await _grown(value, _tree(paths), find, "")


def _tree(paths: Iterable[str]) -> Tree:
    tree: Tree = {}
    for path in paths:
        parts = path.split(".")
        if len(parts) > _DEEPEST:
            raise invalid(f"You cannot expand more than {_DEEPEST} levels of a property: {path}")
        branch = tree
        for part in parts:
            branch = branch.setdefault(part, {})
    return tree


async def _grown(value: Any, tree: Tree, find: Find, path: str) -> Any:
    if not tree:
        return trimmed(value)
    if isinstance(value, list):
        return [await _grown(one, tree, find, path) for one in value]
    if not isinstance(value, dict):
        return value
    for name in tree:
        if name not in value:
            raise _unexpandable(f"{path}{name}")
    left_out = _ONLY_WHEN_ASKED.get(_kind(value), set()) - set(tree)
    return {
        name: await _part(part, tree, name, find, path)
        for name, part in value.items()
        if name not in left_out
    }


async def _part(part: Any, tree: Tree, name: str, find: Find, path: str) -> Any:
    if name not in tree:
        return trimmed(part)
    here = f"{path}{name}"
    if isinstance(part, list):
        part = [await _found(one, find, here) for one in part]
    else:
        part = await _found(part, find, here)
    return await _grown(part, tree[name], find, f"{here}.")


async def _found(part: Any, find: Find, path: str) -> Any:
    if not isinstance(part, str):
        return part
    found = await find(part)
    if found is None:
        raise _unexpandable(path)
    return found


def _kind(value: Object) -> str:
    kind = value.get("object")
    return kind if isinstance(kind, str) else ""


def _unexpandable(path: str) -> StripeError:
    return invalid(f"This property cannot be expanded ({path}).", param="expand")
