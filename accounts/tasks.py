from celery import shared_task

from accounts import idempotency
from tracker import clock


@shared_task(ignore_result=True)
def forget_idempotency_keys(**kwargs: object) -> None:
    """Delete idempotency records older than a day. Runs hourly; idempotent."""
    idempotency.forget_old(now=clock.now())
