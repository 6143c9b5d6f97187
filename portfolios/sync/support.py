"""What support does for a connection. Every act is in the activity log with the member of staff.

Call inside ``as_system``: the admin works for everybody's rows. Rows are locked in one order, so
that two members of staff, or staff and a sync, wait for each other instead of deadlocking.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from audit import log as activity
from audit.actions import Action
from exchanges import connections
from exchanges.models import ConnectionState, ExchangeConnection
from portfolios.sync import requests

_NOT_SYNCED = (ConnectionState.PAUSED, ConnectionState.NEEDS_NEW_KEY)


@dataclass(frozen=True, slots=True)
class Outcome:
    """For how many connections an act was done, and to how many it did not apply."""

    done: int
    skipped: int


def sync_now(*, connection_ids: Sequence[UUID], actor_id: UUID, now: datetime) -> Outcome:
    """Queue a sync of each connection that is neither paused nor without a valid key.

    The plan's pause between syncs does not hold for staff. A sync that is already queued stays
    the one.
    """
    rows = _locked(connection_ids)
    wanted = [row for row in rows if row.state not in _NOT_SYNCED]
    for row in wanted:
        requests.queue_by_staff(connection=row, now=now)
        activity.record(
            Action.SYNC_REQUESTED, user_id=row.user_id, actor_id=actor_id,
            connection_id=str(row.id), trigger="staff",
        )  # fmt: skip
    return Outcome(len(wanted), len(rows) - len(wanted))


def pause(*, connection_ids: Sequence[UUID], actor_id: UUID) -> Outcome:
    """Stop syncing each connection until somebody resumes it."""
    rows = _locked(connection_ids)
    wanted = [row for row in rows if row.state != ConnectionState.PAUSED]
    for row in wanted:
        connections.pause(
            user_id=row.user_id, connection_id=row.id, reason="paused_by_staff", actor_id=actor_id
        )
    return Outcome(len(wanted), len(rows) - len(wanted))


def resume(*, connection_ids: Sequence[UUID], actor_id: UUID, now: datetime) -> Outcome:
    """Sync each paused connection again, starting now; a refused key stays refused."""
    rows = _locked(connection_ids)
    wanted = [row for row in rows if row.state == ConnectionState.PAUSED]
    for row in wanted:
        connections.resume(user_id=row.user_id, connection_id=row.id, now=now, actor_id=actor_id)
    return Outcome(len(wanted), len(rows) - len(wanted))


def _locked(connection_ids: Sequence[UUID]) -> list[ExchangeConnection]:
    rows = ExchangeConnection.objects.select_for_update().filter(id__in=connection_ids)
    return list(rows.order_by("id"))
