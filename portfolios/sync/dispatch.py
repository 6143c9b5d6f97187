"""What is due: picked in one statement, queued in batches per exchange.

What is due stands in PostgreSQL; a queue that was lost with Redis is found by the next tick. First
imports have a queue of their own, so that minutes of history never stand before somebody's daily
update. An exchange that answers nobody is left alone, but for one account that tries.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from celery import current_app
from django.db import connection as database

from exchanges import allotment, circuits
from exchanges.circuits import Circuit
from exchanges.models import ConnectionState
from portfolios.models import SyncRun
from tracker import tenancy

SYNC_TASK = "portfolios.tasks.sync_batch"
UPDATES, IMPORTS = "sync", "imports"  # queues
# A dispatched connection is due again after this, should its message have been lost.
REDISPATCH = timedelta(seconds=30)
KEEP_SCHEDULED_RUNS = timedelta(days=14)
BATCH = 50
IMPORTS_AT_ONCE = 10  # of one batch; each may take long
STOPPED = (ConnectionState.PAUSED, ConnectionState.NEEDS_NEW_KEY)
# An array is made once. A sub-select behind IN may be run again for each row that is looked at,
# and with SKIP LOCKED it then finds others each time: more than LIMIT in all.
_DUE = """
UPDATE exchange_connections SET next_sync_at = %(again)s
WHERE id = ANY(ARRAY(
    SELECT id FROM exchange_connections
    WHERE next_sync_at <= %(now)s AND (lease_until IS NULL OR lease_until < %(now)s)
      AND {exchanges}
    ORDER BY next_sync_at LIMIT %(most)s FOR UPDATE SKIP LOCKED
)) RETURNING exchange_id, id, state = 'pending', claimed_by IS NOT NULL
"""
_ANY_BUT = _DUE.format(exchanges="exchange_id <> ALL(%(exchanges)s)")
_ONE_OF = _DUE.format(exchanges="exchange_id = ANY(%(exchanges)s)")


class Due(NamedTuple):
    """A connection that was picked: whether its history was never read to the end, and whether a
    worker died that had it in its hands."""

    exchange: str
    connection_id: UUID
    first_import: bool
    was_dropped: bool

    @property
    def queue(self) -> str:
        return IMPORTS if self.first_import else UPDATES

    @property
    def at_once(self) -> int:
        """With how many others it goes: alone, where it might take them with it again."""
        return 1 if self.was_dropped else IMPORTS_AT_ONCE if self.first_import else BATCH


def enqueue(exchange: str, connection_ids: Sequence[UUID], *, queue: str = UPDATES) -> None:
    """By name: the task calls this module, which therefore cannot import it."""
    current_app.send_task(
        SYNC_TASK, queue=queue,
        kwargs={
            "exchange": exchange, "connection_ids": [str(key) for key in connection_ids],
            "imports": queue == IMPORTS,
        },
    )  # fmt: skip


def dispatch_due(*, now: datetime) -> int:
    """Queue every connection that is due, in batches per exchange; returns how many.

    Each is marked as dispatched for 30 seconds in the same statement that picks it, so two beats
    at once dispatch it once, and one whose message was lost comes up again. One that was in the
    hands of a worker that died goes alone, so that it takes nobody with it a second time.
    """
    with tenancy.as_system("dispatch due syncs"):
        broken = circuits.standing(now=now)
        due = _pick(_ANY_BUT, list(broken), now, most=5000)
        for exchange, circuit in sorted(broken.items()):
            if circuit == Circuit.HALF_OPEN and circuits.trying(exchange=exchange, now=now):
                due += _pick(_ONE_OF, [exchange], now, most=1)
        due = _included(due, now)
    _enqueue_all(due)
    return len(due)


def _included(due: list[Due], now: datetime) -> list[Due]:
    """Without those that their people's plans leave out, which are looked at again tomorrow."""
    surplus = allotment.surplus_of([item.connection_id for item in due], now=now)
    if surplus:
        allotment.put_off(surplus, now=now)
    return [item for item in due if item.connection_id not in surplus]


def _pick(statement: str, exchanges: list[str], now: datetime, *, most: int) -> list[Due]:
    with database.cursor() as cursor:
        cursor.execute(
            statement,
            {"again": now + REDISPATCH, "now": now, "exchanges": exchanges, "most": most},
        )
        return [Due(*row) for row in cursor.fetchall()]


def _enqueue_all(due: Iterable[Due]) -> None:
    groups: dict[tuple[str, str, int], list[UUID]] = {}
    for item in due:
        key = (item.exchange, item.queue, item.at_once)
        groups.setdefault(key, []).append(item.connection_id)
    for (exchange, queue, size), found in groups.items():
        for start in range(0, len(found), size):
            enqueue(exchange, found[start : start + size], queue=queue)


def forget_old_runs(*, now: datetime) -> int:
    """Delete finished scheduled runs older than two weeks: every five minutes makes many."""
    with tenancy.as_system("forget old sync runs"):
        return SyncRun.objects.filter(
            trigger="schedule", finished_at__lt=now - KEEP_SCHEDULED_RUNS
        ).delete()[0]
