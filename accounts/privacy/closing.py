"""Closing one's account: fourteen days to think it over, then it is erased."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from celery import current_app
from django.conf import settings

from accounts import notifications, sessions
from accounts.models import Session, User
from accounts.notifications import Event
from accounts.privacy import erasure, inventory, tombstones
from audit import log as activity
from audit.actions import Action
from billing import erasure as billing
from billing.erasure import SubscriptionActive
from tracker import tenancy
from tracker.logs import get_logger

log = get_logger(__name__)
ERASE_TASK = "accounts.tasks.erase_closed_account"
# How long an erasure waits for a mail server that does not take the last message.
PATIENCE = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Closing:
    """When everything will be deleted."""

    closes_at: datetime
    backups: str = inventory.BACKUPS


def request(
    *, user_id: UUID, ip_address: str | None, now: datetime, actor_id: UUID | None = None,
    reason: str = "",
) -> Closing:  # fmt: skip
    """Close an account after the days of grace; everywhere signed out at once.

    ``actor_id`` and ``reason`` are those of staff who do it for the person. Asked again, the first
    date stays. Raises SubscriptionActive.
    """
    with tenancy.as_user(user_id):
        user = User.objects.select_for_update(no_key=True).get(id=user_id)
        billing.refuse_while_subscribed(user)
        if user.closes_at is None:
            user.closes_at = now + settings.CLOSING_GRACE
            user.save(update_fields=["closes_at"])
            activity.record(
                Action.USER_CLOSING, user_id=user_id, ip_address=ip_address, actor_id=actor_id,
                closes_at=user.closes_at.isoformat(), **_why(reason),
            )  # fmt: skip
            notifications.notify(
                user_id=user_id, event=Event.ACCOUNT_CLOSING, dedupe=user.closes_at.isoformat(),
                now=now, closes_at=user.closes_at,
            )  # fmt: skip
        sessions.end(Session.objects.filter(user_id=user_id), reason="closing", now=now)
        return Closing(user.closes_at)


def _why(reason: str) -> dict[str, Any]:
    return {"reason": reason} if reason else {}


def dispatch_due(*, now: datetime) -> int:
    """Queue everybody whose days of grace are over, one task each; returns how many."""
    with tenancy.as_system("close accounts"):
        due = User.objects.filter(closes_at__lte=now).order_by("closes_at")
        found = list(due.values_list("id", flat=True)[:1000])
    for user_id in found:
        current_app.send_task(ERASE_TASK, kwargs={"user_id": str(user_id)})
    return len(found)


def finish(*, user_id: UUID, now: datetime) -> bool:
    """Erase a person whose days of grace are over; returns whether that happened.

    One conditional UPDATE decides against somebody who signs in at this moment: who is not
    active cannot sign in, so from there on nothing cancels it.
    """
    with tenancy.as_user(user_id):
        user = User.objects.select_for_update(no_key=True).filter(id=user_id).first()
        if user is None or user.closes_at is None or user.closes_at > now:
            return False
        try:
            billing.refuse_while_subscribed(user)
        except SubscriptionActive:
            log.error("closing.subscription_active")
            return False
        User.objects.filter(id=user_id).update(is_active=False)
    if not erasure.say_goodbye(user_id=user_id, now=now) and now - user.closes_at < PATIENCE:
        return False
    erasure.erase(user_id=user_id, now=now)
    return True


def replay(*, now: datetime) -> Iterator[bool]:
    """Erase again whoever came back with a restored backup.

    Yields for each line of the erasure log whether there was something to erase.
    """
    for stone in tombstones.read():
        back = erasure.remains(stone.user_id)
        if back:
            erasure.erase(user_id=stone.user_id, now=now)
        yield back
