"""From what a person sent, or what is stored, to a strategy that runs and that they may use."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from itertools import islice
from typing import Any

from billing.entitlements import Entitlements
from portfolios.strategies import catalogue, schema_of_rules
from portfolios.strategies.catalogue import BuiltIn
from portfolios.strategies.errors import StrategyInvalid
from portfolios.strategies.running import CUSTOM, Definition
from tracker.api import InvalidInput
from tracker.errors import DomainError


class StrategyNotInPlan(DomainError):
    code = "strategy_not_in_plan"
    status = 403
    message = "Your plan does not include this strategy."


class CustomNotInPlan(DomainError):
    code = "custom_strategies_not_in_plan"
    status = 403
    message = "Your plan does not include strategies of your own rules."


def checked(
    *, kind: str, parameters: Mapping[str, Any], rules: Mapping[str, Any] | None,
    granted: Entitlements,
) -> Definition:  # fmt: skip
    """A strategy that can run, complete with defaults.

    Raises InvalidInput with the place of every problem, StrategyNotInPlan, CustomNotInPlan.
    """
    definition = Definition(kind, plain(parameters), None if rules is None else plain(rules))
    with refusing():
        found = definition.checked()
    check_plan(found.kind, granted)
    return found


def stored(definition: Mapping[str, Any]) -> Definition:
    """What ``told`` made, as it was stored."""
    return Definition(
        definition["kind"], definition.get("parameters") or {}, definition.get("rules")
    )


def told(definition: Definition) -> dict[str, Any]:
    """As it is stored and shown."""
    return {
        "kind": definition.kind, "parameters": dict(definition.parameters),
        "rules": definition.rules,
    }  # fmt: skip


@contextmanager
def refusing() -> Iterator[None]:
    """Whatever is wrong with a strategy, as an answer that names every place."""
    try:
        yield
    except StrategyInvalid as error:
        raise refused(error) from None


def refused(error: StrategyInvalid) -> InvalidInput:
    """Pointers as the fields of an answer: ``/parameters/fast`` is ``parameters.fast``."""
    fields = [
        {
            "field": ".".join(part for part in one.pointer.split("/") if part),
            "pointer": one.pointer, "code": one.code, "message": one.message,
        }
        for one in error.problems
    ]  # fmt: skip
    return InvalidInput(details={"fields": fields})


def plain(value: Any) -> Any:
    """JSON as the pure core wants it: requests bring their fractions as Decimal."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


# --- what a plan includes -----------------------------------------------------------------------
def included(granted: Entitlements) -> frozenset[str]:
    """The built-in strategies of a plan: the first so many of the catalogue, or all."""
    return frozenset(islice(catalogue.CATALOGUE, granted.plan.strategies))


def check_plan(kind: str, granted: Entitlements) -> None:
    """Raises StrategyNotInPlan, CustomNotInPlan."""
    if kind == CUSTOM:
        if not granted.plan.custom_strategies:
            raise CustomNotInPlan
    elif kind not in included(granted):
        raise StrategyNotInPlan


def offered(granted: Entitlements) -> dict[str, Any]:
    """The catalogue with the forms of its strategies, and the language of own rules."""
    mine = included(granted)
    return {
        "results": [_shown(one, one.key in mine) for one in catalogue.CATALOGUE.values()],
        "custom": {"schema": schema_of_rules.schema(), "included": granted.plan.custom_strategies},
    }


def _shown(one: BuiltIn, is_included: bool) -> dict[str, Any]:
    return {
        "key": one.key, "name": one.name, "description": one.description, "source": one.source,
        "fewest_assets": one.fewest_assets, "most_assets": one.most_assets,
        "schema": catalogue.schema(one.key), "included": is_included,
    }  # fmt: skip
