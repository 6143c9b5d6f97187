"""Visiting exchange accounts: claim, fetch, record. Any worker may die at any moment.

1. **Claim** connections with a lease in PostgreSQL (30 seconds, renewed every 10), so that one is
   never visited twice at once and a dead worker's claim lapses by itself.
2. **Fetch** all of them concurrently through the gateway, with no transaction open.
3. **Record** each as it comes back, in a transaction of its own under its own user.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection as database
from django.db.models import F, Value
from django.db.models.functions import Coalesce

from billing import entitlements
from billing.plans import Plan
from exchanges import circuits, credentials, gateway
from exchanges.gateway.errors import CredentialUnreadable, GatewayError, Unreachable
from exchanges.models import ConnectionState, Coverage, ExchangeConnection
from exchanges.reports import AccountReport, Covered, Visit
from portfolios.models import LedgerEntry, SyncRun, SyncState
from portfolios.sync import holdings, recording
from portfolios.sync.dispatch import IMPORTS, REDISPATCH, STOPPED, enqueue
from portfolios.sync.progress import Board
from portfolios.sync.recording import Claim
from tracker import clock, ids, tenancy
from tracker.logs import get_logger

log = get_logger(__name__)
LEASE = timedelta(seconds=30)
RENEW_EVERY_SECONDS = 10.0
TELL_EVERY_SECONDS = 2.0
FULL_VISIT_EVERY = timedelta(days=1)
Result = AccountReport | tuple[UUID, GatewayError]


def visit_batch(
    *, exchange: str, connection_ids: Sequence[UUID], now: datetime, imports: bool = True
) -> dict[str, int]:
    """Claim, fetch and record a batch; returns how many runs ended in which state.

    Connections that another worker holds, or that stopped meanwhile, are left alone. Without
    ``imports``, whose history was never read to the end is asked for its balances alone, and then
    queued with the first imports. So is what could not be finished in one visit.
    """
    token = ids.new_id()
    claims, visits = _claim(exchange, connection_ids, token, now)
    tally = _Tally()
    if not claims:
        return tally.outcomes
    board = Board(claims)
    # Without its data key, or its row, a credential cannot even be handed to the gateway.
    keyless = claims.keys() - {visit.connection_id for visit in visits}
    with _lease_kept(token, board):
        for connection_id in sorted(keyless):
            tally.add(_record(claims, (connection_id, CredentialUnreadable())))
        first, others = _parted(visits)
        refused = _show_balances_first(claims, first, tally)
        first = [visit for visit in first if visit.connection_id not in refused]
        if not imports:
            _hand_over(claims, first, tally)
            first = []
        for result in _ask([*first, *others], board):
            tally.met(result)
            board.tell()
            tally.add(_record(claims, result), result)
    _note_circuit(exchange, tally)
    if tally.unfinished:
        enqueue(exchange, tally.unfinished, queue=IMPORTS)
    return tally.outcomes


@dataclass(slots=True)
class _Tally:
    """What became of a batch."""

    outcomes: dict[str, int] = field(default_factory=dict)
    answered: int = 0
    unanswered: int = 0
    unfinished: list[UUID] = field(default_factory=list)

    def met(self, result: Result) -> None:
        """Whether the exchange answered this account at all."""
        silent = not isinstance(result, AccountReport) and isinstance(result[1], Unreachable)
        self.unanswered += silent
        self.answered += not silent

    def add(self, state: str, result: Result | None = None) -> None:
        self.outcomes[state] = self.outcomes.get(state, 0) + 1
        goes_on = isinstance(result, AccountReport) and not result.resume_after
        if state == SyncState.QUEUED and goes_on:
            self.unfinished.append(result.connection_id)  # type: ignore[union-attr]


def _parted(visits: Sequence[Visit]) -> tuple[list[Visit], list[Visit]]:
    first = [visit for visit in visits if visit.first_import]
    return first, [visit for visit in visits if not visit.first_import]


def _ask(visits: Sequence[Visit], board: Board | None = None) -> Iterator[Result]:
    asked_for = board and any(visit.everything for visit in visits)
    return gateway.visit_accounts(
        visits,
        concurrency=settings.SYNC_CONCURRENCY,
        deadline_seconds=settings.SYNC_DEADLINE_SECONDS,
        watch=board.note if board and asked_for else None,
    )


def _show_balances_first(
    claims: Mapping[UUID, Claim], visits: Sequence[Visit], tally: _Tally
) -> set[UUID]:
    """A first import may take minutes; what the account holds is on the screen before it.

    Returns the accounts that could not even be asked for that: their visit has failed.
    """
    refused: set[UUID] = set()
    unseen = [replace(visit, history=False) for visit in visits if not visit.held]
    for result in _ask(unseen):
        tally.met(result)
        if isinstance(result, AccountReport):
            recording.record_balances(claim=claims[result.connection_id], report=result)
        else:
            refused.add(result[0])
            tally.add(_record(claims, result))
    return refused


def _hand_over(claims: Mapping[UUID, Claim], visits: Sequence[Visit], tally: _Tally) -> None:
    """Let go of accounts whose balances are known and whose history is to be read next."""
    for visit in visits:
        if recording.put_off(claim=claims[visit.connection_id], now=clock.now()):
            tally.unfinished.append(visit.connection_id)


def _record(claims: Mapping[UUID, Claim], result: Result) -> str:
    if isinstance(result, AccountReport):
        claim = claims[result.connection_id]
        state = recording.record(claim=claim, report=result, now=clock.now())
        return str(state or "lost")
    connection_id, error = result
    recording.record_failure(claim=claims[connection_id], error=error, now=clock.now())
    return str(SyncState.FAILED)


def _note_circuit(exchange: str, tally: _Tally) -> None:
    with tenancy.as_system("note whether an exchange answers"):
        circuits.note(
            exchange=exchange, answered=tally.answered, unanswered=tally.unanswered,
            now=clock.now(),
        )  # fmt: skip


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
        granted = entitlements.of_users({row.user_id for row in rows}, now=now)
        claims = {
            row.id: _claim_of(row, granted[row.user_id].plan, token, wanted.get(row.id, 0))
            for row in rows
        }
        return claims, _visits(rows, wanted, now)


def _claim_of(row: ExchangeConnection, plan: Plan, token: UUID, calls_before: int) -> Claim:
    return Claim(
        connection_id=row.id, user_id=row.user_id, exchange=row.exchange_id, token=token,
        sync_every=plan.sync_every, calls_before=calls_before,
    )  # fmt: skip


def _start_runs(rows: Sequence[ExchangeConnection], now: datetime) -> dict[UUID, int]:
    """Mark queued runs as running, open one where there is none.

    Returns those that were asked for or go on, with the calls that were made for them before.
    """
    keys = [row.id for row in rows]
    runs = SyncRun.objects.filter(
        connection_id__in=keys, state__in=[SyncState.QUEUED, SyncState.RUNNING]
    )
    found = dict(runs.values_list("connection_id", "calls_done"))
    runs.update(
        state=SyncState.RUNNING, started_at=Coalesce("started_at", Value(now)),
        visits=F("visits") + 1,
    )  # fmt: skip
    SyncRun.objects.bulk_create(
        SyncRun(
            user_id=row.user_id, connection_id=row.id, trigger="schedule", requested_at=now,
            started_at=now, state=SyncState.RUNNING, visits=1,
        )
        for row in rows
        if row.id not in found
    )  # fmt: skip
    return found


def _visits(
    rows: Sequence[ExchangeConnection], asked_for: Collection[UUID], now: datetime
) -> list[Visit]:
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
            first_import=row.state == ConnectionState.PENDING,
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
def _lease_kept(token: UUID, board: Board) -> Iterator[None]:
    """Until the batch is done, renew the lease of all that it holds, and tell how far it is."""
    done = threading.Event()
    thread = threading.Thread(target=_renew_until, args=(done, token, board), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _renew_until(done: threading.Event, token: UUID, board: Board) -> None:
    rounds = 0
    try:
        while not done.wait(TELL_EVERY_SECONDS):
            rounds += 1
            if rounds * TELL_EVERY_SECONDS % RENEW_EVERY_SECONDS == 0:
                _or_later("lease", lambda: _renew(token))
            _or_later("progress", board.tell)
    finally:
        database.close()  # this thread's own connection


def _or_later(what: str, work: Callable[[], None]) -> None:
    try:
        work()
    except Exception as error:  # the database may be away; the next round tries again
        log.warning("sync.not_noted", what=what, error=type(error).__name__)
        database.close()


def _renew(token: UUID) -> None:
    with tenancy.as_system("renew sync lease"):
        ExchangeConnection.objects.filter(claimed_by=token).update(lease_until=clock.now() + LEASE)
