"""Background work: each task is one domain call, takes ids only, and may run twice."""

from uuid import UUID

from celery import shared_task

from portfolios import snapshots, sync
from tracker import clock


@shared_task(ignore_result=True)
def sync_batch(*, exchange: str, connection_ids: list[str], **kwargs: object) -> None:
    """Visit some connections of one exchange."""
    sync.visit_batch(
        exchange=exchange, connection_ids=[UUID(key) for key in connection_ids], now=clock.now()
    )


@shared_task(ignore_result=True)
def dispatch_due_syncs(**kwargs: object) -> None:
    """Queue the connections that are due. Runs every 30 seconds; idempotent."""
    sync.dispatch_due(now=clock.now())


@shared_task(ignore_result=True)
def take_due_snapshots(**kwargs: object) -> None:
    """Take the snapshots that are due. Runs every five minutes; idempotent."""
    snapshots.take_due(now=clock.now())


@shared_task(ignore_result=True)
def forget_old_runs(**kwargs: object) -> None:
    """Delete scheduled sync runs older than two weeks. Runs daily; idempotent."""
    sync.forget_old_runs(now=clock.now())
