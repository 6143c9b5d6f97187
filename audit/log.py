"""Writing the activity log, and handing acts upwards.

``record`` writes in the caller's transaction. When somebody above subscribed to the action, an
outbox row is written with it; after the commit the subscribers run, and the row goes. What a dead
process left behind is delivered by ``sweep``. Subscribers are therefore idempotent.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Least

from audit import sealing
from audit.actions import Action
from audit.models import ActivityLog, OutboxEntry
from tracker import partitions, tenancy
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
    of_this_request: bool = True,
    **details: Any,
) -> None:
    """Write one act to the log, in the caller's transaction and under the caller's identity.

    Address, session and request are those of the request or task, unless the caller knows better.
    Without ``of_this_request`` they are left out: the request is that of another person, of whom
    ``user_id`` must not learn where they are.
    """
    context = structlog.contextvars.get_contextvars() if of_this_request else {}
    request_id = str(context.get("request_id") or "")
    ActivityLog.objects.bulk_create([
        ActivityLog(
            user_id=user_id, actor_id=actor_id, action=action, outcome=outcome, details=details,
            ip_address=ip_address or context.get("client_address"),
            session_id=session_id or context.get("session_id"), request_id=request_id,
        )
    ])  # fmt: skip
    if _subscribers.get(action):
        entry = OutboxEntry(user_id=user_id, action=action, details=details, request_id=request_id)
        OutboxEntry.objects.bulk_create([entry])
        transaction.on_commit(lambda: _deliver_safely(entry), robust=True)


# --- the two sanctioned exceptions --------------------------------------------------------------
# One moment for all rows: with the month it names the group that the marker vouches for.
_ERASE = f"""
    WITH erasure AS MATERIALIZED (SELECT clock_timestamp() AS at), changed AS (
        UPDATE activity_logs AS r SET
            user_id = nullif(r.user_id, %(person)s), actor_id = nullif(r.actor_id, %(person)s),
            details = '{{}}', ip_address = NULL, session_id = NULL, request_id = '', salt = NULL,
            erased_at = coalesce(r.erased_at, erasure.at)
        FROM erasure
        WHERE r.user_id = %(person)s OR r.actor_id = %(person)s
        RETURNING r.id, r.created_at, r.erased_at
    ), emptied AS (  -- without those that were emptied when the other person of theirs was erased
        SELECT changed.* FROM changed, erasure WHERE changed.erased_at = erasure.at
    )
    {sealing.ERASED_GROUPS.format(rows="emptied")}
"""  # noqa: S608  (fixed text)


def erase(user_id: UUID) -> int:
    """Empty what the log says about a person; returns how many rows. Safe to run again.

    What was done and when stays, so that the chain holds. The trigger lets nothing else through.
    A marker in the log says which rows were emptied, by month and without naming anybody: what
    was emptied in another way has none, and the verification finds it.
    """
    with _as_system("erase from the activity log"), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.erasing', %s, true)", [str(user_id)])
        cursor.execute(_ERASE, {"person": user_id})
        groups = cursor.fetchall()
        cursor.execute("SELECT set_config('app.erasing', '', true)")
        rows = sum(count for _, _, count, _ in groups)
        if groups:
            months = {month: {"rows": count, "ids": ids} for _, month, count, ids in groups}
            erased_at = groups[0][0]
            record(
                Action.ACTIVITY_ERASED, user_id=None, of_this_request=False, rows=rows,
                erased_at=erased_at, months=months,
            )  # fmt: skip
        return rows


def retire(*, before: date, dry_run: bool = False) -> int:
    """Drop the months that ended by ``before``; returns how many. Leaves a marker in the log.

    The verification needs the marker to tell what was retired from what is missing.
    """
    with _as_system("retire the activity log"), connection.cursor() as cursor:
        months = partitions.ended("activity_logs", before=before)
        if dry_run or not months:
            return len(months)
        # Dropping needs the whole table for a moment; who waits too long for it tries tomorrow.
        cursor.execute("SET LOCAL lock_timeout = '5s'")
        for name in months:
            cursor.execute(f'DROP TABLE "{name}"')
        cursor.execute("SET LOCAL lock_timeout = DEFAULT")
        record(
            Action.RETENTION_APPLIED, user_id=None, table="activity_logs", months=len(months),
            before=max(months.values()).isoformat(),
        )  # fmt: skip
    return len(months)


def _as_system(reason: str) -> AbstractContextManager[None]:
    return nullcontext() if tenancy.current().system else tenancy.as_system(reason)


# --- handing upwards ----------------------------------------------------------------------------
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
