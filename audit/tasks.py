from celery import shared_task

from audit import log
from tracker import clock


@shared_task(ignore_result=True)
def sweep_outbox(**kwargs: object) -> None:
    """Deliver activities whose subscribers did not run. Runs every minute; idempotent."""
    log.sweep(now=clock.now())
