"""How each part of the service did: kept by the minute for days, by the day for months.

The rooms above measure (``tracker.monitoring.measuring``); here it is kept and added up. A minute
that nobody measured has no row, and is told as not measured rather than as good.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db import connection, transaction

from audit.models import ComponentDay, ComponentMinute, Health, StatusComponent

MINUTES_KEPT = timedelta(days=2)  # whole days before the running one
DAYS_KEPT = timedelta(days=400)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one part did in one minute; of ``total`` requests, accounts or sources so many were
    ``good``."""

    key: str
    title: str
    minute_at: datetime
    health: Health
    good: int = 0
    total: int = 0
    position: int = 0


def minute_of(instant: datetime) -> datetime:
    """The beginning of the minute in which an instant lies."""
    return instant.replace(second=0, microsecond=0)


def record(readings: Iterable[Reading], *, now: datetime) -> int:
    """Keep readings, the first of a part and minute; roll up, forget. Returns how many were new.

    Idempotent: measuring twice in a minute changes nothing.
    """
    found = list(readings)
    with transaction.atomic():
        _introduce(found)
        new = _without_known(found)
        ComponentMinute.objects.bulk_create(
            [
                ComponentMinute(
                    component_id=row.key, minute_at=row.minute_at, health=row.health,
                    good=row.good, total=row.total,
                )
                for row in new
            ],
            ignore_conflicts=True,
        )  # fmt: skip
        for ago in (1, 0):
            roll_up(now.date() - timedelta(days=ago))
        _forget(now)
    return len(new)


def measured_minutes(key: str, *, since: datetime) -> set[datetime]:
    """The minutes of a part that have been measured from an instant on."""
    rows = ComponentMinute.objects.filter(component_id=key, minute_at__gte=since)
    return set(rows.values_list("minute_at", flat=True))


_ROLL_UP = """
    INSERT INTO component_days (component_id, day, up, degraded, down, good, total)
    SELECT component_id, %(day)s, count(*) FILTER (WHERE health = 'up'),
           count(*) FILTER (WHERE health = 'degraded'), count(*) FILTER (WHERE health = 'down'),
           sum(good), sum(total)
    FROM component_minutes WHERE minute_at >= %(start)s AND minute_at < %(end)s
    GROUP BY component_id
    ON CONFLICT (component_id, day) DO UPDATE SET
        up = excluded.up, degraded = excluded.degraded, down = excluded.down,
        good = excluded.good, total = excluded.total
"""


def roll_up(day: date) -> None:
    """Add up a day (UTC) whose minutes are all still there. Safe to run again."""
    start = datetime.combine(day, time.min, UTC)
    with connection.cursor() as cursor:
        cursor.execute(_ROLL_UP, {"day": day, "start": start, "end": start + timedelta(days=1)})


def _without_known(readings: list[Reading]) -> list[Reading]:
    minutes = {row.minute_at for row in readings}
    known = set(
        ComponentMinute.objects.filter(minute_at__in=minutes).values_list(
            "component_id", "minute_at"
        )
    )
    return [row for row in readings if (row.key, row.minute_at) not in known]


def _introduce(readings: Iterable[Reading]) -> None:
    parts = {row.key: StatusComponent(row.key, row.title, row.position) for row in readings}
    StatusComponent.objects.bulk_create(
        sorted(parts.values(), key=lambda part: part.key), update_conflicts=True,
        unique_fields=["key"], update_fields=["title", "position"],
    )  # fmt: skip


def _forget(now: datetime) -> None:
    """Whole days only: a day that lacks minutes could not be rolled up again."""
    first = datetime.combine((now - MINUTES_KEPT).date(), time.min, UTC)
    ComponentMinute.objects.filter(minute_at__lt=first).delete()
    ComponentDay.objects.filter(day__lt=(now - DAYS_KEPT).date()).delete()
