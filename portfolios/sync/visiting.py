"""Visiting exchange accounts: claim, fetch, record. Any worker may die at any moment.

1. **Claim** connections with a lease in PostgreSQL (30 seconds, renewed every 10), so that one is
   never visited twice at once and a dead worker's claim lapses by itself.
2. **Fetch** all of them concurrently through the gateway, with no transaction open.
3. **Record** each as it comes back, in a transaction of its own under its own user.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain
from uuid import UUID

from django.conf import settings
from django.db import connection as database

from billing import plans
from exchanges import credentials, gateway
from exchanges.gateway.errors import CredentialUnreadable, GatewayError
from exchanges.models import ConnectionState, Coverage, ExchangeConnection
from exchanges.reports import AccountReport, Covered, Visit
from portfolios.models import LedgerEntry, SyncRun, SyncState
from portfolios.sync import holdings, recording
from portfolios.sync.dispatch import REDISPATCH, STOPPED
from portfolios.sync.recording import Claim
from tracker import clock, ids, tenancy
from tracker.logs import get_logger

log = get_logger(__name__)


LEASE = timedelta(seconds=30)


RENEW_EVERY_SECONDS = 10.0


FULL_VISIT_EVERY = timedelta(days=1)


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
                    list(STOPPED),
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
