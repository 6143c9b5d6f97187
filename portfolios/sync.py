"""Visiting exchange accounts: claim, fetch, record. Any worker may die at any moment.

1. **Claim** connections with a lease in PostgreSQL (30 seconds, renewed every 10), so that one is
   never visited twice at once and a dead worker's claim lapses by itself.
2. **Fetch** all of them concurrently through the gateway, with no transaction open.
3. **Record** each as it comes back, in a transaction of its own under its own user.

A task carries connection ids and nothing else; what is due stands in PostgreSQL, so a queue lost
with Redis is found again by the next tick of ``dispatch_due``.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain
from uuid import UUID

from celery import current_app
from django.conf import settings
from django.db import connection as database
from django.db import transaction

from accounts.models import User
from audit import log as activity
from audit import parking
from audit.actions import Action
from audit.log import Happening
from billing import entitlements, plans
from exchanges import connections, credentials, gateway
from exchanges.gateway.errors import CredentialUnreadable, GatewayError
from exchanges.models import ConnectionState, Coverage, ExchangeConnection
from exchanges.reports import AccountReport, Covered, Visit
from portfolios import holdings, recording
from portfolios.models import LedgerEntry, SyncRun, SyncState
from portfolios.recording import Claim
from tracker import clock, ids, tenancy
from tracker.errors import DomainError
from tracker.logs import get_logger

log = get_logger(__name__)
SYNC_TASK = "portfolios.tasks.sync_batch"
LEASE = timedelta(seconds=30)
RENEW_EVERY_SECONDS = 10.0
# A dispatched connection is due again after this, should its message have been lost.
REDISPATCH = timedelta(seconds=30)
FULL_VISIT_EVERY = timedelta(days=1)
KEEP_SCHEDULED_RUNS = timedelta(days=14)
BATCH = 50
PUT_ASIDE = "sync_put_aside"
_STOPPED = (ConnectionState.PAUSED, ConnectionState.NEEDS_NEW_KEY)


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


# --- asking for a sync --------------------------------------------------------------------------
def request(*, user: User, connection_id: UUID, now: datetime) -> SyncRun:
    """ "Sync now": queue a run, or return the one that is already open.

    Raises NotFound, ConnectionStopped, SyncTooSoon (by plan).
    """
    with tenancy.as_user(user.id):
        connection = connections.find(user_id=user.id, connection_id=connection_id, lock=True)
        connections.require_exchange(connection)
        if connection.state in _STOPPED:
            raise ConnectionStopped
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
    if connection.state in _STOPPED:
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
    transaction.on_commit(lambda: _enqueue(connection.exchange_id, [connection.id]), robust=True)
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


def _enqueue(exchange: str, connection_ids: Sequence[UUID]) -> None:
    """By name: the task calls this module, which therefore cannot import it."""
    current_app.send_task(
        SYNC_TASK,
        kwargs={"exchange": exchange, "connection_ids": [str(key) for key in connection_ids]},
    )


# --- what is due --------------------------------------------------------------------------------
def dispatch_due(*, now: datetime) -> int:
    """Queue every connection that is due, in batches per exchange; returns how many.

    Each is marked as dispatched for 30 seconds in the same statement that picks it, so two beats
    at once dispatch it once, and one whose message was lost comes up again. One that was in the
    hands of a worker that died goes alone, so that it takes nobody with it a second time.
    """
    with tenancy.as_system("dispatch due syncs"), database.cursor() as cursor:
        cursor.execute(
            """
                UPDATE exchange_connections SET next_sync_at = %s
                WHERE id IN (
                    SELECT id FROM exchange_connections
                    WHERE next_sync_at <= %s AND (lease_until IS NULL OR lease_until < %s)
                    ORDER BY next_sync_at LIMIT 5000 FOR UPDATE SKIP LOCKED
                ) RETURNING exchange_id, id, claimed_by IS NOT NULL
                """,
            [now + REDISPATCH, now, now],
        )
        due: dict[tuple[str, int], list[UUID]] = {}
        for exchange, connection_id, was_dropped in cursor.fetchall():
            due.setdefault((exchange, 1 if was_dropped else BATCH), []).append(connection_id)
    for (exchange, size), found in due.items():
        for start in range(0, len(found), size):
            _enqueue(exchange, found[start : start + size])
    return sum(map(len, due.values()))


def put_aside(happening: Happening) -> None:
    """Subscriber of ``system.task.parked``: a visit that kills its workers pauses its account."""
    told = happening.details
    if told["task"] != SYNC_TASK:
        return
    keys = told["arguments"]["connection_ids"]
    with tenancy.as_system("put syncs aside"):
        for row in ExchangeConnection.objects.filter(id__in=keys):
            connections.pause(user_id=row.user_id, connection_id=row.id, reason=PUT_ASIDE)
        ExchangeConnection.objects.filter(id__in=keys).update(claimed_by=None, lease_until=None)
        SyncRun.objects.filter(
            connection_id__in=keys, state__in=[SyncState.QUEUED, SyncState.RUNNING]
        ).update(state=SyncState.FAILED, error=PUT_ASIDE, finished_at=clock.now())
    # Paused, they are not dispatched; who resumes one wants it tried.
    parking.forgive(name=SYNC_TASK, arguments=told["arguments"])


# --- visiting -----------------------------------------------------------------------------------
def visit_batch(*, exchange: str, connection_ids: Sequence[UUID], now: datetime) -> dict[str, int]:
    """Claim, fetch and record a batch; returns how many runs ended in which state.

    Connections that another worker holds, or that stopped meanwhile, are left alone.
    """
    token = ids.new_id()
    claims, visits = _claim(exchange, connection_ids, token, now)
    outcomes: dict[str, int] = {}
    if not claims:
        return outcomes
    # Without its data key, or its row, a credential cannot even be handed to the gateway.
    keyless = claims.keys() - {visit.connection_id for visit in visits}
    with _lease_kept(token):
        _show_balances_first(claims, visits)
        unreadable = ((key, CredentialUnreadable()) for key in sorted(keyless))
        for result in chain(unreadable, _ask(visits)):
            state = _record(claims, result)
            outcomes[state] = outcomes.get(state, 0) + 1
    return outcomes


def _ask(visits: Sequence[Visit]) -> Iterator[AccountReport | tuple[UUID, GatewayError]]:
    return gateway.visit_accounts(
        visits,
        concurrency=settings.SYNC_CONCURRENCY,
        deadline_seconds=settings.SYNC_DEADLINE_SECONDS,
    )


def _show_balances_first(claims: Mapping[UUID, Claim], visits: Sequence[Visit]) -> None:
    """A first import may take minutes; what the account holds is on the screen before it."""
    first = [replace(visit, history=False) for visit in visits if not visit.held]
    for result in _ask(first):
        if isinstance(result, AccountReport):
            recording.record_balances(claim=claims[result.connection_id], report=result)


def _record(claims: Mapping[UUID, Claim], result: AccountReport | tuple[UUID, GatewayError]) -> str:
    if isinstance(result, AccountReport):
        claim = claims[result.connection_id]
        state = recording.record(claim=claim, report=result, now=clock.now())
        return str(state or "lost")
    connection_id, error = result
    recording.record_failure(claim=claims[connection_id], error=error, now=clock.now())
    return str(SyncState.FAILED)


def _claim(
    exchange: str, connection_ids: Sequence[UUID], token: UUID, now: datetime
) -> tuple[dict[UUID, Claim], list[Visit]]:
    """Take what is free and load what the visits need: a fixed number of queries for any batch.

    What was visited meanwhile (its message came twice) is not due any more and is left alone.
    """
    with tenancy.as_system("claim syncs"):
        with database.cursor() as cursor:
            cursor.execute(
                """
                UPDATE exchange_connections SET claimed_by = %s, lease_until = %s
                WHERE id IN (
                    SELECT id FROM exchange_connections
                    WHERE id = ANY(%s) AND exchange_id = %s AND state <> ALL(%s)
                      AND next_sync_at <= %s
                      AND (lease_until IS NULL OR lease_until < %s)
                    FOR UPDATE SKIP LOCKED
                ) RETURNING id
                """,
                [
                    token,
                    now + LEASE,
                    list(connection_ids),
                    exchange,
                    list(_STOPPED),
                    now + REDISPATCH,
                    now,
                ],
            )
            taken = [row[0] for row in cursor.fetchall()]
        if not taken:
            return {}, []
        rows = list(
            ExchangeConnection.objects.filter(id__in=taken).select_related("user").order_by("id")
        )
        wanted = _start_runs(rows, now)
        return {row.id: _claim_of(row, token) for row in rows}, _visits(rows, wanted, now)


def _claim_of(row: ExchangeConnection, token: UUID) -> Claim:
    plan = plans.plan(row.user.subscription_tier)
    return Claim(
        connection_id=row.id, user_id=row.user_id, exchange=row.exchange_id, token=token,
        sync_every=plan.sync_every,
    )  # fmt: skip


def _start_runs(rows: Sequence[ExchangeConnection], now: datetime) -> set[UUID]:
    """Mark queued runs as running, open one where there is none; returns the asked-for ones."""
    keys = [row.id for row in rows]
    runs = SyncRun.objects.filter(
        connection_id__in=keys, state__in=[SyncState.QUEUED, SyncState.RUNNING]
    )
    triggers = dict(runs.values_list("connection_id", "trigger"))
    runs.update(state=SyncState.RUNNING, started_at=now)
    SyncRun.objects.bulk_create(
        SyncRun(
            user_id=row.user_id, connection_id=row.id, trigger="schedule", requested_at=now,
            started_at=now, state=SyncState.RUNNING,
        )
        for row in rows
        if row.id not in triggers
    )  # fmt: skip
    return set(triggers)


def _visits(rows: Sequence[ExchangeConnection], asked_for: set[UUID], now: datetime) -> list[Visit]:
    keys = [row.id for row in rows]
    sealed = credentials.load(keys)
    known = _coverage(keys)
    held = holdings.recorded_places(keys)
    full = {row.id for row in rows if row.id in asked_for or _full_is_due(row, now)}
    traded = _traded_codes(full)
    return [
        Visit(
            connection_id=row.id, exchange=row.exchange_id, credential=sealed[row.id], now=now,
            known=known.get(row.id, {}), held=held[row.id], everything=row.id in full,
            codes=frozenset(code for _, code in held[row.id]) | traded.get(row.id, frozenset()),
        )
        for row in rows
        if row.id in sealed
    ]  # fmt: skip


def _full_is_due(row: ExchangeConnection, now: datetime) -> bool:
    """Once a day everything is asked: a purchase and its sale can leave no trace in a balance.

    Also after a partial run: a feed that failed would else wait until a balance moves.
    """
    if row.last_full_at is None or row.state == ConnectionState.PARTIAL:
        return True
    return now - row.last_full_at >= FULL_VISIT_EVERY


def _coverage(keys: Sequence[UUID]) -> dict[UUID, dict[tuple[str, str], Covered]]:
    found: dict[UUID, dict[tuple[str, str], Covered]] = {}
    for row in Coverage.objects.filter(connection_id__in=keys):
        covered = Covered(row.feed, row.scope, row.since, row.until, row.cursor)
        found.setdefault(row.connection_id, {})[row.feed, row.scope] = covered
    return found


def _traded_codes(keys: set[UUID]) -> dict[UUID, frozenset[str]]:
    """Labels of every asset in the ledgers: where to look for trades of coins long gone."""
    found: dict[UUID, set[str]] = {}
    rows = LedgerEntry.objects.filter(connection_id__in=keys).order_by()
    for connection_id, code in rows.values_list("connection_id", "asset__code").distinct():
        found.setdefault(connection_id, set()).add(code)
    return {key: frozenset(codes) for key, codes in found.items()}


def forget_old_runs(*, now: datetime) -> int:
    """Delete finished scheduled runs older than two weeks: every five minutes makes many."""
    with tenancy.as_system("forget old sync runs"):
        return SyncRun.objects.filter(
            trigger="schedule", finished_at__lt=now - KEEP_SCHEDULED_RUNS
        ).delete()[0]


@contextmanager
def _lease_kept(token: UUID) -> Iterator[None]:
    """Renew the lease of everything this batch holds until the batch is done."""
    done = threading.Event()
    thread = threading.Thread(target=_renew_until, args=(done, token), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _renew_until(done: threading.Event, token: UUID) -> None:
    try:
        while not done.wait(RENEW_EVERY_SECONDS):
            _renew(token)
    finally:
        database.close()  # this thread's own connection


def _renew(token: UUID) -> None:
    try:
        with tenancy.as_system("renew sync lease"):
            ExchangeConnection.objects.filter(claimed_by=token).update(
                lease_until=clock.now() + LEASE
            )
    except Exception as error:  # the database may be away; the next renewal tries again
        log.warning("sync.lease_not_renewed", error=type(error).__name__)
        database.close()
