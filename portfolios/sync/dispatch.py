"""What is due: picked in one statement, queued in batches per exchange.

What is due stands in PostgreSQL; a queue that was lost with Redis is found by the next tick.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from celery import current_app
from django.db import connection as database

from exchanges.models import ConnectionState
from portfolios.models import SyncRun
from tracker import tenancy

SYNC_TASK = "portfolios.tasks.sync_batch"


# A dispatched connection is due again after this, should its message have been lost.
REDISPATCH = timedelta(seconds=45)


KEEP_SCHEDULED_RUNS = timedelta(days=14)


BATCH = 50


STOPPED = (ConnectionState.PAUSED, ConnectionState.NEEDS_NEW_KEY)


def enqueue(exchange: str, connection_ids: Sequence[UUID]) -> None:
    """By name: the task calls this module, which therefore cannot import it."""
    current_app.send_task(
        SYNC_TASK,
        kwargs={"exchange": exchange, "connection_ids": [str(key) for key in connection_ids]},
    )


def dispatch_due(*, now: datetime) -> int:
    """Queue every connection that is due, in batches per exchange; returns how many.

    Each is marked as dispatched for 45 seconds in the same statement that picks it, so two beats
    at once dispatch it once, and one whose message was lost comes up again.
    """
    with tenancy.as_system("dispatch due syncs"), database.cursor() as cursor:
        cursor.execute(
            """
                UPDATE exchange_connections SET next_sync_at = %s
                WHERE id IN (
                    SELECT id FROM exchange_connections
                    WHERE next_sync_at <= %s AND (lease_until IS NULL OR lease_until < %s)
                    ORDER BY next_sync_at LIMIT 5000 FOR UPDATE SKIP LOCKED
                ) RETURNING exchange_id, id
                """,
            [now + REDISPATCH, now, now],
        )
        due: dict[str, list[UUID]] = {}
        for exchange, connection_id in cursor.fetchall():
            due.setdefault(exchange, []).append(connection_id)
    for exchange, found in due.items():
        for start in range(0, len(found), BATCH):
            enqueue(exchange, found[start : start + BATCH])
    return sum(map(len, due.values()))


def forget_old_runs(*, now: datetime) -> int:
    """Delete finished scheduled runs older than two weeks: every five minutes makes many."""
    with tenancy.as_system("forget old sync runs"):
        return SyncRun.objects.filter(
            trigger="schedule", finished_at__lt=now - KEEP_SCHEDULED_RUNS
        ).delete()[0]
