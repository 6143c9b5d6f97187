"""Reading what is stored of a range of one scope, brought up to now. Nothing is recomputed.

A scope is the portfolio, a connection or an asset. The stretch since the last computation is the
difference to what the home screen shows now; while figures are being computed anew, they are
told as they were computed last.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
from django.db import connection
from django.utils.dateparse import parse_date

from accounts.models import User
from exchanges import connections
from exchanges.models import Asset
from portfolios.models import Scope, Status
from portfolios.returns import day_rows, ranges
from portfolios.returns.attribution import Sums
from portfolios.returns.performance import Floats
from portfolios.returns.ranges import Range
from portfolios.valuing import valuation
from tracker.api import InvalidInput
from tracker.errors import NotFound

_DAY = timedelta(days=1)
_ZERO = Decimal(0)


# --- what is asked ------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Asked:
    """One scope and one range of one person, and how far the scope's days are computed."""

    user: User
    scope: str
    scope_id: UUID
    range: Range
    standing: "Standing"
    now: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a person's figures are computed.

    ``beginning`` is the first day of the scope, ``valued_in`` the currency of what is stored:
    another one than the person's while a change is being computed.
    """

    ledger_revision: int
    derived_revision: int
    valued_through: date | None
    valued_in: str
    sets_prices: bool
    beginning: date | None

    @property
    def updating(self) -> bool:
        return self.ledger_revision > self.derived_revision


_SCOPE_AND_RANGE = {"range", "from", "to", "connection", "asset"}


def asked(
    *, user: User, query: Mapping[str, str], now: datetime, also: Collection[str] = ()
) -> Asked:
    """What a query names: ``range`` or ``from`` and ``to``, ``connection`` or ``asset``.

    ``also`` are further names that the caller reads. Call inside ``as_user``. Raises
    InvalidInput, WrongRange, NotFound.
    """
    for name in sorted(set(query) - _SCOPE_AND_RANGE - set(also)):
        raise InvalidInput.of(name, "This parameter is not known here.", code="unknown_field")
    scope, scope_id = _scope(user, query)
    since, until = _date(query, "from"), _date(query, "to")
    name = query.get("range") or ("custom" if since or until else "ALL")
    if name not in ranges.NAMES:
        raise InvalidInput.of("range", f"Use one of {', '.join(ranges.NAMES)}.")
    standing = _standing(user, scope_id)
    resolved = ranges.resolve(
        name=name, since=since, until=until, zone=ZoneInfo(user.time_zone), now=now,
        beginning=standing.beginning,
    )  # fmt: skip
    return Asked(user, scope, scope_id, resolved, standing, now)


def _scope(user: User, query: Mapping[str, str]) -> tuple[str, UUID]:
    connection_id, asset_id = _id(query, "connection"), _id(query, "asset")
    if connection_id and asset_id:
        raise InvalidInput.of("asset", "Ask for a connection or for an asset, not for both.")
    if connection_id:
        connections.find(user_id=user.id, connection_id=connection_id)
        return Scope.CONNECTION, connection_id
    if asset_id:
        if not Asset.objects.filter(id=asset_id).exists():
            raise NotFound
        return Scope.ASSET, asset_id
    return Scope.PORTFOLIO, user.id


def _id(query: Mapping[str, str], name: str) -> UUID | None:
    text = query.get(name)
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput.of(name, "This is not an id.") from None


def _date(query: Mapping[str, str], name: str) -> date | None:
    text = query.get(name)
    if not text:
        return None
    try:
        found = parse_date(text)
    except ValueError:
        found = None
    if found is None:
        raise InvalidInput.of(name, "Use a date such as 2026-01-31.")
    return found


_STANDING = """
SELECT coalesce(states.ledger_revision, 0), coalesce(states.derived_revision, 0),
       states.valued_through, coalesce(nullif(states.valued_in, ''), %(currency)s),
       EXISTS (SELECT FROM manual_prices WHERE user_id = %(user_id)s),
       (SELECT day FROM daily_valuations WHERE user_id = %(user_id)s AND scope_id = %(scope_id)s
        ORDER BY day LIMIT 1)
