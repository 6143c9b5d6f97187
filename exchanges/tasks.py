from celery import shared_task

from exchanges import drift, history, prices
from exchanges.models import NeedKind
from tracker import clock


@shared_task(ignore_result=True)
def refresh_prices(**kwargs: object) -> None:
    """Fetch the prices that are due. Runs every minute, fetches every five; idempotent."""
    prices.refresh_due(now=clock.now())


@shared_task(ignore_result=True)
def fetch_candles(**kwargs: object) -> None:
    """Fetch the candles that charts wait for. Queued by who asks, and every minute; idempotent."""
    history.backfill_due(now=clock.now(), kind=NeedKind.CANDLE)


@shared_task(ignore_result=True)
def watch_quarantine(**kwargs: object) -> None:
    """Tell operators of feeds whose rows begin to fail. Runs every minute; told once."""
    drift.watch(now=clock.now())
