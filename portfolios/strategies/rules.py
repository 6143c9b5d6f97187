"""Custom strategies: a small language in JSON, parsed into frozen objects and never evaluated.

    {"enter": {"all": [{"left": {"indicator": "rsi", "bars": 14}, "is": "lt", "right": 30},
                       {"not": {"left": "close", "is": "lt", "right": {"indicator": "sma"}}}]},
     "exit": {"left": {"indicator": "rsi"}, "is": "crosses_above", "right": 70},
     "size": {"fraction": 0.5},
     "stops": {"stop_loss": 8, "max_bars": 60}}

``enter`` and ``exit`` are judged at the close of each bar, for each asset by its own prices, and
each asset has an equal share of the equity. While nothing is held, a bar on which ``enter`` is
true and ``exit`` is not goes in; while something is, ``exit`` or a stop goes out. An operand is
a number, the name of an indicator, or an object with its options. Nothing is decided before all
indicators have their look-back.

A document is bounded in bytes, values and depth (``size_of_rules``), in distinct indicators and
their look-backs, and a run in calculations × bars × assets.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from portfolios.strategies import language, parameters, schema_of_rules, size_of_rules
from portfolios.strategies.errors import Problem, StrategyInvalid, pointer
from portfolios.strategies.parameters import Less, Parameter

MOST_INDICATORS = 20
MOST_WORK = 100_000_000  # calculations × bars × assets


# --- what a document says -----------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Operand:
    """An indicator with all its options, by name. ``pointer`` is where it stands."""

    indicator: str
    options: tuple[tuple[str, Any], ...]
    lag: int
    pointer: str = field(compare=False)

    def option(self, name: str) -> Any:
        return dict(self.options)[name]


@dataclass(frozen=True, slots=True)
class Comparison:
    left: Operand
    how: str
    right: Operand


@dataclass(frozen=True, slots=True)
class Every:
    parts: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Either:
    parts: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    part: "Condition"


Condition = Comparison | Every | Either | Not


@dataclass(frozen=True, slots=True)
class Size:
    """A fraction, or with ``volatility_target`` (a fraction a year) at most ``fraction``."""

    fraction: float
    volatility_target: float | None = None
    window: int = 0


@dataclass(frozen=True, slots=True)
class Stops:
    """Per cent of a price, and bars; None is no such stop."""

    stop_loss: float | None = None
    take_profit: float | None = None
    trailing_stop: float | None = None
    max_bars: int | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """A custom strategy. ``exit`` is None where only stops end a position."""

    enter: Condition
    exit: Condition | None
    size: Size
    stops: Stops

    @property
    def comparisons(self) -> list[Comparison]:
        """All of them, those of ``enter`` first."""
        roots = [self.enter] if self.exit is None else [self.enter, self.exit]
        return [one for root in roots for one in _comparisons(root)]

    @property
    def operands(self) -> list[Operand]:
        return [side for one in self.comparisons for side in (one.left, one.right)]


def _comparisons(condition: Condition) -> Iterator[Comparison]:
    if isinstance(condition, Comparison):
        yield condition
    elif isinstance(condition, Not):
        yield from _comparisons(condition.part)
    else:
        for part in condition.parts:
            yield from _comparisons(part)


# --- checking -----------------------------------------------------------------------------------
def checked(document: object) -> Rules:
    """The rules of a document. Raises StrategyInvalid with the pointer of every problem.

    Pointers begin with ``/rules``. Of a document that is too large or too deep only that is told.
    """
    if excess := size_of_rules.problem(document):
        raise StrategyInvalid([excess])
    reader = _Reader()
    found = reader.rules(document)
    if found is not None and not reader.problems:
        reader.count(found)
    if found is None or reader.problems:
        raise StrategyInvalid(reader.problems)
    return found


def check_work(rules: Rules, *, bars: int, assets: int) -> None:
    """Raises StrategyInvalid when a run would calculate too much."""
    comparisons = rules.comparisons
    work = (len(set(rules.operands)) + len(comparisons)) * bars * assets
    if work > MOST_WORK:
        told = (f"These rules over {bars:,} bars of {assets} assets take {work:,} calculations; "
                f"at most {MOST_WORK:,} are allowed.")  # fmt: skip
        raise StrategyInvalid.at("/rules", "too_costly", told)


class _Reader:
    """Reads one document and gathers what is wrong. What could not be read is None."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def _wrong(self, place: str, code: str, message: str) -> Any:
        """Returns None, which is what was read."""
        self.problems.append(Problem(place, code, message))

    def count(self, rules: Rules) -> None:
        """Too many distinct indicators is told at the first one too many."""
        seen: set[Operand] = set()
        for operand in rules.operands:
            seen |= {operand} if operand.indicator != "constant" else set()
            if len(seen) > MOST_INDICATORS:
                told = f"Rules have at most {MOST_INDICATORS} different indicators."
                return self._wrong(operand.pointer, "too_many", told)
        return None

    # --- the whole ------------------------------------------------------------------------------
    def rules(self, document: object) -> Rules | None:
        if not isinstance(document, dict):
            return self._wrong("/rules", "wrong_type", "Rules must be an object.")
        self._unknown("/rules", document, ("enter", "exit", "size", "stops"))
        enter = self._required(document, "enter", "Rules must say when to enter.")
        leave = self._exit(document)
        size = self._size(document.get("size", {}))
        stops = self._stops(document.get("stops", {}))
        if enter is None or size is None or stops is None:
            return None
        return Rules(enter, leave, size, stops)

    def _required(self, document: Mapping[str, Any], key: str, told: str) -> Condition | None:
        if key in document:
            return self.condition(f"/rules/{key}", document[key])
        return self._wrong(f"/rules/{key}", "missing", told)

    def _exit(self, document: Mapping[str, Any]) -> Condition | None:
        if "exit" not in document and document.get("stops"):
            return None
        return self._required(document, "exit", "Rules must say when to leave: an exit or a stop.")

    def _unknown(self, place: str, given: Mapping[Any, Any], known: Iterable[str]) -> None:
        for key in given:
            if key not in known:
                told = f"Not known here. There is {', '.join(known)}."
                self._wrong(place + pointer(key), "unknown", told)

    # --- conditions -----------------------------------------------------------------------------
    def condition(self, place: str, given: object) -> Condition | None:
        if not isinstance(given, dict):
            return self._wrong(place, "wrong_type", "A condition must be an object.")
        for key, read in (("all", self._every), ("any", self._either), ("not", self._not)):
            if key in given:
                self._unknown(place, given, (key,))
                return read(f"{place}/{key}", given[key])
        if given.keys() & {"left", "is", "right"}:
            return self._comparison(place, given)
        told = "A condition has all, any, not, or left, is and right."
        self._unknown(place, given, ("all", "any", "not", "left", "is", "right"))
        return self._wrong(place, "no_condition", told)

    def _every(self, place: str, given: object) -> Condition | None:
        parts = self._parts(place, given)
        return None if parts is None else Every(parts)

    def _either(self, place: str, given: object) -> Condition | None:
        parts = self._parts(place, given)
        return None if parts is None else Either(parts)

    def _not(self, place: str, given: object) -> Condition | None:
        part = self.condition(place, given)
        return None if part is None else Not(part)

    def _parts(self, place: str, given: object) -> tuple[Condition, ...] | None:
        if not isinstance(given, list) or not given:
            return self._wrong(place, "wrong_type", "Must be a list of at least one condition.")
        parts = [self.condition(f"{place}/{index}", one) for index, one in enumerate(given)]
        return tuple(one for one in parts if one is not None) if None not in parts else None

    def _comparison(self, place: str, given: Mapping[str, Any]) -> Comparison | None:
        self._unknown(place, given, ("left", "is", "right"))
        left, right = (self._side(place, given, side) for side in ("left", "right"))
        how = given.get("is")
        if not isinstance(how, str) or how not in language.COMPARISONS:
            code = "not_a_choice" if "is" in given else "missing"
            told = f"Must be one of {', '.join(language.COMPARISONS)}."
            return self._wrong(f"{place}/is", code, told)
        return None if left is None or right is None else Comparison(left, how, right)

    def _side(self, place: str, given: Mapping[str, Any], side: str) -> Operand | None:
        if side in given:
            return self._operand(f"{place}/{side}", given[side])
        return self._wrong(f"{place}/{side}", "missing", "There must be something to compare.")

    # --- operands -------------------------------------------------------------------------------
    def _operand(self, place: str, given: object) -> Operand | None:
        if isinstance(given, int | float) and not isinstance(given, bool):
            return self._constant(place, given)
        if isinstance(given, str):
            return self._named(place, place, given, {})
        if not isinstance(given, dict):
            told = "Must be a number, the name of an indicator, or an object with its options."
            return self._wrong(place, "wrong_type", told)
        if "indicator" not in given:
            return self._wrong(f"{place}/indicator", "missing", "An indicator must be named.")
        options = {key: value for key, value in given.items() if key != "indicator"}
        return self._named(place, f"{place}/indicator", given["indicator"], options)

    def _constant(self, place: str, value: float) -> Operand | None:
        known = language.INDICATORS["constant"].options[0]
        if wrong := known.problem(value):
            return self._wrong(place, *wrong)
        return Operand("constant", (("value", float(value)),), 0, place)

    def _named(
        self, place: str, name_place: str, name: object, given: dict[Any, Any]
    ) -> Operand | None:
        if not isinstance(name, str) or name not in language.INDICATORS:
            told = f"Must be one of {', '.join(language.INDICATORS)}."
            return self._wrong(name_place, "not_a_choice", told)
        known = language.INDICATORS[name]
        lag = () if name == "constant" else (language.LAG,)
        values = self._options(place, (*known.options, *lag), given, rules=known.rules)
        if values is None:
            return None
        # One thing has one name, so that it is computed and counted once.
        name = "close" if name == "price" else name
        shift = values.pop("lag", 0)
        return Operand(name, tuple(sorted(values.items())), shift, place)

    def _options(
        self, place: str, known: Sequence[Parameter], given: Mapping[Any, Any],
        rules: Sequence[Less] = (),
    ) -> parameters.Values | None:  # fmt: skip
        values, problems = parameters.problems(known, rules, given, place=place)
        self.problems += problems
        return None if problems else values

    # --- size and stops -------------------------------------------------------------------------
    def _size(self, given: object) -> Size | None:
        place = "/rules/size"
        if not isinstance(given, dict):
            return self._wrong(place, "wrong_type", "The size must be an object.")
        if "volatility_target" not in given:
            values = self._options(place, language.FRACTION, given)
            return None if values is None else Size(values["fraction"])
        values = self._options(place, language.BY_VOLATILITY, given)
        if values is None:
            return None
        return Size(values["most"], values["volatility_target"] / 100, values["window"])

    def _stops(self, given: object) -> Stops | None:
        if not isinstance(given, dict):
            return self._wrong("/rules/stops", "wrong_type", "The stops must be an object.")
        values = self._options("/rules/stops", language.STOPS, given)
        if values is None:
            return None
        wanted = {key: value for key, value in values.items() if key in given}
        return Stops(**wanted)


# --- how long it must wait ----------------------------------------------------------------------
def warm_up(rules: Rules) -> int:
    """Bars before the first on whose close all that the rules speak of is known."""
    waits = [rules.size.window]
    for one in rules.comparisons:
        earlier = 1 if one.how in language.CROSSINGS else 0
        waits += [earlier + side.lag + _look_back(side) for side in (one.left, one.right)]
    return max(waits)


def _look_back(operand: Operand) -> int:
    options = dict(operand.options)
    if operand.indicator in ("rsi", "roc", "atr"):
        return int(options["bars"])
    if operand.indicator == "macd":
        return int(options["slow"] + options["signal"] - 2)
    return int(options.get("bars", 1)) - 1


def schema() -> dict[str, Any]:
    """The language as a JSON Schema, for the app's editor."""
    return schema_of_rules.schema()
