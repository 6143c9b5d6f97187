"""What the revenue page of the admin shows, from the subscriptions. Call in ``as_system``.

Monthly recurring revenue (MRR) is what the subscriptions that run on a day are worth a month;
trials and those whose payment went back are worth nothing. Churn of a month is the share of those
that ran at its beginning and ended within it. Conversion is the share of those who signed up in a
week who have ever paid.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from django.contrib.auth import get_user_model
from django.db import connection

from billing import plans

_PAID = "status NOT IN ('incomplete', 'incomplete_expired') AND withdrawn = ''"
# From the end of a trial on; a subscription without one from its start.
_FROM = "greatest(started_at, coalesce(trial_end, started_at))"

_RECURRING = f"""
WITH steps AS (
    SELECT ({_FROM} AT TIME ZONE 'UTC')::date AS day, price AS step
    FROM subscriptions WHERE {_PAID} AND currency = %(currency)s
      AND (ended_at IS NULL OR ended_at > {_FROM})
    UNION ALL
    SELECT (ended_at AT TIME ZONE 'UTC')::date, -price
    FROM subscriptions WHERE {_PAID} AND currency = %(currency)s AND ended_at > {_FROM}
),
sums AS (SELECT day, sum(sum(step)) OVER (ORDER BY day) AS total FROM steps GROUP BY day)
SELECT coalesce((SELECT total FROM sums WHERE sums.day <= days.day::date
                 ORDER BY sums.day DESC LIMIT 1), 0)
FROM generate_series(%(first)s::date, %(last)s::date, '1 day') AS days (day) ORDER BY days.day
"""  # noqa: S608  (fixed text)

_CHURN = f"""
SELECT month::date,
       count(*) FILTER (WHERE started_at < month AND (ended_at IS NULL OR ended_at >= month)),
       count(*) FILTER (WHERE started_at < month AND ended_at >= month
                        AND ended_at < month + interval '1 month')
FROM generate_series(%(first)s::timestamptz, %(last)s::timestamptz, '1 month') AS months (month)
LEFT JOIN subscriptions ON {_PAID}
GROUP BY month ORDER BY month
"""  # noqa: S608  (fixed text)

_CONVERSION = """
SELECT date_trunc('week', people.created_at AT TIME ZONE 'UTC')::date AS week, count(*),
       count(*) FILTER (WHERE EXISTS (
           SELECT FROM invoices WHERE invoices.user_id = people.id AND invoices.paid > 0))
FROM {users} AS people WHERE people.created_at >= %(first)s
GROUP BY week ORDER BY week
"""

_ON_PLANS = """
SELECT subscription_tier, count(*) FROM {users} WHERE is_active GROUP BY 1 ORDER BY 2 DESC, 1
"""

_CALLS = """
SELECT coalesce(sum(calls), 0)::bigint
FROM generate_series(%(first)s::date, %(last)s::date, '1 day') AS days (day)
LEFT JOIN usage_days ON usage_days.day = days.day::date
GROUP BY days.day ORDER BY days.day
"""

_GROUPS = """
SELECT endpoint_group, sum(calls)::bigint, count(DISTINCT user_id) FROM usage_days
WHERE day >= %(first)s AND day <= %(last)s GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20
"""


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many, in the week or month that begins with a day."""

    since: date
    of: int
    part: int

    @property
    def ratio(self) -> float:
        return self.part / self.of if self.of else 0.0


def recurring(first: date, last: date) -> list[Decimal]:
    """MRR in US dollars at the end of each day."""
    parameters = {"first": first, "last": last, "currency": plans.CURRENCY}
    return [total for (total,) in _rows(_RECURRING, parameters)]


def churn(today: date, *, months: int) -> list[Share]:
    """Of each of the last months, the running one last: subscriptions that ended, of those that
    ran as it began."""
    first = today.replace(day=1)
    for _ in range(months - 1):
        first = (first - timedelta(days=1)).replace(day=1)
    return [Share(*row) for row in _rows(_CHURN, {"first": first, "last": today})]


def conversion(today: date, *, weeks: int) -> list[Share]:
    """Of those who signed up in each of the last weeks (Monday, UTC): who has ever paid."""
    first = today - timedelta(days=today.weekday()) - timedelta(weeks=weeks - 1)
    return [Share(*row) for row in _rows(_of_people(_CONVERSION), {"first": first})]


def on_plans() -> list[tuple[str, int]]:
    """How many active people are on each plan."""
    return _rows(_of_people(_ON_PLANS), {})


def calls(first: date, last: date) -> list[int]:
    """Data calls of everybody on each day."""
    return [total for (total,) in _rows(_CALLS, {"first": first, "last": last})]


def groups(first: date, last: date) -> list[tuple[str, int, int]]:
    """Groups of endpoints with their calls and how many people made them."""
    return _rows(_GROUPS, {"first": first, "last": last})


def _of_people(statement: str) -> str:
    return statement.format(users=get_user_model()._meta.db_table)


def _rows(statement: str, parameters: dict) -> list:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()
