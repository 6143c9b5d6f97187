from celery import shared_task

from exchanges import drift, prices
from tracker import clock


@shared_task(ignore_result=True)
def refresh_prices(**kwargs: object) -> None:
    """Fetch the prices that are due. Runs every minute, fetches every five; idempotent."""
    prices.refresh_due(now=clock.now())


@shared_task(ignore_result=True)
def watch_quarantine(**kwargs: object) -> None:
    """Tell operators of feeds whose rows begin to fail. Runs every minute; told once."""
    drift.watch(now=clock.now())
