"""Performance, series, attribution and allocation as they are told: shapes of answers.

Everything comes from stored daily valuations (``valued_ranges``) and the latest prices. Rates are
fractions as text with eight decimals: ``"0.1"`` is ten per cent. A figure that is not defined is
null and, where the reason is not obvious, has a code beside it.
"""

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from accounts.models import User
from portfolios.models import PortfolioSnapshot, PortfolioState, Scope
from portfolios.returns import attribution, benchmarks, performance, valued_ranges
from portfolios.returns.performance import Drawdown, Rate
from portfolios.returns.valued_ranges import Stored
from portfolios.valuing import valuation
from tracker.api import InvalidInput
from tracker.logs import get_logger

log = get_logger(__name__)
DEFAULT_POINTS, LEAST_POINTS, MOST_POINTS = 200, 10, 2_000
# A snapshot this near to a day's end shows that day's end.
_SHOWN_BEFORE, _SHOWN_AFTER = timedelta(minutes=30), timedelta(hours=2)
_DAY = timedelta(days=1)
_ZERO = Decimal(0)
# Each of ten parts of a day is rounded to eight decimals; what comes to more is no rounding.
_ROUNDING = Decimal("1e-6")
_RATE, _TOO_LARGE_TO_ROUND = Decimal("1e-8"), Decimal(10) ** 15


