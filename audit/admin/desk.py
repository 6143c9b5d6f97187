"""What this room brings to the support desk: alerts and activity of a person; what is wrong with
alerts, webhooks, the service and its backups; whose request or session something was.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count
from django.urls import reverse

from audit import drills, status_copy
from audit.actions import Action
from audit.models import (
    ActivityLog,
    DrillResult,
    Health,
    SecurityAlert,
    UserMetric,
    WebhookDelivery,
)
from audit.models.alerts import Severity
from audit.sentences import sentence
from tracker import desk, ids
from tracker.admin import Panel, list_url
from tracker.desk import Figure, Finder, Hit, Level, Section, Tile

_DAY = timedelta(days=1)
BACKUP_LATE = timedelta(hours=26)  # one is made each day
BACKUP_LOST = timedelta(days=3)
_OF_PERSON = "user__id__exact"


# --- a person's page ----------------------------------------------------------------------------
def alerts(*, person_id: UUID, now: datetime) -> dict[str, Any]:
    """Security alerts, the open ones first. One query."""
    rows = SecurityAlert.objects.filter(user_id=person_id).order_by("-created_at")
    found = list(rows.values("created_at", "severity", "kind", "state", "note")[:20])
    found.sort(key=lambda row: row["state"] == SecurityAlert.State.RESOLVED)
    unsolved = sum(row["state"] != SecurityAlert.State.RESOLVED for row in found)
    return {
        "warning": f"Not resolved yet: {unsolved}." if unsolved else "",
        "panels": [
            Panel(
                "Security alerts", list_url(SecurityAlert, {_OF_PERSON: person_id}),
                ("When", "Severity", "Kind", "State", "Note"),
                [(f"{row['created_at']:%Y-%m-%d %H:%M}", row["severity"], row["kind"],
                  row["state"], row["note"] or "-") for row in found],
            )
        ],
    }  # fmt: skip


def activity(*, person_id: UUID, now: datetime) -> dict[str, Any]:
    """What happened last. One query."""
    rows = ActivityLog.objects.filter(user_id=person_id).order_by("-created_at")
    found = rows.values(
        "created_at", "action", "outcome", "actor_id", "ip_address", "request_id"
    )[:20]  # fmt: skip
    return {
        "panels": [
            Panel(
                "Activity", list_url(ActivityLog, {_OF_PERSON: person_id}),
                ("When", "What", "Action", "Outcome", "By", "Address", "Request"),
                [(f"{row['created_at']:%Y-%m-%d %H:%M:%S}", sentence(row["action"]), row["action"],
                  row["outcome"], "staff" if row["actor_id"] not in (None, person_id) else "-",
                  row["ip_address"] or "-", row["request_id"] or "-") for row in found],
            )
        ]
    }  # fmt: skip


# --- the front page -----------------------------------------------------------------------------
def open_alerts(*, now: datetime) -> Tile:
    """Alerts that nobody took up, by severity, by the index of their state."""
    rows = SecurityAlert.objects.order_by().filter(state=SecurityAlert.State.OPEN)
    found = dict(rows.values_list("severity").annotate(Count("id")))
    grave = sum(found.get(name, 0) for name in (Severity.HIGH, Severity.CRITICAL))
    total = sum(found.values())
    level = Level.BAD if grave else Level.WATCH if total else Level.FINE
    return Tile(
        f"{total:,}", level, f"security alerts are open, {grave:,} of them grave.",
        tuple((str(name), float(found.get(name, 0))) for name in Severity.values),
        "Open security alerts by severity", by_name=True,
        url=list_url(SecurityAlert, {"state": "open"}), link="Open alerts",
    )  # fmt: skip


def operators_webhooks(*, now: datetime) -> Tile:
    """Alerts of a fortnight that did not reach the operators' addresses, by the index of ids."""
    first = now - 14 * _DAY
    rows = WebhookDelivery.objects.order_by().filter(id__gte=ids.first_of(first))
    found = dict(rows.values_list("state").annotate(Count("id")))
    failed = found.get(WebhookDelivery.State.FAILED, 0)
    return Tile(
        f"{failed:,}", Level.BAD if failed else Level.FINE,
        "alerts of 14 days did not reach an address of ours; "
        f"{found.get(WebhookDelivery.State.WAITING, 0):,} are on their way.",
        tuple((str(state), float(found.get(state, 0))) for state in WebhookDelivery.State.values),
        "Alerts to our own addresses by how far they are", by_name=True,
        url=list_url(WebhookDelivery, {"state": "failed"}), link="Deliveries that failed",
    )  # fmt: skip


def active_people(*, now: datetime) -> Tile:
    """How many people were there on each of fourteen days, from the rolled-up days."""
    first = now.date() - 13 * _DAY
    rows = UserMetric.objects.order_by().filter(date__gte=first, daily_active=True)
    found = dict(rows.values_list("date").annotate(Count("id")))
    days = [first + number * _DAY for number in range(14)]
    values = tuple((f"{day:%-d %b}", float(found.get(day, 0))) for day in days)
    return Tile(
        f"{int(values[-1][1]):,}", Level.PLAIN,
        f"people were there today; {int(values[-2][1]):,} yesterday.", values,
        "People who were there on each of the last 14 days",
        url=reverse("admin:audit_usermetric_charts"), link="Activity and retention",
    )  # fmt: skip


_LEVELS = {Health.UP: Level.FINE, Health.DEGRADED: Level.WATCH, Health.DOWN: Level.BAD}


