"""Strategies, signals and backtests as the API tells them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet

from portfolios.models import Backtest, Strategy, StrategySignal, StrategyWatch
from tracker import tenancy

_SUMMARY = (
    "id", "strategy_id", "strategy_name", "kind", "state", "assets", "interval", "since", "until",
    "cash", "fee", "fee_source", "slippage", "error", "message", "created_at", "finished_at",
    "done", "planned",
)  # fmt: skip


def strategies(*, user_id: UUID) -> list[dict[str, Any]]:
    """All strategies of a person by name, with what they watch."""
    with tenancy.as_user(user_id):
        watches = {row.strategy_id: row for row in StrategyWatch.objects.filter(user_id=user_id)}
        rows = Strategy.objects.filter(user_id=user_id).order_by("name")
        return [strategy(row, watches.get(row.id)) for row in rows]


def strategy_of(*, user_id: UUID, row: Strategy) -> dict[str, Any]:
    """One strategy with what it watches."""
    with tenancy.as_user(user_id):
        found = StrategyWatch.objects.filter(user_id=user_id, strategy_id=row.id).first()
        return strategy(row, found)


def strategy(row: Strategy, watch: StrategyWatch | None) -> dict[str, Any]:
    return {
        "id": row.id, "name": row.name, "kind": row.kind, "parameters": row.parameters,
        "rules": row.rules, "watch": watching(watch), "created_at": row.created_at,
        "updated_at": row.updated_at,
    }  # fmt: skip


def watching(row: StrategyWatch | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "assets": row.assets, "interval": row.interval, "judged_through": row.judged_through,
        "wanted": row.wanted, "error": row.error, "since": row.created_at,
    }  # fmt: skip


def signals(*, user_id: UUID) -> QuerySet[Any, Any]:
    """What watching strategies would have done. Call and read inside ``as_user``."""
    return StrategySignal.objects.filter(user_id=user_id).values(
        "id", "asset", "interval", "at", "action", "share_before", "share_wanted", "price",
        strategy_ref=F("strategy_id"), strategy_name=F("strategy__name"), code=F("asset__code"),
    )  # fmt: skip


def signal(row: Mapping[str, Any]) -> dict[str, Any]:
    told = dict(row)
    return {"strategy": told.pop("strategy_ref"), **told}


def summaries(*, user_id: UUID) -> QuerySet[Any, Any]:
    """Backtests without what is large. Call and read inside ``as_user``."""
    return Backtest.objects.filter(user_id=user_id).values(
        *_SUMMARY, strategy_kind=F("definition__kind"),
        total_return=F("result__metrics__total_return"),
    )  # fmt: skip


def summary(row: Mapping[str, Any]) -> dict[str, Any]:
    told = dict(row)
    renamed = {
        "strategy": told.pop("strategy_id"), "from": told.pop("since"), "to": told.pop("until"),
        "progress": {"done": told.pop("done"), "total": told.pop("planned")},
    }  # fmt: skip
    return told | renamed


def backtest(row: Backtest) -> dict[str, Any]:
    """One backtest with everything."""
    result = row.result or {}
    facts = {name: getattr(row, name) for name in _SUMMARY}
    return summary(facts) | {
        "strategy_kind": row.definition["kind"], "definition": row.definition,
        "total_return": result.get("metrics", {}).get("total_return"),
        "options": row.options, "fills_gaps": row.fills_gaps, "result": row.result,
        "details": row.details, "result_hash": row.result_hash,
    }  # fmt: skip
