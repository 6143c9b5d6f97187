"""What portfolios are worth and how far they fell, of many people in one statement.

Only a figure that is complete and fresh says anything: what cannot be read or priced just now is
missing, which is no fall.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from portfolios.alerting import conditions
from portfolios.valuing import valuation


class Figure(NamedTuple):
    """A watched figure as it stands; ``value`` is None where nothing is known."""

    value: Decimal | None
    as_of: datetime | None
    status: str


UNKNOWN = Figure(None, None, "unpriced")

# Nobody is worth nothing for want of anything that is known about them: a holding that has gone to
# zero stands there still.
_WORTH = f"""
WITH people AS MATERIALIZED (
    SELECT unnest(%(user_ids)s::uuid[]) AS user_id, %(currency)s::text AS currency
),
{valuation.valued(valuation.NOT_LISTED)}
SELECT totals.user_id, totals.total_value, totals.status
FROM totals
WHERE EXISTS (SELECT FROM holdings WHERE holdings.user_id = totals.user_id)
  AND abs(totals.total_value) < 99999999999999999999
"""  # noqa: S608  (both parts are ours)


def totals(user_ids: Collection[UUID], *, currency: str, now: datetime) -> dict[UUID, Figure]:
    """What each person's holdings are worth now. Who never held anything is absent; an account that
    was emptied is worth nothing, and that is known."""
    parameters = valuation.freshness(now) | {"user_ids": list(user_ids), "currency": currency}
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64MB'; SET LOCAL jit = off")
        cursor.execute(_WORTH, parameters)
        return {
            user_id: Figure(total, now, status) if total is not None else UNKNOWN
            for user_id, total, status in cursor.fetchall()
        }


# Growth is linked at each flow, so a deposit or a withdrawal is none. The last stored day is as of
# its computation; from there on only prices have moved, unless the books are behind (then nothing
# is said). A day that was partial makes the fall partial.
_GROWTH = f"""
WITH people AS MATERIALIZED (
    SELECT users.id AS user_id, users.base_currency::text AS currency
    FROM users JOIN portfolio_states AS states ON states.user_id = users.id
    WHERE users.id = ANY(%(user_ids)s) AND states.valued_in = users.base_currency
      AND states.ledger_revision = states.derived_revision
),
{valuation.valued(valuation.NOT_LISTED)},
wanted AS (
    SELECT DISTINCT * FROM unnest(%(user_ids)s::uuid[], %(since)s::date[]) AS w (user_id, since)
)
SELECT wanted.user_id, wanted.since, totals.total_value, totals.status,
       array_agg(days.growth ORDER BY days.day) AS growth,
       (array_agg(days.value ORDER BY days.day DESC))[1] AS settled,
       bool_or(days.is_partial OR days.unpriced > 0) AS partial,
       max(days.day) AS last
FROM wanted
JOIN totals USING (user_id)
JOIN sums USING (user_id)
JOIN daily_valuations AS days ON days.user_id = wanted.user_id
    AND days.scope_id = wanted.user_id AND days.day > wanted.since
GROUP BY wanted.user_id, wanted.since, totals.total_value, totals.status
"""  # noqa: S608
Fall = tuple[UUID, timedelta]


def falls(wanted: Collection[Fall], *, now: datetime) -> dict[Fall, Figure]:
    """How far each person stands below the highest of their window, in percent.

    By the time-weighted index in the base currency: closed days, and the running one up to now.
    """
    asked = list(wanted)
    today = now.astimezone(UTC).date()
    since = {fall: today - fall[1] for fall in asked}
    parameters = valuation.freshness(now) | {
        "user_ids": [user_id for user_id, _ in asked], "since": [since[fall] for fall in asked],
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64MB'; SET LOCAL jit = off")
        cursor.execute(_GROWTH, parameters)
        found = {row[:2]: _fall(row, now) for row in cursor.fetchall()}
    return {fall: found[fall[0], since[fall]] for fall in asked if (fall[0], since[fall]) in found}


def _fall(row: Any, now: datetime) -> Figure:
    _, _, total, status, growth, settled, partial, last = row
    if total is None or settled is None or settled <= 0:
        return UNKNOWN
    if now.astimezone(UTC).date() - last > timedelta(days=1):
        status = "stale" if status == "complete" else status  # yesterday is not valued yet
    since_then = float(total / settled)
    fallen = conditions.drawdown([*growth, since_then])
    return Figure(fallen, now, "partial" if partial else status)
