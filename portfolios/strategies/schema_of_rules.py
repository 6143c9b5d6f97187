"""The rule language as a JSON Schema (draft 2020-12), from which the app draws its editor."""

from collections.abc import Iterable
from typing import Any

from portfolios.strategies import language
from portfolios.strategies.language import Indicator
from portfolios.strategies.parameters import Parameter

_CONDITION = {"$ref": "#/$defs/condition"}
_OPERAND = {"$ref": "#/$defs/operand"}


def schema() -> dict[str, Any]:
    """What ``rules.checked`` takes, apart from sizes and what its descriptions say."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rules of a custom strategy",
        "description": "Judged at the close of each bar, for each asset by its own prices; what "
        "is decided is filled at the next bar's open.",
        **_object({"enter": _CONDITION, "exit": _CONDITION, "size": _size(), "stops": _stops()},
                  required=("enter",)),
        # Something must end a position.
        "anyOf": [{"required": ["exit"]},
                  {"required": ["stops"], "properties": {"stops": {"minProperties": 1}}}],
        "$defs": {"condition": _condition(), "operand": _operand()},
    }  # fmt: skip


def _object(properties: dict[str, Any], *, required: Iterable[str] = ()) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": list(required),
        "additionalProperties": False,
    }  # fmt: skip


def _options(options: Iterable[Parameter]) -> dict[str, Any]:
    return {option.name: option.schema() for option in options}


def _condition() -> dict[str, Any]:
    several = {"type": "array", "items": _CONDITION, "minItems": 1}
    how = {"oneOf": [{"const": name, "title": told} for name, told in language.COMPARISONS.items()]}
    compared = {"left": _OPERAND, "is": how, "right": _OPERAND}
    return {
        "oneOf": [
            {"title": "All of", **_object({"all": several}, required=("all",))},
            {"title": "Any of", **_object({"any": several}, required=("any",))},
            {"title": "Not", **_object({"not": _CONDITION}, required=("not",))},
            {"title": "Comparison", **_object(compared, required=compared)},
        ]
    }


def _operand() -> dict[str, Any]:
    constant = language.INDICATORS["constant"].options[0]
    return {
        "oneOf": [
            {"title": "Number", "type": "number", "minimum": constant.minimum,
             "maximum": constant.maximum},
            {"title": "Indicator as it is", "enum": list(language.INDICATORS)},
            *(_indicator(one) for one in language.INDICATORS.values()),
        ]
    }  # fmt: skip


def _indicator(one: Indicator) -> dict[str, Any]:
    lag = () if one.name == "constant" else (language.LAG,)
    properties = {"indicator": {"const": one.name}, **_options((*one.options, *lag))}
    told = " ".join([one.description, *(rule.sentence for rule in one.rules)])
    return {"title": one.name, "description": told,
            **_object(properties, required=("indicator",))}  # fmt: skip


def _size() -> dict[str, Any]:
    return {
        "oneOf": [
            {"title": "Fraction", **_object(_options(language.FRACTION))},
            {"title": "By volatility",
             **_object(_options(language.BY_VOLATILITY), required=("volatility_target",))},
        ]
    }  # fmt: skip


def _stops() -> dict[str, Any]:
    return {
        "description": "Decided at a close against the open at which the position was bought, "
        "and filled at the next open: never at the level itself.",
        **_object(_options(language.STOPS)),
    }
