"""How fast and how well support answers, from the rows themselves. Call inside ``as_system``.

Hours are those of the calendar: a request of Friday evening that is answered on Monday morning
took 60 hours, because that is how long the person waited.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection

from accounts.models import SupportRequest

OVERDUE = timedelta(hours=24)
# Up to how many hours somebody has waited, and what that is called.
AGES = ((4, "up to 4 hours"), (24, "4 to 24 hours"), (72, "1 to 3 days"), (168, "3 to 7 days"))
OLDER = "longer than 7 days"


@dataclass(frozen=True, slots=True)
class Week:
    """Requests opened in one week (from Monday, UTC). Times are unset where none was answered."""

    since: date
    opened: int
    answered: int
    median: timedelta | None
    p90: timedelta | None


# The percentiles are those of PostgreSQL's percentile_cont: between two values in proportion.
_WEEKS = """
    WITH asked AS (
        SELECT date_trunc('week', opened_at AT TIME ZONE 'UTC')::date AS week, first_answered_at,
               extract(epoch FROM first_answered_at - opened_at) AS took
        FROM support_requests WHERE opened_at >= %(since)s
    )
    SELECT week, count(*), count(first_answered_at),
           percentile_cont(0.5) WITHIN GROUP (ORDER BY took),
           percentile_cont(0.9) WITHIN GROUP (ORDER BY took)
    FROM asked GROUP BY week
"""


def weeks(*, now: datetime, count: int) -> list[Week]:
    """First-response times by week of opening, the oldest week first, this one included.

    Those that wait still are counted as opened and have no time yet, so young weeks look faster
    than they will in the end; ``opened`` beside ``answered`` says by how much.
    """
    monday = now.date() - timedelta(days=now.weekday())
    days = [monday - timedelta(weeks=back) for back in range(count - 1, -1, -1)]
    since = now.replace(hour=0, minute=0, second=0, microsecond=0)
    since -= timedelta(days=(since.date() - days[0]).days)
    with connection.cursor() as cursor:
        cursor.execute(_WEEKS, {"since": since})
        found = {row[0]: row for row in cursor.fetchall()}
    return [_week(found.get(day, (day, 0, 0, None, None))) for day in days]


def _week(row: tuple[Any, ...]) -> Week:
    day, opened, answered, *seconds = row
    median, p90 = (None if value is None else timedelta(seconds=float(value)) for value in seconds)
    return Week(day, opened, answered, median, p90)


def waiting_by_age(*, now: datetime) -> dict[str, int]:
    """How many wait for an answer, by how long they have."""
    found = dict.fromkeys([*(name for _, name in AGES), OLDER], 0)
    rows: Any = SupportRequest.objects.filter(waiting_since__isnull=False)
    for since in rows.values_list("waiting_since", flat=True).iterator():
        found[_age((now - since) / timedelta(hours=1))] += 1
    return found


def _age(hours: float) -> str:
    return next((name for most, name in AGES if hours <= most), OLDER)


def ratings(*, now: datetime, days: int) -> dict[int, int]:
    """How often each rating was given to requests that were opened within so many days."""
    found = dict.fromkeys(range(5, 0, -1), 0)
    rows: Any = SupportRequest.objects.filter(
        opened_at__gte=now - timedelta(days=days), rating__isnull=False
    )
    for rating in rows.values_list("rating", flat=True).iterator():
        found[rating] += 1
    return found


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits for staff at this moment."""

    waiting: int
    overdue: int
    unassigned: int
    longest: timedelta | None


def queue(*, now: datetime) -> Queue:
    """One statement over those that wait."""
    with connection.cursor() as cursor:
        cursor.execute(_QUEUE, {"late": now - OVERDUE})
        waiting, overdue, unassigned, since = cursor.fetchone()
    return Queue(waiting, overdue, unassigned, now - since if since else None)


_QUEUE = """
    SELECT count(*), count(*) FILTER (WHERE waiting_since < %(late)s),
           count(*) FILTER (WHERE assigned_to_id IS NULL), min(waiting_since)
    FROM support_requests WHERE waiting_since IS NOT NULL
"""


def worded(span: timedelta | None) -> str:
    """A span as people say it: ``2 d 3 h``, ``5 h 10 min``, ``7 min``; a dash for none."""
    if span is None:
        return "–"
    minutes = max(0, int(span.total_seconds() // 60))
    hours, minutes = divmod(minutes, 60)
    if hours >= 24:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
