"""The copy that the status page is served from: plain JSON, made each minute, kept in Redis.

Whoever asks for the page reads the copy and never the tables, so that it answers when the
database does not. The copy says as of when it is. What was not measured is told as such: the
minutes of each day, and of a copy that is old everything that it says of now.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.core.cache import cache
from django.db.models import Max, Q

from audit import service_levels
from audit.models import (
    ComponentDay,
    ComponentMinute,
    Health,
    Incident,
    IncidentState,
    StatusComponent,
)

DAYS = 90
KEY = "status:copy:2"  # a new number for a new shape: old and new releases run side by side
KEPT_SECONDS = 30 * 86_400
LATE_AFTER = timedelta(minutes=5)  # a copy is made each minute
_CURRENT = timedelta(minutes=5)  # a part that was measured within these is as it was then
UNKNOWN = "unknown"
_WORST_FIRST = (Health.DOWN, Health.DEGRADED, UNKNOWN, Health.UP)
_SENTENCES = {
    Health.UP: "Everything works.",
    Health.DEGRADED: "Some parts work slowly or only in part.",
    Health.DOWN: "Some parts do not work.",
    UNKNOWN: "Some parts were not measured in the last minutes.",
}
_NOTHING = "Nothing was measured yet."
_GOING_ON = "What we measure works, but something is going on; see below."
_OUTDATED = "Nothing was measured lately, so we do not know how the service does now."
_SETTLING = 2  # of a running day, the last minutes are still to be measured


def publish(*, now: datetime) -> dict[str, Any]:
    """Make the copy and put it where every web process finds it; returns it."""
    made = make(now=now)
    cache.set(KEY, made, timeout=KEPT_SECONDS)
    return made


def read() -> dict[str, Any] | None:
    """The newest copy; ``None`` when there is none or Redis does not answer."""
    return cache.get(KEY)


def make(*, now: datetime) -> dict[str, Any]:
    """Everything that the page tells, from the tables."""
    parts = _components(now)
    told = [_incident(row, now) for row in _latest_incidents(now)]
    measured = ComponentMinute.objects.aggregate(last=Max("minute_at"))["last"]
    return {
        "as_of": _instant(now),
        "measured_until": _instant(measured + timedelta(minutes=1)) if measured else None,
        "overall": _overall(parts, told),
        "components": parts,
        "incidents": told,
        "service_levels": [_level(row) for row in service_levels.standings(now.date())],
    }


def is_late(copy: Mapping[str, Any], *, now: datetime) -> bool:
    """Whether a copy is so old that it says nothing of how the service does now."""
    return now - datetime.fromisoformat(copy["as_of"]) > LATE_AFTER


def outdated(copy: Mapping[str, Any]) -> dict[str, Any]:
    """What a copy that is old still says: how it was, but not how it is."""
    parts = [{**part, "state": UNKNOWN} for part in copy["components"]]
    return {
        **copy, "components": parts, "overall": {"state": UNKNOWN, "sentence": _OUTDATED},
    }  # fmt: skip


# --- parts --------------------------------------------------------------------------------------
def _components(now: datetime) -> list[dict[str, Any]]:
    today = now.date()
    first = today - timedelta(days=DAYS - 1)
    days: dict[str, dict[date, ComponentDay]] = defaultdict(dict)
    for row in ComponentDay.objects.filter(day__gte=first, day__lte=today):
        days[row.component_id][row.day] = row
    present = _present(now)
    shown = StatusComponent.objects.filter(key__in=days).order_by("position", "title", "key")
    return [
        {
            "key": part.key, "title": part.title, "state": present.get(part.key, UNKNOWN),
            **_history(days[part.key], first, now),
        }
        for part in shown
    ]  # fmt: skip


def _present(now: datetime) -> dict[str, str]:
    rows = ComponentMinute.objects.filter(minute_at__gt=now - _CURRENT).order_by("minute_at")
    return dict(rows.values_list("component_id", "health"))  # of each the last


def _history(days: Mapping[date, ComponentDay], first: date, now: datetime) -> dict[str, Any]:
    works = sum(row.up + row.degraded for row in days.values())
    measured = works + sum(row.down for row in days.values())
    return {
        "uptime": service_levels.percent(Decimal(works) / measured) if measured else None,
        "days": [_day(first + timedelta(days=n), days, now) for n in range(DAYS)],
    }


def _day(day: date, days: Mapping[date, ComponentDay], now: datetime) -> dict[str, Any]:
    """A day's worst minute says how it was; without a bad one it is known only when more than half
    of its minutes were measured."""
    row = days.get(day) or ComponentDay(day=day)
    minutes = _minutes_of(day, now)
    unmeasured = max(0, minutes - row.up - row.degraded - row.down)
    known = day in days and unmeasured * 2 <= minutes
    good = Health.UP if known else UNKNOWN
    state = Health.DOWN if row.down else Health.DEGRADED if row.degraded else good
    return {
        "day": day.isoformat(), "state": str(state), "degraded": row.degraded, "down": row.down,
        "unmeasured": unmeasured,
    }  # fmt: skip


def _minutes_of(day: date, now: datetime) -> int:
    """How many minutes of a day should have been measured by now."""
    if day != now.date():
        return service_levels.MINUTES_A_DAY
    return max(0, now.hour * 60 + now.minute - _SETTLING)


def _overall(parts: Iterable[Mapping[str, Any]], told: Iterable[Mapping[str, Any]]) -> dict:
    """The worst of what is measured now, and never all well while staff say otherwise.

    A part that is not measured while the API is has nothing to be measured, as an exchange at which
    nobody has an account any more.
    """
    states = {part["key"]: part["state"] for part in parts}
    if not states:
        return {"state": UNKNOWN, "sentence": _NOTHING}
    found = {state for state in states.values() if state != UNKNOWN}
    if not found or states.get(service_levels.API) == UNKNOWN:
        found.add(UNKNOWN)
    worst = next(state for state in _WORST_FIRST if state in found)
    known = any(row["state"] != IncidentState.RESOLVED and not row["planned"] for row in told)
    if known and worst == Health.UP:
        return {"state": str(Health.DEGRADED), "sentence": _GOING_ON}
    more = " We know of it; see below." if known else ""
    return {"state": str(worst), "sentence": _SENTENCES[worst] + more}


# --- incidents and levels -----------------------------------------------------------------------
def _incident(row: Incident, now: datetime) -> dict[str, Any]:
    said = sorted(row.updates.all(), key=lambda update: (update.created_at, update.id))
    return {
        "id": str(row.id), "title": row.title, "impact": row.impact, "state": row.state,
        "planned": row.started_at > now,
        "components": sorted(part.title for part in row.components.all()),
        "started_at": _instant(row.started_at),
        "resolved_at": _instant(row.resolved_at) if row.resolved_at else None,
        "updates": [
            {"at": _instant(update.created_at), "state": update.state, "text": update.text}
            for update in reversed(said)
        ],
    }  # fmt: skip


def _level(row: service_levels.Standing) -> dict[str, Any]:
    """Shares only: how many requests and accounts there are is nobody's business."""
    return {
        "name": row.level.name, "title": row.level.title, "promise": row.level.promise,
        "target": row.level.target_percent, "window_days": service_levels.WINDOW_DAYS,
        "measured": row.percent, "kept": row.kept, "budget_left": row.budget_percent,
        "measured_days": row.measured_days,
    }  # fmt: skip


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def _latest_incidents(now: datetime) -> list[Incident]:
    """Open ones, and those that began or ended in the last 14 days; the newest first, with
    updates and parts. What is announced for later than that is not told yet."""
    since = now - timedelta(days=14)
    told = Q(started_at__gt=since) | Q(resolved_at__gt=since) | ~Q(state=IncidentState.RESOLVED)
    rows = Incident.objects.filter(told, started_at__lte=now + timedelta(days=14))
    return list(rows.prefetch_related("updates", "components").order_by("-started_at")[:50])
