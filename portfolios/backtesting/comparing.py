"""A run beside what else could have been done: holding the same assets, and what really was."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np

from portfolios.backtesting import results
from portfolios.models import DailyValuation, Scope
from portfolios.returns import performance
from portfolios.returns.performance import Drawdown
from portfolios.strategies import running
from portfolios.strategies.filling import Costs
from portfolios.strategies.market import Market
from portfolios.strategies.running import Definition

_DAY = timedelta(days=1)


def with_holding(market: Market, *, cash: float, costs: Costs) -> tuple[dict[str, Any], list[Any]]:
    """Figures and curve of buying the same assets in equal parts and keeping them, fees paid."""
    held = running.simulate(
        market, Definition("buy_and_hold"), cash=cash, fee=costs.fee, slippage=costs.slippage
    )
    drawn = results.curve(market.at, held.equity, length=market.length)
    return results.summary(held, market), drawn


def with_own_history(
    market: Market, *, user_id: UUID, cash: float
) -> tuple[dict[str, Any], list[Any]]:
    """What the person's whole portfolio did in the same range, without what flowed in and out.

    Days before their first have no return and are not counted; ``days`` says how many were, of
    ``days_asked``. The curve is what ``cash`` would have become. Call inside ``as_user``.
    """
    first = datetime.fromtimestamp(int(market.at[0]), UTC).date()
    last = datetime.fromtimestamp(int(market.at[-1]) + market.length - 1, UTC).date()
    rows = list(
        DailyValuation.objects.filter(
            user_id=user_id, scope=Scope.PORTFOLIO, scope_id=user_id, day__gte=first, day__lte=last
        )
        .order_by("day")
        .values_list("day", "growth", "is_partial")
    )
    growth = performance.returns([row[1] for row in rows])
    risk = performance.risk(growth)
    asked = (last - first).days + 1
    if risk is None:
        return {"days": 0, "days_asked": asked, "status": "no_history"}, []
    known = ~np.isnan(growth)
    days = [row[0] for row in rows]
    partial = any(row[2] for row in rows)
    told = {
        "days": int(known.sum()), "days_asked": asked,
        "status": "partial" if partial or known.sum() < asked else "complete",
        "total_return": results.number(risk.twr), "volatility": results.number(risk.volatility),
        "sharpe": results.number(risk.sharpe), "sortino": results.number(risk.sortino),
        "drawdown": _drawdown(risk.drawdown, days),
    }  # fmt: skip
    began = [_seconds(day) for day, counts in zip(days, known, strict=True) if counts]
    index = cash * np.cumprod(growth[known])
    return told, results.curve(began, index, length=int(_DAY.total_seconds()))


def _drawdown(found: Drawdown, days: list[Any]) -> dict[str, Any]:
    def told(place: int | None) -> str | None:
        if place is None or found.trough < 0:
            return None
        return f"{days[max(place, 0)]}T00:00:00Z"

    return {
        "depth": results.number(found.depth), "peak": told(found.peak),
        "trough": told(found.trough), "recovered": told(found.recovered),
    }  # fmt: skip


def _seconds(day: Any) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
