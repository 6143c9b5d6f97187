"""Strategies as people keep them: create, change, remove."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.models import User
from audit import log as activity
from audit.actions import Action
from billing import entitlements
from portfolios.backtesting import definitions
from portfolios.models import Strategy
from tracker import ids, tenancy
from tracker.api import InvalidInput
from tracker.errors import DomainError, NotFound

MOST = 100


class StrategiesFull(DomainError):
    code = "strategies_full"
    status = 409
    message = "You keep as many strategies as there can be. Please remove one first."


def create(
    *, user: User, name: str, kind: str, parameters: Mapping[str, Any],
    rules: Mapping[str, Any] | None, now: datetime,
) -> Strategy:  # fmt: skip
    """Keep a strategy. Raises InvalidInput, StrategyNotInPlan, CustomNotInPlan, StrategiesFull."""
    definition = definitions.checked(
        kind=kind, parameters=parameters, rules=rules, granted=entitlements.for_user(user)
    )
    row = Strategy(
        id=ids.new_id(), user_id=user.id, name=name, created_at=now, updated_at=now,
        **definitions.told(definition),
    )  # fmt: skip
    with tenancy.as_user(user.id):
        _in_turn(user.id)
        if Strategy.objects.filter(user_id=user.id).count() >= MOST:
            raise StrategiesFull
        _check_name(row)
        row.save(force_insert=True)
        _record(Action.STRATEGY_CREATED, row)
    return row


def change(*, user: User, strategy_id: UUID, changes: Mapping[str, Any], now: datetime) -> Strategy:
    """Change name, parameters or rules; the kind stays. Raises as ``create`` does, and NotFound."""
    with tenancy.as_user(user.id):
        _in_turn(user.id)
        row = find(user_id=user.id, strategy_id=strategy_id)
        definition = definitions.checked(
            kind=row.kind, parameters=changes.get("parameters", row.parameters),
            rules=changes.get("rules", row.rules), granted=entitlements.for_user(user),
        )  # fmt: skip
        row.name = changes.get("name", row.name)
        row.parameters, row.rules = dict(definition.parameters), definition.rules
        row.updated_at = now
        _check_name(row)
        row.save()
        _record(Action.STRATEGY_CHANGED, row)
    return row


def remove(*, user_id: UUID, strategy_id: UUID) -> None:
    """Forget a strategy with its watch and signals; backtests of it stay. Raises NotFound."""
    with tenancy.as_user(user_id):
        row = find(user_id=user_id, strategy_id=strategy_id)
        _record(Action.STRATEGY_REMOVED, row)
        row.delete()


def find(*, user_id: UUID, strategy_id: UUID) -> Strategy:
    """One strategy. Call inside ``as_user``. Raises NotFound."""
    row = Strategy.objects.filter(user_id=user_id, id=strategy_id).first()
    if row is None:
        raise NotFound
    return row


def _in_turn(user_id: UUID) -> None:
    """Changes of one person happen one after the other."""
    User.objects.select_for_update(no_key=True).get(id=user_id)


def _check_name(row: Strategy) -> None:
    namesakes = Strategy.objects.filter(user_id=row.user_id, name=row.name).exclude(id=row.id)
    if namesakes.exists():
        raise InvalidInput.of("name", "You have a strategy of this name.", code="unique")


def _record(action: Action, row: Strategy) -> None:
    activity.record(action, user_id=row.user_id, strategy_id=str(row.id), kind=row.kind)
