"""Parameters checked and typed by the definitions that come with Stripe's own client.

What the client's types do not know, Stripe would refuse too: a mistyped parameter is an error
here and not a surprise in production.
"""

import builtins
import functools
import sys
import types
import typing
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import stripe.params

from billing.sandbox.wire import StripeError, invalid

# Some definitions also carry the options of the client, which are never sent as parameters.
_OPTIONS = {
    "api_key",
    "stripe_account",
    "stripe_context",
    "max_network_retries",
    "idempotency_key",
    "content_type",
    "headers",
}
_UNIONS = (typing.Union, types.UnionType)


class _Names(dict[str, Any]):
    """Names of a module of definitions; what it imports for type checkers only is any object."""

    def __missing__(self, name: str) -> Any:
        return getattr(builtins, name, object)


def checked(sent: Mapping[str, Any], definition: str) -> dict[str, Any]:
    """The parameters typed after "SubscriptionCreateParams" and the like. Raises StripeError."""
    return _fields(sent, _definition(definition), "")


@functools.cache
def _definition(named: str) -> Any:
    found: Any = stripe.params
    for part in named.split("."):
        found = getattr(found, part)
    return found


@functools.cache
def _hints(definition: Any) -> dict[str, Any]:
    names = _Names({**vars(typing), **vars(sys.modules[definition.__module__])})
    hints = typing.get_type_hints(definition, localns=names)
    return {name: hint for name, hint in hints.items() if name not in _OPTIONS}


def _fields(sent: Any, definition: Any, path: str) -> dict[str, Any]:
    if not isinstance(sent, Mapping):
        raise invalid(f"Invalid {path}: must be an object", param=path)
    hints = _hints(definition)
    for name in sent:
        if name not in hints:
            raise _unknown(_under(path, name))
    for name in definition.__required_keys__ - _OPTIONS:
        if name not in sent:
            raise _lacking(_under(path, name))
    return {name: _typed(value, hints[name], _under(path, name)) for name, value in sent.items()}


def _under(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name


def _typed(value: Any, hint: Any, path: str) -> Any:
    if _is_definition(hint):
        return _fields(value, hint, path)
    origin = typing.get_origin(hint)
    if origin in _UNIONS:
        return _one_of(value, typing.get_args(hint), path)
    if origin is list:
        return _each(value, typing.get_args(hint)[0], path)
    if origin is typing.Literal:
        return _chosen(value, typing.get_args(hint), path)
    return _plain(value, hint, path)


def _one_of(value: Any, hints: tuple[Any, ...], path: str) -> Any:
    """A union; `str` beside literals only says that more of them may come one day."""
    literals = [each for hint in hints for each in _literals(hint)]
    if value in literals:
        return value
    others = [hint for hint in hints if not _literals(hint) and hint is not type(None)]
    if any(literals):
        others = [hint for hint in others if hint is not str]
    if not others:
        return _chosen(value, tuple(literals), path)
    fitting = [hint for hint in others if _is_tree(hint) == isinstance(value, dict | list)]
    return _typed(value, (fitting or others)[0], path)


def _literals(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()


def _is_definition(hint: Any) -> bool:
    # The client makes them with typing_extensions, which typing does not recognize.
    return hasattr(hint, "__required_keys__")


def _is_tree(hint: Any) -> bool:
    return _is_definition(hint) or typing.get_origin(hint) in (list, dict)


def _each(value: Any, hint: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise invalid("Invalid array", param=path)
    return [_typed(one, hint, f"{path}[{place}]") for place, one in enumerate(value)]


def _chosen(value: Any, literals: tuple[Any, ...], path: str) -> Any:
    # A literal True or False comes as text.
    by_text = {str(each).lower() if isinstance(each, bool) else each: each for each in literals}
    if value in by_text:
        return by_text[value]
    known = ", ".join(str(each) for each in literals)
    raise invalid(f"Invalid {path}: must be one of {known}", param=path)


def _plain(value: Any, hint: Any, path: str) -> Any:
    if hint is bool:
        return _chosen(value, (True, False), path)
    if hint in (int, float, Decimal):
        return _number(value, hint, path)
    if hint is str and not isinstance(value, str):
        raise invalid("Invalid string", param=path)
    return value


def _number(value: Any, hint: Any, path: str) -> Any:
    try:
        return hint(value)
    except (TypeError, ValueError, InvalidOperation):
        noun = "integer" if hint is int else "decimal"
        raise invalid(f"Invalid {noun}: {value}", param=path, code=f"parameter_invalid_{noun}")  # noqa: B904


def _unknown(path: str) -> StripeError:
    message = f"Received unknown parameter: {path}"
    return invalid(message, param=path, code="parameter_unknown")


def _lacking(path: str) -> StripeError:
    return invalid(f"Missing required param: {path}.", param=path, code="parameter_missing")
