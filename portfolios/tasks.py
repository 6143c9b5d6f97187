"""Background work: each task is one domain call, takes ids only, and may run twice."""

from uuid import UUID

from celery import shared_task

from exchanges import history
from portfolios import derivation, summaries
from portfolios.alerting import delisting, sweeping
from portfolios.backtesting import jobs, watching
from portfolios.exporting import making
from portfolios.importing import imports
from portfolios.returns import valuations
from portfolios.sync import dispatch, health, replaying, visiting
from portfolios.valuing import snapshots
from tracker import clock


@shared_task(ignore_result=True)
def sync_batch(
    *, exchange: str, connection_ids: list[str], imports: bool = True, **kwargs: object
) -> None:
    """Visit some connections of one exchange."""
    visiting.visit_batch(
        exchange=exchange, connection_ids=[UUID(key) for key in connection_ids],
        imports=imports, now=clock.now(),
    )  # fmt: skip


@shared_task(ignore_result=True)
def dispatch_due_syncs(**kwargs: object) -> None:
    """Queue the connections that are due. Runs every 30 seconds; idempotent."""
    dispatch.dispatch_due(now=clock.now())


@shared_task(ignore_result=True)
def replay_quarantine(
    *,
    actor_id: str,
    connection_id: str | None = None,
    page_ids: list[str] | None = None,
    **kwargs: object,
) -> None:
    """Read quarantined payloads again for a member of staff: a connection's, or those named."""
    replaying.replay_for_staff(
        actor_id=UUID(actor_id), connection_id=UUID(connection_id) if connection_id else None,
        page_ids=None if page_ids is None else [UUID(key) for key in page_ids], now=clock.now(),
    )  # fmt: skip


@shared_task(ignore_result=True)
def take_due_snapshots(**kwargs: object) -> None:
    """Take the snapshots that are due. Runs every five minutes; idempotent."""
    snapshots.take_due(now=clock.now())


@shared_task(ignore_result=True)
def forget_old_runs(**kwargs: object) -> None:
    """Delete scheduled sync runs older than two weeks. Runs daily; idempotent."""
    dispatch.forget_old_runs(now=clock.now())


@shared_task(ignore_result=True)
def tell_of_lasting_trouble(**kwargs: object) -> None:
    """Tell whose accounts have been read in part for long. Runs hourly; idempotent."""
    health.tell_of_lasting_trouble(now=clock.now())


@shared_task(ignore_result=True)
def derive_portfolio(*, user_id: str, **kwargs: object) -> None:
    """Bring one person's lots, valuations and discrepancies up to their ledger."""
    derivation.derive(user_id=UUID(user_id), now=clock.now())


@shared_task(ignore_result=True)
def sweep_behind(**kwargs: object) -> None:
    """Queue whoever is behind and in nobody's hands, or waits in vain. Idempotent."""
    derivation.tell_who_waits_in_vain(now=clock.now())
    derivation.sweep(now=clock.now())


@shared_task(ignore_result=True)
def extend_valuations(**kwargs: object) -> None:
    """Value the days that have ended since. Runs hourly; idempotent."""
    valuations.extend_due(now=clock.now())


@shared_task(ignore_result=True)
def backfill_prices(**kwargs: object) -> None:
    """Fetch prices that are wanted, and tell whoever waits for them. Runs every minute."""
    arrived = history.backfill_due(now=clock.now())
    derivation.prices_arrived(assets=arrived, now=clock.now())


@shared_task(ignore_result=True)
def apply_import(*, import_id: str, **kwargs: object) -> None:
    """Book a file of entries."""
    imports.apply(import_id=UUID(import_id), clock=clock.now)


@shared_task(ignore_result=True)
def sweep_imports(**kwargs: object) -> None:
    """Queue the files that wait or were left by a dead worker. Runs each minute; idempotent."""
    imports.sweep(now=clock.now())


@shared_task(ignore_result=True)
def forget_import_files(**kwargs: object) -> None:
    """Forget files that nobody had booked within a week. Runs hourly; idempotent."""
    imports.forget_files(now=clock.now())


@shared_task(ignore_result=True)
def run_backtest(*, backtest_id: str, **kwargs: object) -> None:
    """Run a backtest. A second run finds it done or in other hands."""
    jobs.run(backtest_id=UUID(backtest_id), clock=clock.now)


@shared_task(ignore_result=True)
def sweep_backtests(**kwargs: object) -> None:
    """Queue backtests that wait or whose worker died. Runs each ten seconds; idempotent."""
    jobs.sweep(now=clock.now())


@shared_task(ignore_result=True)
def dispatch_watches(**kwargs: object) -> None:
    """Queue the watches whose next candle has closed. Runs each 20 seconds; idempotent."""
    watching.dispatch(now=clock.now())


@shared_task(ignore_result=True)
def judge_watch(*, watch_id: str, **kwargs: object) -> None:
    """Say what a watching strategy would do. A second run finds nothing new."""
    watching.judge(watch_id=UUID(watch_id), now=clock.now())


@shared_task(ignore_result=True)
def queue_weekly_summaries(**kwargs: object) -> None:
    """Queue the summaries whose moment has come. Runs hourly; idempotent."""
    summaries.queue_due(now=clock.now())


@shared_task(ignore_result=True)
def send_weekly_summary(*, user_id: str, **kwargs: object) -> None:
    """Tell one person how their week was. A second run finds that the next one is not due."""
    summaries.send(user_id=UUID(user_id), now=clock.now())


@shared_task(ignore_result=True)
def check_alerts(**kwargs: object) -> None:
    """Tell of alerts that have come true. Runs each minute; idempotent."""
    sweeping.sweep(now=clock.now())


@shared_task(ignore_result=True)
def set_alerts_aside(**kwargs: object) -> None:
    """Say of which assets no market tells a price any more. Runs each minute; idempotent."""
    delisting.sweep(now=clock.now())


@shared_task(ignore_result=True)
def make_file_export(*, export_id: str, **kwargs: object) -> None:
    """Make a file that somebody asked for. A second run finds it made or in other hands."""
    making.make(export_id=UUID(export_id), clock=clock.now)


@shared_task(ignore_result=True)
def sweep_file_exports(**kwargs: object) -> None:
    """Queue files that wait or whose worker died. Runs each quarter of a minute; idempotent."""
    making.sweep(now=clock.now())


@shared_task(ignore_result=True)
def remove_expired_files(**kwargs: object) -> None:
    """Remove files whose time is over. Runs hourly; idempotent."""
    making.remove_expired(now=clock.now())
