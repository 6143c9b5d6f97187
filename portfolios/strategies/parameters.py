"""Typed, bounded settings of a strategy: checked, completed with defaults, and drawn as a form."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from portfolios.strategies.errors import Problem, pointer

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting. ``unit`` says what the number counts; ``choices`` are those of a choice."""

    name: str
    type: Literal["integer", "number", "choice"]
    default: int | float | str
    minimum: float | None
    maximum: float | None
    unit: str
    description: str
    choices: tuple[str, ...] = ()

    def problem(self, value: object) -> tuple[str, str] | None:
        """Code and sentence of what is wrong with a value, None when nothing is."""
        if self.type == "choice":
            if isinstance(value, str) and value in self.choices:
                return None
            return "not_a_choice", f"{self.name} must be one of {', '.join(self.choices)}."
        if not _is_number(value, whole=self.type == "integer"):
            kind = "a whole number" if self.type == "integer" else "a number"
            return "wrong_type", f"{self.name} must be {kind}."
        if not self.minimum <= value <= self.maximum:  # type: ignore[operator]  # numbers have both
            limits = f"{self.minimum:g} and {self.maximum:g}"
            return "out_of_range", f"{self.name} must be between {limits}."
        return None

    def plain(self, value: Any) -> Any:
        """The one way to write it: 5 and 5.0 are the same setting."""
        if self.type == "choice":
            return value
        return int(value) if self.type == "integer" else float(value)

    def schema(self) -> dict[str, Any]:
        """As a property of a JSON Schema."""
        described = {"title": self.name.replace("_", " ").capitalize(), "default": self.default,
                     "description": f"{self.description} ({self.unit})" if self.unit
                     else self.description}  # fmt: skip
        if self.type == "choice":
            return {"type": "string", "enum": list(self.choices), **described}
        return {"type": self.type, "minimum": self.minimum, "maximum": self.maximum, **described}


def _is_number(value: object, *, whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(value, int):
        return True
    return math.isfinite(value) and (not whole or value.is_integer())


def whole(
    name: str, default: int, minimum: int, maximum: int, description: str, *, unit: str = "bars"
) -> Parameter:
    return Parameter(name, "integer", default, minimum, maximum, unit, description)


def number(
    name: str, default: float, minimum: float, maximum: float, description: str, *, unit: str
) -> Parameter:
    return Parameter(name, "number", default, minimum, maximum, unit, description)


@dataclass(frozen=True, slots=True)
class Less:
    """A rule between two settings: ``first`` must be less than ``second``."""

    first: str
    second: str

    @property
    def sentence(self) -> str:
        return f"{self.first} must be less than {self.second}."


def problems(
    known: Sequence[Parameter], rules: Sequence[Less], given: object, *, place: str = "/parameters"
) -> tuple[Values, list[Problem]]:
    """All settings, complete with defaults, and everything that is wrong with those given.

    ``place`` is the pointer of the object that has them.
    """
    if not isinstance(given, Mapping):
        return {}, [Problem(place, "wrong_type", "The parameters must be an object.")]
    found = list(_unknown(place, known, given))
    values: Values = {}
    for parameter in known:
        value = given.get(parameter.name, parameter.default)
        if wrong := parameter.problem(value):
            found.append(Problem(place + pointer(parameter.name), *wrong))
        else:
            values[parameter.name] = parameter.plain(value)
    return values, found + list(_between(place, rules, values))


def _unknown(place: str, known: Sequence[Parameter], given: Mapping[Any, Any]) -> Iterator[Problem]:
    names = [parameter.name for parameter in known]
    told = f"There is {', '.join(names)}." if names else "There is none."
    for name in given:
        if name not in names:
            yield Problem(place + pointer(name), "unknown", f"Not known here. {told}")


def _between(place: str, rules: Sequence[Less], values: Values) -> Iterator[Problem]:
    for rule in rules:
        known = rule.first in values and rule.second in values
        if known and values[rule.first] >= values[rule.second]:
            yield Problem(place + pointer(rule.first), "not_less", rule.sentence)
