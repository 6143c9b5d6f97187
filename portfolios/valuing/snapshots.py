"""Snapshots: the portfolio as it was shown at an instant, for everybody due in one statement."""

from datetime import datetime
from uuid import UUID

from django.db import connection

from billing import entitlements, plans
from portfolios.models import PortfolioState
from portfolios.valuing import valuation
from tracker import tenancy

# Picks who is due and sets when they are due next in the same statement, so that two beats at
# once take one snapshot. The next time is the next full step of the plan's cadence in UTC.
_TAKE_DUE = f"""
WITH cadence AS (
    SELECT * FROM unnest(%(tiers)s::text[], %(seconds)s::int[]) AS cadence (tier, seconds)
),
due AS (
    SELECT states.user_id, coalesce(cadence.seconds, %(default_seconds)s) AS seconds
    FROM portfolio_states AS states
    JOIN users ON users.id = states.user_id AND users.is_active
    LEFT JOIN billing_accounts b ON b.user_id = states.user_id
    LEFT JOIN cadence ON cadence.tier = {entitlements.TIER}
    WHERE states.next_snapshot_at <= %(now)s
    FOR UPDATE OF states SKIP LOCKED
),
moved AS (
    UPDATE portfolio_states AS states SET next_snapshot_at =
        date_bin(make_interval(secs => due.seconds), %(now)s, '2000-01-01 00:00+00')
        + make_interval(secs => due.seconds)
    FROM due WHERE states.user_id = due.user_id
    RETURNING states.user_id
),
people AS MATERIALIZED (
    SELECT users.id AS user_id, users.base_currency::text AS currency
    FROM users JOIN moved ON moved.user_id = users.id
),
{valuation.valued(valuation.LISTED)}
INSERT INTO portfolio_snapshots
    (id, user_id, taken_at, total_value, currency, status, snapshot_data)
SELECT gen_random_uuid(), totals.user_id, %(now)s,
       -- Of one person only, where each value fits and their sum does not.
       CASE WHEN abs(totals.total_value) < 99999999999999999999 THEN totals.total_value END,
       totals.currency,
       CASE WHEN abs(totals.total_value) < 99999999999999999999 THEN totals.status
            ELSE 'partial' END,
       jsonb_build_object('holdings', coalesce(totals.holdings, '[]'::jsonb))
FROM totals
"""  # noqa: S608  (both parts are ours)


def take_due(*, now: datetime) -> int:
    """Take the snapshots of all who are due; returns how many. One statement, safe to repeat."""
    table = plans.table()
    seconds = {tier: int(plan.snapshot_every.total_seconds()) for tier, plan in table.items()}
    parameters = valuation.freshness(now) | {
        "now": now,
        "tiers": list(seconds),
        "seconds": list(seconds.values()),
        "default_seconds": seconds[plans.DEFAULT_TIER],
    }
    with tenancy.as_system("take snapshots"), connection.cursor() as cursor:
        # For this transaction only: adding up a whole fleet in the default 4 MB goes to disk, and
        # compiling the statement costs more than it saves.
        cursor.execute("SET LOCAL work_mem = '128MB'; SET LOCAL jit = off")
        cursor.execute(_TAKE_DUE, parameters)
        return cursor.rowcount


def look_now(*, user_id: UUID, now: datetime) -> None:
    """The next snapshot of a person is due. Call inside ``as_user``."""
    PortfolioState.objects.filter(user_id=user_id, next_snapshot_at__gt=now).update(
        next_snapshot_at=now
    )
