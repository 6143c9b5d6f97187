"""What support does for a connection. Every act is in the activity log with the member of staff.

Call inside ``as_system``: the admin works for everybody's rows. Rows are locked in one order, so
that two members of staff, or staff and a sync, wait for each other instead of deadlocking.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from celery import current_app
from django.db import transaction

from audit import log as activity
from audit.actions import Action
from exchanges import connections
from exchanges.models import ConnectionState, ExchangeConnection, QuarantinedPage
from exchanges.quarantine import REPLAYED
from portfolios.sync import requests

REPLAY_TASK = "portfolios.tasks.replay_quarantine"
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


def replay_connection(*, connection: ExchangeConnection, actor_id: UUID) -> int:
    """Have everything of a connection that can be replayed read again; returns how much that is."""
    rows = QuarantinedPage.objects.filter(user_id=connection.user_id, connection=connection)
    found = rows.filter(is_whole=True, form__in=REPLAYED).count()
    if found:
        _ask_for_replay(connection.user_id, connection.id, found, actor_id)
        _queue_replay(actor_id, connection_id=str(connection.id))
    return found


def replay_pages(*, page_ids: Sequence[UUID], actor_id: UUID) -> Outcome:
    """Have some payloads read again; balances and what was cut off cannot be."""
    rows = QuarantinedPage.objects.filter(id__in=page_ids, is_whole=True, form__in=REPLAYED)
    found = list(rows.values_list("id", "user_id", "connection_id"))
    owners = Counter((user_id, connection_id) for _, user_id, connection_id in found)
    for (user_id, connection_id), count in sorted(owners.items()):
        _ask_for_replay(user_id, connection_id, count, actor_id)
    if found:
        _queue_replay(actor_id, page_ids=[str(key) for key, _, _ in found])
    return Outcome(len(found), len(page_ids) - len(found))


def _ask_for_replay(user_id: UUID, connection_id: UUID, rows: int, actor_id: UUID) -> None:
    activity.record(
        Action.REPLAY_REQUESTED, user_id=user_id, actor_id=actor_id,
        connection_id=str(connection_id), rows=rows,
    )  # fmt: skip


def _queue_replay(actor_id: UUID, **what: Any) -> None:
    """By name: a worker reads them again, since markets may have to be fetched for it."""
    kwargs = {"actor_id": str(actor_id), **what}
    transaction.on_commit(
        lambda: current_app.send_task(REPLAY_TASK, kwargs=kwargs), robust=True
    )  # fmt: skip


def _locked(connection_ids: Sequence[UUID]) -> list[ExchangeConnection]:
    rows = ExchangeConnection.objects.select_for_update().filter(id__in=connection_ids)
    return list(rows.order_by("id"))
