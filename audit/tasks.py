from uuid import UUID

from celery import shared_task

from audit import checking, detection, digest, drills, log, metrics, sealing, secrets_in_use
from audit.webhooks import outbound
from tracker import clock, direct


@shared_task(ignore_result=True)
def sweep_outbox(**kwargs: object) -> None:
    """Deliver activities whose subscribers did not run. Runs every minute; idempotent."""
    log.sweep(now=clock.now())


@shared_task(ignore_result=True)
def seal_activity(**kwargs: object) -> None:
    """Seal what the activity log has taken in. Runs every minute; two at once make one chain."""
    sealing.seal_all(now=clock.now())


@shared_task(ignore_result=True)
def roll_up_metrics(**kwargs: object) -> None:
    """The running day, and yesterday in the first hours after midnight. Runs hourly; idempotent."""
    metrics.roll_up_recent(now=clock.now())


@shared_task(ignore_result=True)
def send_operators_digest(**kwargs: object) -> None:
    """Last week's digest of security, once. Runs hourly, so that a lost Monday is made up for."""
    digest.send(now=clock.now())


@shared_task(ignore_result=True)
def judge(*, user_id: str, action: str, **kwargs: object) -> None:
    """Judge what somebody did of late. Runs after a sign-in and what is sensitive; idempotent."""
    detection.judge(user_id=UUID(user_id), action=action, now=clock.now())


@shared_task(ignore_result=True)
def scan_failures(**kwargs: object) -> None:
    """Look for guessed passwords among the failed sign-ins. Runs every minute; idempotent."""
    detection.scan_failures(now=clock.now())


@shared_task(ignore_result=True)
def deliver_webhooks(**kwargs: object) -> None:
    """Queue the deliveries whose moment has come. Runs every minute; idempotent."""
    outbound.enqueue_due(now=clock.now())


@shared_task(ignore_result=True)
def deliver_webhook(*, delivery_id: str, **kwargs: object) -> None:
    """Make one attempt at one delivery, unless somebody else is at it."""
    outbound.deliver(delivery_id=UUID(delivery_id), now=clock.now())


@shared_task(ignore_result=True)
def back_up(**kwargs: object) -> None:
    """The day's backup, once. Runs hourly, so that a failed one is made up for.

    Copies of keys go when their time is over, also while no backup can be made.
    """
    with direct.connected():
        drills.prune_keys(now=clock.now())
        drills.back_up_if_due(now=clock.now())


@shared_task(ignore_result=True)
def check_activity_log(**kwargs: object) -> None:
    """Compare the activity log with its seals, once a week. Looks hourly, so that none is lost."""
    checking.check_if_due(now=clock.now())


@shared_task(ignore_result=True)
def note_secrets(**kwargs: object) -> None:
    """Remember since when each secret is in force. Runs daily; idempotent."""
    secrets_in_use.note(now=clock.now())