def read(*, user: User, query: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """Value, flows, profit, returns, risk and comparisons of a range.

    Call inside ``as_user``. Raises InvalidInput, WrongRange, NotFound.
    """
    wanted = query.get("benchmark", "all")
    if wanted not in (*benchmarks.NAMES, "all", "none"):
        names = ", ".join((*benchmarks.NAMES, "all", "none"))
        raise InvalidInput.of("benchmark", f"Use one of {names}.")
    found = valued_ranges.stored(
        valued_ranges.asked(user=user, query=query, now=now, also={"benchmark"})
    )
    risk = performance.risk(found.growth)
    return {
        **_said(found),
        "value": {"opening": found.opening.value, "closing": found.closing},
        "flows": {
            "deposits": found.sums.deposits,
            "withdrawals": found.sums.withdrawals,
            "traded": found.sums.traded,
            "corrections": found.sums.corrections,
            "net": found.sums.net_flows,
        },
        "profit": _profit(found),
        "returns": _returns(found, risk),
        "risk": _risk(found, risk),
        "benchmarks": _compared(found, wanted, risk.twr if risk else None),
    }


def series(*, user: User, query: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """The value at the end of each day, oldest first, thinned without losing an extreme.

    At most ``points`` of them (10 to 2,000; 200 unless told). Call inside ``as_user``. Raises
    InvalidInput, WrongRange, NotFound.
    """
    points = _points(query)
    found = valued_ranges.stored(
        valued_ranges.asked(user=user, query=query, now=now, also={"points"})
    )
    rows = valued_ranges.drawn(found)
    kept = performance.extremes(rows.values, points=points)
    exact = valued_ranges.exact(found, [rows.days[place] for place in kept])
    results = []
    for place in kept:
        day = rows.days[place]
        value, flow = exact.get(day, (_ZERO, _ZERO))
        point = {"day": day, "value": value, "net_flows": flow, "twr": _rate(rows.twr[place])}
        results.append(point)
    return {**_said(found), "results": results}


def explained(*, user: User, query: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """Why the value of a range changed, in parts that add up to the change.

    Call inside ``as_user``. Raises InvalidInput, WrongRange, NotFound.
    """
    found = valued_ranges.stored(valued_ranges.asked(user=user, query=query, now=now))
    _doubt(found)
    shown = _shown(found)
    parts = attribution.explain(
        opening=found.opening.value, closing=found.closing, sums=found.sums,
        shown=shown["value"] if shown else None,
    )  # fmt: skip
    return {
        **_said(found),
        "opening": found.opening.value,
        "closing": found.closing,
        "shown": shown,
        "change": parts.total,
        "parts": {name: getattr(parts, name) for name in parts.__dataclass_fields__},
        "restated_at": found.restated_at,
    }


def _doubt(found: Stored) -> None:
    """Days that do not add up are an error of ours. The answer calls the rest a correction."""
    gap = attribution.unexplained(
        opening=found.opening.value, closing=found.closing, sums=found.sums
    )
    if abs(gap) > _ROUNDING:
        log.error("performance.days_do_not_add_up", scope=found.asked.scope, last=found.closing_day)


# --- parts of answers ---------------------------------------------------------------------------
def _said(found: Stored) -> dict[str, Any]:
    """What every answer says about itself."""
    asked = found.asked
    return {
        "scope": {"kind": asked.scope, "id": asked.scope_id},
        "currency": found.currency,
        "range": {
            "name": asked.range.name,
            "from": asked.range.first,
            "to": asked.range.until,
            "since": _close_of(asked.range.opening),
            "until": None if found.live else _close_of(found.closing_day),
        },
        "status": found.status,
        "unpriced": max(found.unpriced, found.live.unpriced if found.live else 0),
        "complete_through": found.complete_through,
        "updating": found.updating,
    }


def _close_of(day: date) -> datetime:
    """The instant at which a UTC day ends."""
    return datetime.combine(day + _DAY, time(), UTC)


def _profit(found: Stored) -> dict[str, Any]:
    return {
        "total": found.sums.profit,
        "realized": found.sums.realized,
        "unrealized": found.unrealized,
        "unrealized_change": found.unrealized - found.opening.unrealized,
        "income": found.sums.income,
        "fees": found.sums.fees,
        "value_without_cost": found.settled.value_without_cost,
    }


def _returns(found: Stored, risk: performance.Risk | None) -> dict[str, Any]:
    rate = _money_weighted(found)
    total = risk.twr if risk else None
    days = found.asked.range.days
    yearly = None if total is None else performance.annualised(total, days=days)
    return {
        "twr": _rate(total),
        "twr_annualised": _rate(yearly),
        "xirr": _rate(rate.value),
        "xirr_code": rate.code or None,
    }


def _money_weighted(found: Stored) -> Rate:
    """What was there at the beginning was put in, what is there at the end is taken out."""
    opening_day = found.asked.range.opening + _DAY
    end = found.asked.now.date() if found.live else found.closing_day + _DAY
    days, amounts = [opening_day], [-float(found.opening.value)]
    for day, flow in zip(found.days, found.flows, strict=True):
        if flow:
            days.append(day)
            amounts.append(-float(flow))
    return performance.money_weighted([*days, end], [*amounts, float(found.closing)])


def _risk(found: Stored, risk: performance.Risk | None) -> dict[str, Any] | None:
    if risk is None:
        return None
    return {
        "volatility": _rate(risk.volatility),
        "sharpe": _rate(risk.sharpe),
        "sortino": _rate(risk.sortino),
        "max_drawdown": _drawdown(found, risk.drawdown),
        "best_day": _day(found, risk.best),
        "worst_day": _day(found, risk.worst),
    }


def _drawdown(found: Stored, drawdown: Drawdown) -> dict[str, Any] | None:
    if drawdown.trough < 0:
        return None
    recovered = drawdown.recovered
    return {
        "depth": _rate(drawdown.depth),
        "peak": found.days[drawdown.peak] if drawdown.peak >= 0 else found.asked.range.opening,
        "trough": found.days[drawdown.trough],
        "recovered": None if recovered is None else found.days[recovered],
    }


def _day(found: Stored, place: int) -> dict[str, Any]:
    return {"day": found.days[place], "return": _rate(float(found.growth[place]) - 1)}


def _compared(found: Stored, wanted: str, twr: float | None) -> dict[str, Any]:
    """Each benchmark's return, and how much better (+) or worse the scope did."""
    if wanted == "none" or not found.days:
        return {}
    answer: dict[str, Any] = {}
    if wanted != "held":
        for name, rate in benchmarks.coins(found).items():
            if wanted in ("all", name):
                excess = None if twr is None or rate is None else twr - rate
                answer[name] = {"return": _rate(rate), "excess": _rate(excess)}
    if wanted in ("all", "held") and found.asked.scope == Scope.PORTFOLIO:
        value = benchmarks.held(found).value
        better = None if value is None else found.closing - value
        answer["held"] = {"value": value, "difference": better}
    return answer


def _rate(rate: float | None) -> Decimal | None:
    """With eight decimals; so large a number has none of them right."""
    if rate is None or not math.isfinite(rate):
        return None
    exact = Decimal(repr(float(rate)))
    return exact if abs(exact) >= _TOO_LARGE_TO_ROUND else exact.quantize(_RATE)


def _points(query: Mapping[str, str]) -> int:
    text = query.get("points", str(DEFAULT_POINTS))
    if (
        not text.isascii()
        or not text.isdigit()
        or not (LEAST_POINTS <= int(text[:9]) <= MOST_POINTS)
    ):
        raise InvalidInput.of("points", f"Use a number from {LEAST_POINTS} to {MOST_POINTS}.")
    return int(text)


def _shown(found: Stored) -> dict[str, Any] | None:
    """What a snapshot showed at the beginning, where late data has restated that day since.

    A snapshot is never restated. It shows the portfolio only, in the currency of its time.
    """
    restated_at = found.opening.restated_at
    if found.asked.scope != Scope.PORTFOLIO or restated_at is None:
        return None
    end = _close_of(found.asked.range.opening)
    snapshots = PortfolioSnapshot.objects.filter(
        user_id=found.asked.user.id, currency=found.currency,
        total_value__isnull=False, taken_at__gte=end - _SHOWN_BEFORE,
        taken_at__lte=end + _SHOWN_AFTER, taken_at__lt=restated_at,
    )  # fmt: skip
    rows = snapshots.values_list("taken_at", "total_value")
    nearest = min(rows, key=lambda row: abs(row[0] - end), default=None)
    return None if nearest is None else {"taken_at": nearest[0], "value": nearest[1]}


# --- allocation ---------------------------------------------------------------------------------
_BY_ASSET = f"""
WITH people AS (SELECT %(user_id)s::uuid AS user_id, %(currency)s::text AS currency),
{valuation.valued(valuation.NOT_LISTED)}
SELECT holdings.connection_id, valued.asset_id, valued.code, sum(holdings.quantity),
       round(sum(round(holdings.quantity * valued.price, 18)), 8), valued.status,
       round(valued.value, 8), totals.total_value, totals.status
FROM totals
LEFT JOIN holdings ON holdings.user_id = totals.user_id AND holdings.quantity <> 0
LEFT JOIN valued ON valued.asset_id = holdings.asset_id
GROUP BY holdings.connection_id, valued.asset_id, valued.code, valued.status, valued.value,
    totals.total_value, totals.status
"""  # noqa: S608  (both parts are ours)


def allocation(*, user: User, query: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """What the portfolio is made of now: shares by asset and by connection, concentration.

    Call inside ``as_user``. Raises InvalidInput.
    """
    for name in sorted(query):
        raise InvalidInput.of(name, "This parameter is not known here.", code="unknown_field")
    parameters = valuation.freshness(now) | {"user_id": user.id, "currency": user.base_currency}
    with connection.cursor() as cursor:
        cursor.execute(_BY_ASSET, parameters)
        rows = cursor.fetchall()
    total, status = rows[0][-2:]
    held = [row for row in rows if row[1] is not None]
    assets, by_connection = _by_asset(held), _by_connection(held)
    index = performance.concentration([item["value"] or _ZERO for item in assets])
    return {
        "total_value": total,
        "currency": user.base_currency,
        "status": status,
        "updating": _updating(user.id),
        "assets": _shares(assets, total),
        "connections": _shares(by_connection, total),
        "concentration": {
            "hhi": None if index is None else index.quantize(_RATE),
            "effective_assets": None if index is None else (1 / index).quantize(Decimal("0.01")),
        },
    }


def _by_asset(rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    found: dict[UUID, dict[str, Any]] = {}
    for _, asset_id, code, quantity, _, status, value, *_ in rows:
        item = found.setdefault(
            asset_id,
            {"asset": asset_id, "code": code, "quantity": _ZERO, "value": value, "status": status},
        )
        item["quantity"] += quantity
    return list(found.values())


def _by_connection(rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    found: dict[UUID, dict[str, Any]] = {}
    for connection_id, _, _, _, value, *_ in rows:
        item = found.setdefault(
            connection_id, {"connection": connection_id, "value": _ZERO, "unpriced": 0}
        )
        item["value"] += value or _ZERO
        item["unpriced"] += value is None
    return list(found.values())


def _shares(items: list[dict[str, Any]], total: Decimal) -> list[dict[str, Any]]:
    """The greatest first; what has no value has no share."""
    for item in items:
        value = item["value"]
        known = value is not None and total > 0
        item["share"] = (value / total).quantize(_RATE) if known else None
    return sorted(items, key=lambda item: -(item["value"] or _ZERO))


def _updating(user_id: UUID) -> bool:
    state = PortfolioState.objects.filter(user_id=user_id).values_list(
        "ledger_revision", "derived_revision"
    )
    wanted, reached = state.first() or (0, 0)
    return wanted > reached
