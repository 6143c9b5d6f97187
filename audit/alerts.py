"""Raising security alerts, and what a person or staff does about them.

``raise_alert`` writes in the caller's transaction, with the log entry that tells the rooms above
(they write to the person) and the deliveries to the operators' webhooks. Neither exists without
the others.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from audit import log
from audit.actions import Action
from audit.detectors.findings import Finding
from audit.models import SecurityAlert
from audit.models.alerts import Severity
from audit.webhooks import outbound
from tracker import bulk, tenancy
from tracker.errors import NotFound

_KEY_LENGTH = 128
_GRAVITY = [str(value) for value in Severity]
State = SecurityAlert.State


def raise_alert(
    *,
    kind: str,
    severity: str,
    user_id: UUID | None,
    evidence: Mapping[str, Any],
    dedupe: str,
    now: datetime,
) -> SecurityAlert | None:
    """Raise an alert; None when one with this ``dedupe`` is there and not resolved.

    Call inside a tenancy context. ``dedupe`` need be unique within kind and person only.
    ``evidence`` is shown to the person and to operators, so it holds nothing secret.
    """
    alert = SecurityAlert(
        user_id=user_id, kind=kind, severity=Severity(severity), evidence=dict(evidence),
        dedupe_key=_key(kind, user_id, dedupe), created_at=now,
    )  # fmt: skip
    if not bulk.insert_new([alert]):
        return None
    log.record(
        Action.ALERT_RAISED, user_id=user_id, alert_id=str(alert.id), kind=kind,
        severity=str(alert.severity),
    )  # fmt: skip
    outbound.queue(alert, now=now)
    return alert


def raise_finding(
    finding: Finding,
    *,
    user_id: UUID | None,
    now: datetime,
    quiet: timedelta = timedelta(0),
    incident: str = "",
) -> SecurityAlert | None:
    """Raise what a detector found; None when it is known.

    With ``quiet`` it is known too when an alert of this kind whose dedupe begins with
    ``incident`` was raised within that time, unless this one is graver. Call inside a tenancy
    context.
    """
    if quiet:
        as_grave = _GRAVITY[_GRAVITY.index(finding.severity) :]
        if SecurityAlert.objects.filter(
            Q(user_id=user_id), dedupe_key__startswith=_key(finding.kind, user_id, incident),
            created_at__gt=now - quiet, severity__in=as_grave,
        ).exists():  # fmt: skip
            return None
    return raise_alert(
        kind=finding.kind, severity=finding.severity, user_id=user_id, evidence=finding.evidence,
        dedupe=finding.dedupe, now=now,
    )  # fmt: skip


def acknowledge(*, user_id: UUID, alert_id: UUID, now: datetime) -> SecurityAlert:
    """The person has seen it. Acknowledging again changes nothing. Raises NotFound."""
    with tenancy.as_user(user_id):
        alert = alerts_of(user_id).filter(id=alert_id).first()
        if alert is None:
            raise NotFound
        _move(alert, to=State.ACKNOWLEDGED, actor_id=user_id, now=now)
        return alert


def handle_by_staff(
    *, alert_ids: Sequence[UUID], to: str, actor_id: UUID, now: datetime, note: str = ""
) -> int:
    """Acknowledge or resolve for support staff; returns how many were not yet so far.

    Call inside ``as_system``. Rows are locked in one order.
    """
    rows = SecurityAlert.objects.select_for_update(of=("self",)).filter(id__in=alert_ids)
    return sum(
        _move(alert, to=State(to), actor_id=actor_id, now=now, note=note)
        for alert in rows.order_by("id")
    )


def alerts_of(user_id: UUID) -> QuerySet[SecurityAlert]:
    """A person's own alerts. Call inside a tenancy context."""
    return SecurityAlert.objects.filter(user_id=user_id)


_BEFORE = {
    State.ACKNOWLEDGED: (State.OPEN,),
    State.RESOLVED: (State.OPEN, State.ACKNOWLEDGED),
}
_STAMP = {State.ACKNOWLEDGED: "acknowledged_at", State.RESOLVED: "resolved_at"}
_ACTION = {
    State.ACKNOWLEDGED: Action.ALERT_ACKNOWLEDGED,
    State.RESOLVED: Action.ALERT_RESOLVED,
}


def _move(
    alert: SecurityAlert, *, to: State, actor_id: UUID, now: datetime, note: str = ""
) -> bool:
    """One conditional UPDATE, so that two people at once are logged once. Never goes back."""
    changes: dict[str, Any] = {"state": to, _STAMP[to]: now, "handled_by_id": actor_id}
    if note:
        changes["note"] = note
    rows = SecurityAlert.objects.filter(id=alert.id, state__in=_BEFORE[to])
    if not rows.update(**changes):
        alert.refresh_from_db()
        return False
    for name, value in changes.items():
        setattr(alert, name, value)
    log.record(
        _ACTION[to], user_id=alert.user_id, alert_id=str(alert.id), kind=alert.kind,
        actor_id=actor_id if actor_id != alert.user_id else None,
    )  # fmt: skip
    return True


def _key(kind: str, user_id: UUID | None, dedupe: str) -> str:
    key = f"{kind}:{user_id or '-'}:{dedupe}"
    if len(key) <= _KEY_LENGTH:
        return key
    return hashlib.sha256(key.encode()).hexdigest()