def service(*, now: datetime) -> Tile:
    """How the parts of the service do, from the copy that the public page shows. No query."""
    copy = status_copy.read()
    url = reverse("admin:audit_incident_changelist")
    if copy is None or status_copy.is_late(copy, now=now):
        return _unmeasured(copy, url, "Incidents")
    parts = copy["components"]
    measured = [part for part in parts if part["state"] != status_copy.UNKNOWN]
    works = sum(part["state"] == Health.UP for part in measured)
    unsolved = sum(row["state"] != "resolved" for row in copy["incidents"])
    ill = _titles(part for part in measured if part["state"] != Health.UP)
    unknown = _titles(part for part in parts if part["state"] == status_copy.UNKNOWN)
    return Tile(
        f"{works} of {len(measured)}", _LEVELS.get(copy["overall"]["state"], Level.UNKNOWN),
        f"parts work{f'; not {ill}' if ill else ''}."
        f"{f' Not measured: {unknown}.' if unknown else ''} Open incidents: {unsolved}.",
        _bad_minutes(parts), "Minutes in which a part worked in part or not, 30 days",
        url=url, link="Incidents",
    )  # fmt: skip


def _unmeasured(copy: dict[str, Any] | None, url: str, link: str) -> Tile:
    """An old copy says how it was, and not how it is."""
    said = "Nothing was measured yet."
    if copy is not None:
        at = datetime.fromisoformat(copy["measured_until"] or copy["as_of"])
        said = f"Nothing was measured lately; last at {at:%Y-%m-%d %H:%M} UTC. Is beat running?"
    return Tile("–", Level.UNKNOWN, said, url=url, link=link)


def _titles(parts: Iterable[dict[str, Any]]) -> str:
    return ", ".join(part["title"] for part in parts)


def _bad_minutes(parts: list[dict[str, Any]]) -> tuple[tuple[str, float], ...]:
    sums: dict[str, float] = {}
    for part in parts:
        for day in part["days"][-30:]:
            sums[day["day"]] = sums.get(day["day"], 0.0) + day["degraded"] + day["down"]
    return tuple((f"{datetime.fromisoformat(day):%-d %b}", sums[day]) for day in sorted(sums))


def promises(*, now: datetime) -> Tile:
    """The service levels and what is left of their error budgets, from the same copy."""
    copy, url = status_copy.read(), reverse("admin:audit_service_levels")
    if copy is None or status_copy.is_late(copy, now=now):
        return _unmeasured(copy, url, "Service levels")
    rows = [row for row in copy["service_levels"] if row["measured"] is not None]
    if not rows:
        return _unmeasured(None, url, "Service levels")
    left = {row["title"]: float(row["budget_left"]) for row in rows}
    least = min(left, key=lambda title: left[title])
    level = Level.BAD if left[least] <= 0 else Level.WATCH if left[least] < 25 else Level.FINE
    kept = sum(bool(row["kept"]) for row in rows)
    return Tile(
        f"{kept} of {len(rows)}", level,
        f"service levels are kept. Least budget left: {left[least]:g} % ({least.lower()}).",
        tuple((title, max(value, 0.0)) for title, value in left.items()),
        "Error budget left, percent", by_name=True, url=url, link="Service levels",
    )  # fmt: skip


def backups(*, now: datetime) -> Tile:
    """When the last copy was made and the last one was restored; red as the runbook says."""
    rows = ActivityLog.objects.filter(action=Action.BACKUP_MADE).order_by("-created_at")
    made = list(rows.values_list("created_at", "details")[:14])
    trouble = drills.trouble(now=now)
    age = now - made[0][0] if made else None
    level = Level.FINE
    if trouble or age is None or age > BACKUP_LOST:
        level = Level.BAD
    elif age > BACKUP_LATE:
        level = Level.WATCH
    since = "was a backup made" if age is None else "since the last backup"
    return Tile(
        "never" if age is None else in_words(age), level,
        f"{since}. {trouble or 'The last restore drill was good.'}",
        tuple((f"{at:%-d %b}", round(facts.get("bytes", 0) / 1e6, 1)) for at, facts in made[::-1]),
        "Size of the last backups, megabytes",
        url=list_url(DrillResult, {}), link="Restore drills",
    )  # fmt: skip


def in_words(age: timedelta) -> str:
    """45 min, 7 h, 3 days."""
    minutes = int(age.total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} days"


# --- finding ------------------------------------------------------------------------------------
def requests(text: str) -> Iterator[Hit]:
    """By the id of a request, which the app shows beside an error."""
    if not 8 <= len(text) <= 64 or "@" in text:
        return
    rows = ActivityLog.objects.filter(request_id=text).order_by("-id")
    url = list_url(ActivityLog, {"q": text})
    for owner, action in rows.values_list("user_id", "action")[: desk.MOST_HITS]:
        yield Hit(f"the request of “{sentence(action)}”", owner, url)


desk.add_section(
    Section("Security alerts", "audit.view_securityalert", desk.PARTS, alerts, rank=60)
)
desk.add_section(Section("Activity", "audit.view_activitylog", desk.PARTS, activity, rank=85))
desk.add_figure(Figure("Service", "audit.view_incident", service, rank=5))
desk.add_figure(Figure("Service levels", "audit.view_componentday", promises, rank=8))
desk.add_figure(Figure("Security alerts", "audit.view_securityalert", open_alerts, rank=40))
desk.add_figure(
    Figure("Alerts to ourselves", "audit.view_webhookdelivery", operators_webhooks, rank=50)
)
desk.add_figure(Figure("Backups", "audit.view_drillresult", backups, rank=70))
desk.add_figure(Figure("Active people", "audit.view_usermetric", active_people, rank=85))
desk.add_finder(Finder("id of a request", "audit.view_activitylog", requests, rank=60))
