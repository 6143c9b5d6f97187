"""Telling operators about alerts: signed webhooks, tried for days, every attempt's end kept.

A delivery is a row, written with the alert. A worker claims it by a conditional UPDATE, calls
with no transaction open, and notes the end. What a dead worker held comes up again by itself;
the receiver sees the same message id then.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import F

from audit import log
from audit.actions import Action
from audit.models import SecurityAlert, WebhookDelivery
from audit.webhooks import signatures
from tracker import bulk, outgoing, tenancy
from tracker.logs import get_logger
from tracker.outgoing import OutgoingError

logger = get_logger(__name__)
DELIVER_TASK = "audit.tasks.deliver_webhook"
# After so many failed attempts the next one waits so long: three days and a half in all.
WAITS = (
    timedelta(seconds=5), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2),
    timedelta(hours=5), timedelta(hours=10), timedelta(hours=14), timedelta(hours=20),
    timedelta(hours=24),
)  # fmt: skip
CLAIM = timedelta(minutes=2)
AT_ONCE = 500
KEPT_ATTEMPTS = 50
GONE = 410
State = WebhookDelivery.State


# --- writing ------------------------------------------------------------------------------------
def queue(alert: SecurityAlert, *, now: datetime) -> None:
    """Write one delivery per configured address, in the caller's transaction."""
    rows = [
        WebhookDelivery(
            alert=alert, endpoint=name[:64], host=_host(endpoint), next_attempt_at=now,
            created_at=now,
        )
        for name, endpoint in settings.ALERT_WEBHOOKS.items()
    ]  # fmt: skip
    for delivery_id in bulk.insert_new(rows):
        _enqueue_after_commit(delivery_id)


def redeliver(*, delivery_ids: Sequence[UUID], actor_id: UUID, now: datetime) -> int:
    """Begin anew with deliveries, whatever became of them. Call inside ``as_system``."""
    rows = WebhookDelivery.objects.select_for_update(of=("self",)).select_related("alert")
    found = list(rows.filter(id__in=delivery_ids).order_by("id"))
    for delivery in found:
        WebhookDelivery.objects.filter(id=delivery.id).update(
            state=State.WAITING, attempts=0, next_attempt_at=now, delivered_at=None
        )
        log.record(
            Action.WEBHOOK_REDELIVERED, user_id=delivery.alert.user_id, actor_id=actor_id,
            delivery_id=str(delivery.id), alert_id=str(delivery.alert_id),
            endpoint=delivery.endpoint,
        )  # fmt: skip
        _enqueue_after_commit(delivery.id)
    return len(found)


def _enqueue_after_commit(delivery_id: UUID) -> None:
    """By name, because the task imports this module; without a broker the sweeper finds it."""
    arguments = {"delivery_id": str(delivery_id)}
    transaction.on_commit(
        lambda: current_app.send_task(DELIVER_TASK, kwargs=arguments), robust=True
    )


# --- delivering ---------------------------------------------------------------------------------
def enqueue_due(*, now: datetime) -> int:
    """Queue what waits and whose moment has come; returns how many."""
    with tenancy.as_system("due webhooks"):
        due = WebhookDelivery.objects.filter(state=State.WAITING, next_attempt_at__lte=now)
        keys = list(due.order_by("next_attempt_at").values_list("id", flat=True)[:AT_ONCE])
    for key in keys:
        current_app.send_task(DELIVER_TASK, kwargs={"delivery_id": str(key)})
    return len(keys)


def deliver(*, delivery_id: UUID, now: datetime) -> str | None:
    """Make one attempt; returns the delivery's state, or None when it was not ours to make."""
    claimed = _claim(delivery_id, now)
    if claimed is None:
        return None
    endpoint = settings.ALERT_WEBHOOKS.get(claimed.endpoint)
    if endpoint is None:
        return _finish(claimed, now, status=None, error="endpoint_removed", final=True)
    body = message(claimed.alert)
    status, error = None, ""
    try:
        status = _send(endpoint, str(claimed.id), body, now)
    except OutgoingError as problem:
        error = problem.code
    except signatures.BadSecret:
        error = "bad_secret"
    return _finish(claimed, now, status=status, error=error, final=status == GONE)


def message(alert: SecurityAlert) -> bytes:
    """What is sent: the same bytes at every attempt as long as the alert is the same."""
    return orjson.dumps(
        {
            "type": "security.alert.raised",
            "timestamp": alert.created_at.isoformat().replace("+00:00", "Z"),
            "data": {
                "id": str(alert.id), "kind": alert.kind, "severity": alert.severity,
                "user": str(alert.user_id) if alert.user_id else None,
                "evidence": alert.evidence,
            },
        },
        option=orjson.OPT_SORT_KEYS,
    )  # fmt: skip


def _send(endpoint: Mapping[str, Any], message_id: str, body: bytes, now: datetime) -> int:
    headers = {"Content-Type": "application/json", "User-Agent": "tracker-webhooks/1"}
    signed = signatures.headers_for(
        str(endpoint.get("secret", "")), message_id=message_id, body=body, now=now
    )
    return outgoing.post(str(endpoint.get("url", "")), body=body, headers=headers | signed)


def _claim(delivery_id: UUID, now: datetime) -> WebhookDelivery | None:
    with tenancy.as_system("webhook delivery"):
        rows = WebhookDelivery.objects.filter(id=delivery_id)
        taken = rows.filter(state=State.WAITING, next_attempt_at__lte=now).update(
            attempts=F("attempts") + 1, next_attempt_at=now + CLAIM
        )
        return rows.select_related("alert").get() if taken else None


def _finish(
    claimed: WebhookDelivery, now: datetime, *, status: int | None, error: str, final: bool
) -> str:
    delivered = status is not None and 200 <= status < 300
    if not delivered and not error:
        error = "redirect_refused" if 300 <= (status or 0) < 400 else f"status_{status}"
    given_up = final or claimed.attempts > len(WAITS)
    state = State.DELIVERED if delivered else State.FAILED if given_up else State.WAITING
    end = {"at": now.isoformat(), "status": status, "error": error}
    changes: dict[str, Any] = {
        "state": state, "last_status": status, "last_error": error,
        "attempts_log": [*claimed.attempts_log, end][-KEPT_ATTEMPTS:],
        "delivered_at": now if delivered else None,
    }  # fmt: skip
    if state == State.WAITING:
        changes["next_attempt_at"] = now + WAITS[claimed.attempts - 1]
    with tenancy.as_system("webhook delivery"):
        # Only while it is still this attempt's: staff may have begun anew meanwhile.
        WebhookDelivery.objects.filter(
            id=claimed.id, state=State.WAITING, attempts=claimed.attempts
        ).update(**changes)
    if not delivered:
        logger.warning("webhook.not_delivered", endpoint=claimed.endpoint, error=error)
    return str(state)


def _host(endpoint: Mapping[str, Any]) -> str:
    """The address itself may hold a secret in its path."""
    try:
        return (urlsplit(str(endpoint.get("url", ""))).hostname or "")[:255]
    except ValueError:
        return ""
