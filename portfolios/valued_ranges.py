"""Reading what is stored of a range of one scope, brought up to now. Nothing is recomputed.

A scope is the portfolio, a connection or an asset. The stretch since the last computation is the
difference to what the home screen shows now; while figures are being computed anew, they are
told as they were computed last.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
from django.db import connection
from django.utils.dateparse import parse_date

from accounts.models import User
from exchanges import connections
from exchanges.models import Asset
from portfolios import performance, ranges, valuation
from portfolios.attribution import Sums
from portfolios.models import PortfolioState, Scope, Status
from portfolios.performance import Floats
from portfolios.ranges import Range
from tracker.api import InvalidInput
from tracker.errors import NotFound

_DAY = timedelta(days=1)
_ZERO = Decimal(0)


# --- what is asked ------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Asked:
    """One scope and one range of one person."""

    user: User
    scope: str
    scope_id: UUID
    range: Range
    now: datetime


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
    resolved = ranges.resolve(
        name=name, since=since, until=until, zone=ZoneInfo(user.time_zone), now=now,
        beginning=_beginning(user.id, scope_id),
    )  # fmt: skip
    return Asked(user, scope, scope_id, resolved, now)


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


def _beginning(user_id: UUID, scope_id: UUID) -> date | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT day FROM daily_valuations WHERE user_id = %s AND scope_id = %s "
            "ORDER BY day LIMIT 1",
            [user_id, scope_id],
        )
        return next((row[0] for row in cursor), None)


# --- what is stored -----------------------------------------------------------------------------
_SUMMED = tuple(Sums.__dataclass_fields__)
_SERIES = f"""
SELECT array_agg(day ORDER BY day), array_agg(value::float8 ORDER BY day),
       array_agg(growth ORDER BY day),
       array_agg((deposits - withdrawals + traded + corrections)::float8 ORDER BY day),
       min(day) FILTER (WHERE is_partial), coalesce(max(unpriced), 0), max(restated_at),
       {", ".join(f"coalesce(sum({name}), 0)" for name in _SUMMED)}
FROM daily_valuations
WHERE user_id = %(user_id)s AND scope_id = %(scope_id)s
  AND day > %(opening)s AND day <= %(last)s
"""  # noqa: S608  (names of columns are ours)

# The day before the range, and the last day that is stored. A day without a row of the scope was
# worth nothing.
_ENDS = """
WITH stored AS (
    SELECT max(day) AS day FROM daily_valuations
    WHERE user_id = %(user_id)s AND scope_id = %(user_id)s AND day <= %(last)s
)
SELECT stored.day, rows.day, rows.value, rows.cost, rows.value_without_cost, rows.restated_at
FROM stored LEFT JOIN daily_valuations AS rows
    ON rows.user_id = %(user_id)s AND rows.scope_id = %(scope_id)s
    AND rows.day IN (%(opening)s, stored.day)
