from celery import shared_task

from exchanges import prices
from tracker import clock


@shared_task(ignore_result=True)
def refresh_prices(**kwargs: object) -> None:
    """Fetch the prices that are due. Runs every minute, fetches every five; idempotent."""
    prices.refresh_due(now=clock.now())
