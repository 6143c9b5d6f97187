"""Writing the activity log, and handing acts upwards.

``record`` writes in the caller's transaction. When somebody above subscribed to the action, an
outbox row is written with it; after the commit the subscribers run, and the row goes. What a dead
process left behind is delivered by ``sweep``. Subscribers are therefore idempotent.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Least

from audit.actions import Action
from audit.models import ActivityLog, OutboxEntry
from tracker import tenancy
from tracker.logs import get_logger

log = get_logger(__name__)
SWEEP_AFTER = timedelta(seconds=30)
MOST_ATTEMPTS = 32_767  # what the column holds


@dataclass(frozen=True, slots=True)
class Happening:
    """What a subscriber is told. ``details`` is what ``record`` was given: ids, no secrets."""

    action: Action
    user_id: UUID | None
    details: Mapping[str, Any]

    @property
    def owner(self) -> UUID:
        """The person whom it concerns. Raises LookupError for an act of the system."""
        if self.user_id is None:
            raise LookupError(f"{self.action} concerns nobody")
        return self.user_id


Subscriber = Callable[[Happening], None]
_subscribers: dict[str, list[Subscriber]] = defaultdict(list)


def subscribe(action: Action, subscriber: Subscriber) -> None:
    """Have ``subscriber`` called after each commit of ``action``; called in ``AppConfig.ready``."""
    if subscriber not in _subscribers[action]:
        _subscribers[action].append(subscriber)


def record(
    action: Action,
    *,
    user_id: UUID | None,
    actor_id: UUID | None = None,
    outcome: str = "ok",
    ip_address: str | None = None,
    session_id: UUID | None = None,
    **details: Any,
) -> None:
    """Write one act to the log, in the caller's transaction and under the caller's identity."""
    context = structlog.contextvars.get_contextvars()
    request_id = str(context.get("request_id") or "")
    ActivityLog.objects.bulk_create([
        ActivityLog(
            user_id=user_id, actor_id=actor_id, action=action, outcome=outcome, details=details,
            ip_address=ip_address or context.get("client_address"), session_id=session_id,
            request_id=request_id,
        )
    ])  # fmt: skip
    if _subscribers.get(action):
        entry = OutboxEntry(user_id=user_id, action=action, details=details, request_id=request_id)
        OutboxEntry.objects.bulk_create([entry])
        transaction.on_commit(lambda: _deliver_safely(entry), robust=True)


def sweep(*, now: datetime) -> int:
    """Deliver what was left behind by a process that died or a broker that was away."""
    with tenancy.as_system("outbox sweep"):
        # What failed most often comes last, so that no heap of it keeps the rest waiting.
        waiting = OutboxEntry.objects.filter(created_at__lt=now - SWEEP_AFTER)
        left = list(waiting.order_by("attempts", "created_at")[:500])
    return sum(_deliver_safely(entry) for entry in left)


def _deliver_safely(entry: OutboxEntry) -> bool:
    """Run the subscribers; on any failure the row stays and the sweeper tries again."""
    try:
        happening = Happening(Action(entry.action), entry.user_id, entry.details)
        for subscriber in _subscribers.get(entry.action, ()):
            subscriber(happening)
    except Exception as error:  # one broken subscriber must not stop the others' deliveries
        log.error("outbox.delivery_failed", action=entry.action, error=type(error).__name__)
        with tenancy.as_system("outbox"):
            OutboxEntry.objects.filter(id=entry.id).update(
                attempts=Least(F("attempts") + 1, MOST_ATTEMPTS)
            )
        return False
    with tenancy.as_system("outbox"):
        OutboxEntry.objects.filter(id=entry.id).delete()
    return True