"""


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
    """What a scope is worth now, as the home screen shows it."""

    value: Decimal
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
    updating: bool
    valued_through: date | None

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
        return found + (self.live.value - self.settled.value) * known

    @cached_property
    def status(self) -> str:
        live = self.live
        if self.first_partial or self.unpriced or (live and (live.is_partial or live.unpriced)):
            return Status.PARTIAL
        behind = self.valued_through is not None and self.valued_through < min(
            self.asked.range.last, self.asked.now.astimezone(UTC).date() - _DAY
        )
        return Status.STALE if behind or (live and live.is_stale) else Status.COMPLETE

    @cached_property
    def complete_through(self) -> date | None:
        """The last full day up to which nothing in the range is missing."""
        last = min(self.asked.range.last, self.valued_through or self.asked.range.last)
        if self.first_partial:
            last = min(last, self.first_partial - _DAY)
        return last if self.days and last >= self.asked.range.opening else None


def stored(asked: Asked) -> Stored:
    """Everything that is stored of a range. Call inside ``as_user``."""
    span = asked.range
    state = PortfolioState.objects.filter(user_id=asked.user.id).values_list(
        "ledger_revision", "derived_revision", "valued_through"
    )
    wanted, reached, valued_through = state.first() or (0, 0, None)
    parameters: dict[str, UUID | date] = {
        "user_id": asked.user.id, "scope_id": asked.scope_id, "opening": span.opening,
        "last": span.last,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_SERIES, parameters)
        days, values, growth, flows, partial, unpriced, restated_at, *sums = cursor.fetchone()
        cursor.execute(_ENDS, parameters)
        ends = cursor.fetchall()
    known = {day: End(*figures) for _, day, *figures in ends if day is not None}
    settled_day = ends[0][0]
    found = Stored(
        asked=asked, days=days or [], values=np.array(values or [], dtype=np.float64),
        growth=performance.returns(growth or []), flows=np.array(flows or [], dtype=np.float64),
        opening=known.get(span.opening, End()), settled=known.get(settled_day, End()),
        settled_day=settled_day, live=None, sums=Sums(*sums), first_partial=partial,
        unpriced=unpriced, restated_at=restated_at, updating=wanted > reached,
        valued_through=valued_through,
    )  # fmt: skip
    if not span.reaches_now or found.updating or settled_day is None:
        return found
    return _up_to_now(found, _live(asked))


def _up_to_now(found: Stored, live: Live) -> Stored:
    """The last stored day with what has happened to prices since then."""
    since = live.value - found.settled.value
    today = found.asked.now.astimezone(UTC).date()
    days, values, growth, flows = found.days, found.values, found.growth, found.flows
    if not days or days[-1] != today:
        days = [*days, today]
        values, flows = np.append(values, 0.0), np.append(flows, 0.0)
        growth = np.append(growth, np.nan)
    values[-1] = float(live.value)
    if found.settled.value > 0:
        so_far = 1.0 if np.isnan(growth[-1]) else growth[-1]
        growth[-1] = so_far * float(live.value / found.settled.value)
    sums = replace(found.sums, price_effect=found.sums.price_effect + since)
    return replace(
        found, days=days, values=values, growth=growth, flows=flows, sums=sums, live=live
    )


# --- what it is worth now -----------------------------------------------------------------------
_LIVE = f"""
WITH people AS (SELECT %(user_id)s::uuid AS user_id, %(currency)s::text AS currency),
{valuation.valued(valuation.NOT_LISTED)}
SELECT {{value}}, {{unpriced}}, coalesce(health.partial, false),
       coalesce(health.stale, false) OR {{stale}}
FROM people LEFT JOIN health USING (user_id)
"""  # noqa: S608  (all parts are ours)

_VALUES = """(SELECT coalesce(round(sum(round(holdings.quantity * valued.price, 18)), 8), 0)
    FROM holdings JOIN valued USING (asset_id) WHERE {of})"""
_UNPRICED = """(SELECT count(DISTINCT valued.asset_id) FROM holdings JOIN valued USING (asset_id)
    WHERE {of} AND valued.status = 'unpriced')"""
_STALE = """EXISTS (SELECT FROM holdings JOIN valued USING (asset_id)
    WHERE {of} AND valued.status = 'stale')"""
_OF = "holdings.user_id = %(user_id)s AND holdings.quantity <> 0"
_SCOPED = {
    Scope.PORTFOLIO: _OF,
    Scope.CONNECTION: f"{_OF} AND holdings.connection_id = %(scope_id)s",
    Scope.ASSET: f"{_OF} AND holdings.asset_id = %(scope_id)s",
}


def _live(asked: Asked) -> Live:
    of = _SCOPED[Scope(asked.scope)]
    statement = _LIVE.format(
        value=_VALUES.format(of=of), unpriced=_UNPRICED.format(of=of), stale=_STALE.format(of=of)
    )
    parameters = valuation.freshness(asked.now) | {
        "user_id": asked.user.id, "currency": asked.user.base_currency,
        "scope_id": asked.scope_id,
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
