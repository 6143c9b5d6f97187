"""Housekeeping that belongs to no room."""

from datetime import timedelta

from celery import shared_task

from tracker import clock, partitions, tenancy
from tracker.monitoring import measuring

PARTITIONED = ("portfolio_snapshots", "activity_logs")
SHARED = ("candles",)  # the same for everybody: without row-level security


@shared_task(ignore_result=True)
def extend_partitions(**kwargs: object) -> None:
    """Make sure that the coming months have their partitions. Runs daily; idempotent."""
    today = clock.now().date()
    with tenancy.as_system("extend partitions"):
        for table in (*PARTITIONED, *SHARED):
            partitions.ensure(
                table, first=today, last=today + timedelta(days=31 * partitions.MONTHS_AHEAD),
                protected=table not in SHARED,
            )  # fmt: skip


@shared_task(ignore_result=True)
def measure_service(**kwargs: object) -> None:
    """Measure the last minute for the status page. Runs every minute; idempotent."""
    measuring.measure(now=clock.now())