FROM (SELECT %(user_id)s::uuid AS user_id) AS person
LEFT JOIN portfolio_states AS states USING (user_id)
"""


def _standing(user: User, scope_id: UUID) -> Standing:
    with connection.cursor() as cursor:
        cursor.execute(
            _STANDING, {"user_id": user.id, "scope_id": scope_id, "currency": user.base_currency}
        )
        return Standing(*cursor.fetchone())


# --- what is stored -----------------------------------------------------------------------------
_SUMMED = tuple(Sums.__dataclass_fields__)
# Figures of a thousand days come as bytes of 64-bit floats, as text they take several times as
# long. Sums stay exact. The ends are the day before the range and the last day that is stored; a
# day without a row of the scope was worth nothing.
_STORED = f"""
WITH days AS (
    SELECT * FROM daily_valuations
    WHERE user_id = %(user_id)s AND scope_id = %(scope_id)s
      AND day > %(opening)s AND day <= %(last)s
    ORDER BY day
),
series AS (
    SELECT string_agg(int4send(day - %(opening)s::date), '') AS days,
           string_agg(float8send(value::float8), '') AS value,
           string_agg(float8send(coalesce(growth, 'NaN')), '') AS growth,
           string_agg(float8send((deposits - withdrawals + traded + corrections)::float8), '')
               AS flows,
           min(day) FILTER (WHERE is_partial) AS first_partial,
           coalesce(max(unpriced), 0) AS unpriced, max(restated_at) AS restated_at,
           {", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in _SUMMED)}
    FROM days
),
settled AS (
    SELECT max(day) AS day FROM daily_valuations
    WHERE user_id = %(user_id)s AND scope_id = %(user_id)s AND day <= %(last)s
)
SELECT settled.day,
       first.value, first.cost, first.value_without_cost, first.restated_at,
       last.value, last.cost, last.value_without_cost, last.restated_at, series.*
FROM series CROSS JOIN settled
LEFT JOIN daily_valuations AS first ON first.user_id = %(user_id)s
    AND first.scope_id = %(scope_id)s AND first.day = %(opening)s
LEFT JOIN daily_valuations AS last ON last.user_id = %(user_id)s
    AND last.scope_id = %(scope_id)s AND last.day = settled.day
"""  # noqa: S608  (names of columns are ours)


@dataclass(frozen=True, slots=True)
class End:
    """What is known of a scope at the end of one day."""

    value: Decimal = _ZERO
    cost: Decimal = _ZERO
    value_without_cost: Decimal = _ZERO
    restated_at: datetime | None = None

    @property
    def unrealized(self) -> Decimal:
        """Value less cost, of units whose cost is known; the others count on neither side."""
        return self.value - self.value_without_cost - self.cost


@dataclass(frozen=True, slots=True)
class Live:
    """What a scope is worth now, as the home screen shows it.

    ``appeared`` is the part of it that had no price when the last day was valued, and ``gone``
    what was counted then and has none any more: neither is a gain or a loss.
    """

    value: Decimal
    appeared: Decimal
    gone: Decimal
    unpriced: int
    is_partial: bool
    is_stale: bool


@dataclass(frozen=True)
class Stored:
    """A range as it is stored, brought up to now where it reaches now."""

    asked: Asked
    days: list[date]
    values: Floats
    growth: Floats
    flows: Floats
    opening: End
    settled: End
    settled_day: date | None
    live: Live | None
    sums: Sums
    first_partial: date | None
    unpriced: int
    restated_at: datetime | None

    @property
    def updating(self) -> bool:
        """Also when the person has just chosen another currency, and no worker knows of it yet."""
        return self.asked.standing.updating or self.currency != self.asked.user.base_currency

    @property
    def currency(self) -> str:
        """What the figures are in."""
        return self.asked.standing.valued_in

    @cached_property
    def closing(self) -> Decimal:
        return self.settled.value if self.live is None else self.live.value

    @property
    def closing_day(self) -> date:
        """The last day that counts: the range's, or the last that is stored."""
        return min(self.settled_day or self.asked.range.last, self.asked.range.last)

    @cached_property
    def unrealized(self) -> Decimal:
        """Now as at the last computation, moved with the value since."""
        found = self.settled.unrealized
        if self.live is None or not self.settled.value:
            return found
        known = 1 - self.settled.value_without_cost / self.settled.value
        earned = self.live.value - self.live.appeared - self.settled.value + self.live.gone
        return day_rows.rounded(found + earned * known)

    @cached_property
    def status(self) -> str:
        live = self.live
        if self.first_partial or self.unpriced or (live and (live.is_partial or live.unpriced)):
            return Status.PARTIAL
        valued_through = self.asked.standing.valued_through
        behind = valued_through is not None and valued_through < min(
            self.asked.range.last, self.asked.now.astimezone(UTC).date() - _DAY
        )
        return Status.STALE if behind or (live and live.is_stale) else Status.COMPLETE

    @cached_property
    def complete_through(self) -> date | None:
        """The last full day up to which nothing in the range is missing."""
        last = min(
            self.asked.range.last, self.asked.standing.valued_through or self.asked.range.last
        )
        if self.first_partial:
            last = min(last, self.first_partial - _DAY)
        return last if self.days and last >= self.asked.range.opening else None


def stored(asked: Asked) -> Stored:
    """Everything that is stored of a range. Call inside ``as_user``."""
    span = asked.range
    parameters: dict[str, UUID | date] = {
        "user_id": asked.user.id, "scope_id": asked.scope_id, "opening": span.opening,
        "last": span.last,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_STORED, parameters)
        settled_day, *row = cursor.fetchone()
    opening, settled, series, said, sums = row[:4], row[4:8], row[8:12], row[12:15], row[15:]
    places, (values, growth, flows) = _integers(series[0]), map(_floats, series[1:])
    found = Stored(
        asked=asked, days=[span.opening + place * _DAY for place in places], values=values,
        growth=growth, flows=flows, opening=_end(opening), settled=_end(settled),
        settled_day=settled_day, live=None, sums=Sums(*sums), first_partial=said[0],
        unpriced=said[1], restated_at=said[2],
    )  # fmt: skip
    if not span.reaches_now or found.updating or settled_day is None:
        return found
    return _up_to_now(found, _live(asked, settled_day))


def _end(figures: Sequence[Any]) -> End:
    return End() if figures[0] is None else End(*figures)


def _integers(sent: bytes | None) -> list[int]:
    return np.frombuffer(sent or b"", dtype=">i4").tolist()


def _floats(sent: bytes | None) -> Floats:
    return np.frombuffer(sent or b"", dtype=">f8").astype(np.float64)


def _up_to_now(found: Stored, live: Live) -> Stored:
    """The last stored day with what has happened to prices since then.

    What got its first price, or lost its last, comes and goes as a correction, as it does in the
    days that are stored.
    """
    kept, before = live.value - live.appeared, found.settled.value - live.gone
    repriced = live.appeared - live.gone
    today = found.asked.now.astimezone(UTC).date()
    days, values, growth, flows = found.days, found.values, found.growth, found.flows
    if not days or days[-1] != today:
        days = [*days, today]
        values, flows = np.append(values, 0.0), np.append(flows, 0.0)
        growth = np.append(growth, np.nan)
    values[-1] = float(live.value)
    flows[-1] += float(repriced)
    if before > 0:
        so_far = 1.0 if np.isnan(growth[-1]) else growth[-1]
        growth[-1] = so_far * float(kept / before)
    sums = replace(
        found.sums, price_effect=found.sums.price_effect + kept - before,
        corrections=found.sums.corrections + repriced,
    )  # fmt: skip
    return replace(
        found, days=days, values=values, growth=growth, flows=flows, sums=sums, live=live
    )


# --- what it is worth now -----------------------------------------------------------------------
# Each asset of a scope: its value now, and what it was worth in the scope when the last day was
# valued, by the scope's share of the units where that is a connection.
_LIVE = """
WITH people AS (SELECT %(user_id)s::uuid AS user_id, %(currency)s::text AS currency),
{valued},
scoped AS (
    SELECT valued.asset_id, valued.status, valued.price, {value} AS value,
           CASE WHEN valued.quantity <> 0 THEN {quantity} / valued.quantity ELSE 0 END AS share
    FROM valued {of}
),
compared AS (
    SELECT scoped.*, stored.value AS before,
           stored.day IS NULL OR stored.unpriced > 0 AS had_none
    FROM scoped LEFT JOIN daily_valuations AS stored ON stored.user_id = %(user_id)s
        AND stored.scope_id = scoped.asset_id AND stored.day = %(settled)s
)
SELECT {total}, coalesce(sums.appeared, 0), coalesce(sums.gone, 0), coalesce(sums.unpriced, 0),
       coalesce(health.partial, false), coalesce(health.stale OR sums.stale, sums.stale, false)
FROM totals LEFT JOIN health USING (user_id)
CROSS JOIN (
    SELECT round(sum(value), 8) AS value,
           round(sum(value) FILTER (WHERE had_none), 8) AS appeared,
           round(sum(before * share) FILTER (WHERE price IS NULL AND NOT had_none), 8) AS gone,
           count(*) FILTER (WHERE status = 'unpriced') AS unpriced,
           bool_or(status = 'stale') AS stale
    FROM compared
) AS sums
"""
_WHOLE = {
    "value": "valued.value", "quantity": "valued.quantity", "total": "totals.total_value", "of": ""
}  # fmt: skip
_SCOPED: dict[str, dict[str, str]] = {
    Scope.PORTFOLIO: _WHOLE,
    Scope.ASSET: _WHOLE | {
        "of": "WHERE valued.asset_id = %(scope_id)s", "total": "coalesce(sums.value, 0)",
    },
    Scope.CONNECTION: {
        "value": "round(held.quantity * valued.price, 18)", "quantity": "held.quantity",
        "total": "coalesce(sums.value, 0)",
        "of": """JOIN (
            SELECT asset_id, sum(quantity) AS quantity FROM holdings
            WHERE user_id = %(user_id)s AND connection_id = %(scope_id)s AND quantity <> 0
            GROUP BY asset_id
        ) AS held USING (asset_id)""",
    },
}  # fmt: skip


def _live(asked: Asked, settled: date) -> Live:
    own = asked.standing.sets_prices
    statement = _LIVE.format(
        valued=valuation.valued(valuation.NOT_LISTED, own=own), **_SCOPED[asked.scope]
    )
    parameters = valuation.freshness(asked.now) | {
        "user_id": asked.user.id, "currency": asked.user.base_currency,
        "scope_id": asked.scope_id, "settled": settled,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return Live(*cursor.fetchone())


# --- a line to draw -----------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Line:
    """One value for each day of a range without a hole, and the return so far."""

    days: list[date]
    values: Floats
    flows: Floats
    twr: Floats


def drawn(found: Stored) -> Line:
    """Every day from the one before the range to its last. A day without a row is nothing."""
    if not found.days:
        return Line([], np.empty(0), np.empty(0), np.empty(0))
    first = found.asked.range.opening
    count = (max(found.days[-1], found.closing_day) - first).days + 1
    places = np.array([(day - first).days for day in found.days])
    values, flows, growth = np.zeros(count), np.zeros(count), np.ones(count)
    values[0] = float(found.opening.value)
    values[places], flows[places] = found.values, found.flows
    growth[places] = np.nan_to_num(found.growth, nan=1.0)
    days = [first + place * _DAY for place in range(count)]
    return Line(days, values, flows, np.cumprod(growth) - 1)


def exact(found: Stored, days: list[date]) -> dict[date, tuple[Decimal, Decimal]]:
    """Value and net flows of some days to the last digit; those without a row are absent."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT day, value, deposits - withdrawals + traded + corrections "
            "FROM daily_valuations WHERE user_id = %s AND scope_id = %s AND day = ANY(%s)",
            [found.asked.user.id, found.asked.scope_id, days],
        )
        rows = {day: (value, flow) for day, value, flow in cursor}
    if found.live is not None:
        today = found.days[-1]
        rows[today] = (found.live.value, rows.get(today, (_ZERO, _ZERO))[1])
    return rows
