"""What the metrics page of the admin shows, read from the rolled-up days. Call in as_system."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta

from django.contrib.auth import get_user_model
from django.db import connection

WINDOWS = {"daily": 1, "weekly": 7, "monthly": 30}

# A person who was active on a day counts as active until the window has passed, or until they are
# seen again and count anew: +1 where a stretch begins, -1 where it ends, and a running sum.
_ACTIVE = """
    WITH seen AS (
        SELECT date, lead(date) OVER (PARTITION BY user_id ORDER BY date) AS next
        FROM user_metrics WHERE daily_active AND date > %(first)s - %(window)s AND date <= %(last)s
    ), steps AS (
        SELECT date AS day, 1 AS step FROM seen
        UNION ALL
        SELECT least(date + %(window)s, coalesce(next, date + %(window)s)), -1 FROM seen
    ), sums AS (
        SELECT day, sum(sum(step)) OVER (ORDER BY day) AS people FROM steps GROUP BY day
    )
    SELECT coalesce((SELECT people FROM sums WHERE sums.day <= days.day::date
                     ORDER BY sums.day DESC LIMIT 1), 0)::int
    FROM generate_series(%(first)s::date, %(last)s::date, '1 day') AS days (day) ORDER BY days.day
"""


def active_people(first: date, last: date) -> dict[str, list[int]]:
    """For each day, how many different people were active on it and in the 7 and 30 days up to
    it. One pass over the days' rows per window."""
    found = {}
    with connection.cursor() as cursor:
        for name, window in WINDOWS.items():
            cursor.execute(_ACTIVE, {"first": first, "last": last, "window": window})
            found[name] = [people for (people,) in cursor.fetchall()]
    return found


@dataclass(frozen=True, slots=True)
class Cohort:
    """Those who signed up in one week, and how many of them were active so many weeks later."""

    week: date
    people: int
    active: list[int]


_COHORTS = """
    SELECT joined.week, joined.people, seen.weeks, seen.active
    FROM (SELECT {week} AS week, count(*) AS people FROM {users}
          WHERE created_at >= %(first)s GROUP BY 1) AS joined
    LEFT JOIN (
        SELECT {week} AS week, (date_trunc('week', m.date)::date - {week}) / 7 AS weeks,
               count(DISTINCT m.user_id) AS active
        FROM {users} AS u JOIN user_metrics AS m ON m.user_id = u.id AND m.daily_active
        WHERE u.created_at >= %(first)s AND m.date >= %(first)s GROUP BY 1, 2
    ) AS seen ON seen.week = joined.week
    ORDER BY 1, 3
"""


def cohorts(today: date, *, weeks: int) -> list[Cohort]:
    """Retention by the week (Monday, UTC) of signing up, the oldest first."""
    this_week = today - timedelta(days=today.weekday())
    first = this_week - timedelta(weeks=weeks - 1)
    statement = _COHORTS.format(
        users=get_user_model()._meta.db_table,
        week="date_trunc('week', created_at AT TIME ZONE 'UTC')::date",
    )
    people: dict[date, int] = {}
    active: dict[date, dict[int, int]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(statement, {"first": first})
        for week, count, after, seen in cursor.fetchall():
            people[week] = count
            if after is not None:
                active[week][after] = seen
    return [
        Cohort(
            week, count, [active[week].get(n, 0) for n in range((this_week - week).days // 7 + 1)]
        )
        for week, count in people.items()
    ]


_FEATURES = """
    SELECT feature, count(DISTINCT user_id), sum(times::int)::bigint
    FROM user_metrics, jsonb_each_text(features_used) AS used (feature, times)
    WHERE date > %s AND date <= %s GROUP BY 1 ORDER BY 2 DESC, 3 DESC, 1
"""


def features(last: date, *, days: int) -> list[tuple[str, int, int]]:
    """Each feature with how many people used it in so many days, and how often."""
    with connection.cursor() as cursor:
        cursor.execute(_FEATURES, [last - timedelta(days=days), last])
        return cursor.fetchall()
