"""Stopping to read the accounts of somebody who leaves, and going on when they stay."""

from datetime import datetime
from uuid import UUID

from accounts.models import User
from exchanges import lateness
from exchanges.models import ConnectionKind, ConnectionState, ExchangeConnection
from tracker import tenancy

REASON = "account_closing"


def stop(*, user_id: UUID) -> int:
    """Pause every connection and take it out of the hands of whoever visits it now.

    A visit that was under way finds its claim gone and stores nothing. Idempotent; told late,
    when the person has come back meanwhile, it does nothing.
    """
    with tenancy.as_user(user_id):
        if _stays(user_id):
            return 0
        mine = ExchangeConnection.objects.filter(user_id=user_id, kind=ConnectionKind.EXCHANGE)
        stopped = mine.exclude(
            state__in=[ConnectionState.PAUSED, ConnectionState.NEEDS_NEW_KEY]
        ).update(state=ConnectionState.PAUSED, reason=REASON)
        mine.update(next_sync_at=None, claimed_by=None, lease_until=None)
        return stopped


def go_on(*, user_id: UUID, now: datetime) -> int:
    """Resume what ``stop`` paused, unless the person leaves again. Idempotent."""
    with tenancy.as_user(user_id):
        if not _stays(user_id):
            return 0
        paused = ExchangeConnection.objects.filter(
            user_id=user_id, state=ConnectionState.PAUSED, reason=REASON
        )
        return paused.update(
            state=ConnectionState.PENDING, reason="", next_sync_at=now, failures=0,
            late_after=lateness.from_now(user_id, now=now),
        )  # fmt: skip


def _stays(user_id: UUID) -> bool:
    return User.objects.filter(id=user_id, is_active=True, closes_at=None).exists()
