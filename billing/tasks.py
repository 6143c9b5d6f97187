from celery import shared_task

from billing import reconciling, standing, stripe_gateway, usage, webhooks
from billing.stripe_gateway import Unavailable
from tracker import clock

RECONCILED_AT_ONCE = 300  # people an hour: some 1,500 requests


@shared_task(ignore_result=True)
def process_event(*, event_id: str, **kwargs: object) -> None:
    """Work on one message of Stripe's, unless somebody else does."""
    webhooks.process(event_id=event_id, now=clock.now())


@shared_task(ignore_result=True)
def process_due_events(**kwargs: object) -> None:
    """Queue messages that wait for another attempt. Runs twice a minute; idempotent."""
    webhooks.enqueue_due(now=clock.now())


@shared_task(ignore_result=True)
def settle_due(**kwargs: object) -> None:
    """Follow plans that have given way by themselves. Runs twice a minute; idempotent."""
    standing.settle_due(now=clock.now())


@shared_task(ignore_result=True)
def flush_usage(**kwargs: object) -> None:
    """Write counted calls to PostgreSQL, and have those told who used what they have. Runs every
    ten seconds; exactly once for each call, however often it runs."""
    now = clock.now()
    usage.flush(now=now)
    usage.warn(now=now)


@shared_task(ignore_result=True)
def report_usage(**kwargs: object) -> None:
    """Judge calls, and tell Stripe of those that are billed. Runs every minute; each is told
    once."""
    usage.judge(now=clock.now())
    if stripe_gateway.is_configured():
        usage.report(now=clock.now())
    usage.forget_batches(now=clock.now())


@shared_task(ignore_result=True, autoretry_for=(Unavailable,), retry_backoff=60, max_retries=5)
def reconcile(**kwargs: object) -> None:
    """Compare with Stripe and repair, first who was not read for longest. Runs every hour;
    idempotent."""
    if stripe_gateway.is_configured():
        reconciling.reconcile(now=clock.now(), most=RECONCILED_AT_ONCE)
