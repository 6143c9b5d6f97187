"""Asking for a sync: by a person, by staff, by the first connection. Queued on commit."""

from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import transaction

from accounts.models import User
from audit import log as activity
from audit.actions import Action
from audit.log import Happening
from billing import entitlements
from exchanges import allotment, connections
from exchanges.allotment import PausedByPlan
from exchanges.models import ExchangeConnection
from portfolios.models import SyncRun, SyncState
from portfolios.sync.dispatch import REDISPATCH, STOPPED, enqueue
from tracker import clock, tenancy
from tracker.errors import DomainError


class SyncTooSoon(DomainError):
    code = "sync_too_soon"
    status = 429
    message = "This connection was synced by hand a moment ago. Please wait before the next time."


class ConnectionStopped(DomainError):
    code = "connection_stopped"
    status = 409
    message = "This connection is paused or needs a new key, so it cannot be synced."


class SyncRunning(DomainError):
    code = "sync_running"
    status = 409
    message = "This connection is being synced right now. Please try again when that is done."


def request(*, user: User, connection_id: UUID, now: datetime) -> SyncRun:
    """ "Sync now": queue a run, or return the one that is already open.

    Raises NotFound, ConnectionStopped, PausedByPlan, SyncTooSoon (by plan).
    """
    with tenancy.as_user(user.id):
        connection = connections.find(user_id=user.id, connection_id=connection_id, lock=True)
        connections.require_exchange(connection)
        if connection.state in STOPPED:
            raise ConnectionStopped
        if allotment.is_surplus(connection, entitlements.for_user(user, now=now)):
            raise PausedByPlan
        open_run = _open_run(connection)
        if open_run:
            return open_run
        _refuse_haste(user, connection, now)
        run = _queue(connection, trigger="manual", now=now)
        activity.record(Action.SYNC_REQUESTED, user_id=user.id, connection_id=str(connection_id))
        return run


def request_again(*, user: User, connection: ExchangeConnection, now: datetime) -> SyncRun:
    """Queue a run that reads again what was forgotten, or return the one that waits already.

    Call inside ``as_user`` with the connection's row locked. Raises ConnectionStopped, SyncRunning
    (it would note as read what it did not read), SyncTooSoon (by plan).
    """
    connections.require_exchange(connection)
    if connection.state in STOPPED:
        raise ConnectionStopped
    open_run = _open_run(connection)
    if open_run and (open_run.state == SyncState.RUNNING or connection.claimed_by):
        raise SyncRunning
    if open_run:
        return open_run
    _refuse_haste(user, connection, now, trigger="repair")
    return _queue(connection, trigger="repair", now=now)


def start_first(happening: Happening) -> None:
    """Subscriber of ``exchange.connection.created``: the first sync begins at once."""
    connection_id = UUID(happening.details["connection_id"])
    with tenancy.as_user(happening.owner):
        found = ExchangeConnection.objects.filter(id=connection_id, last_synced_at=None).first()
        if found and not _open_run(found):
            _queue(found, trigger="first", now=clock.now())


def queue_by_staff(*, connection: ExchangeConnection, now: datetime) -> SyncRun:
    """Queue a run for support staff, without the plan's pause between runs. Inside as_system."""
    return _open_run(connection) or _queue(connection, trigger="staff", now=now)


def _queue(connection: ExchangeConnection, *, trigger: str, now: datetime) -> SyncRun:
    run = SyncRun(
        user_id=connection.user_id, connection=connection, trigger=trigger, requested_at=now
    )
    run.save(force_insert=True)
    ExchangeConnection.objects.filter(id=connection.id).update(next_sync_at=now + REDISPATCH)
    transaction.on_commit(lambda: enqueue(connection.exchange_id, [connection.id]), robust=True)
    return run


def _open_run(connection: ExchangeConnection) -> SyncRun | None:
    return SyncRun.objects.filter(
        user_id=connection.user_id, connection=connection,
        state__in=[SyncState.QUEUED, SyncState.RUNNING],
    ).first()  # fmt: skip


def _refuse_haste(
    user: User, connection: ExchangeConnection, now: datetime, *, trigger: str = "manual"
) -> None:
    if not settings.BURST_LIMITS_ENABLED:
        return
    pause = entitlements.for_user(user).manual_sync_every
    last = (
        SyncRun.objects.filter(user_id=user.id, connection=connection, trigger=trigger)
        .order_by("-requested_at")
        .first()
    )
    if last and now - last.requested_at < pause:
        wait = last.requested_at + pause - now
        raise SyncTooSoon(retry_after=int(wait.total_seconds()) + 1)
