from uuid import UUID

from celery import shared_task

from accounts import delivery, idempotency, passwords
from accounts.helpdesk import closing as helpdesk_closing
from accounts.privacy import closing, export, retention
from accounts.second_factor import resets
from tracker import clock


@shared_task(ignore_result=True)
def forget_idempotency_keys(**kwargs: object) -> None:
    """Delete idempotency records older than a day. Runs hourly; idempotent."""
    idempotency.forget_old(now=clock.now())


@shared_task(ignore_result=True)
def send_delivery(*, delivery_id: str, **kwargs: object) -> None:
    """Send one message. A second run finds nothing to do."""
    delivery.send(delivery_id=UUID(delivery_id), now=clock.now())


@shared_task(ignore_result=True)
def send_due(**kwargs: object) -> None:
    """Queue messages whose moment has come. Runs every minute; idempotent."""
    delivery.send_due(now=clock.now())


@shared_task(ignore_result=True)
def check_push_receipts(**kwargs: object) -> None:
    """Ask Expo what became of push messages. Runs every ten minutes; idempotent."""
    delivery.check_receipts(now=clock.now())


@shared_task(ignore_result=True)
def mail_reset_link(*, user_id: str | None, **kwargs: object) -> None:
    """Mail a link to who forgot their password; for nobody there is nothing to do. A second run
    within a minute finds that it was done."""
    if user_id is not None:
        passwords.mail_reset_link(user_id=UUID(user_id), now=clock.now())


@shared_task(ignore_result=True)
def make_export(*, export_id: str, **kwargs: object) -> None:
    """Make a copy of a person's data. A second run finds it made or in other hands."""
    export.make(export_id=UUID(export_id), clock=clock.now)


@shared_task(ignore_result=True)
def sweep_exports(**kwargs: object) -> None:
    """Queue copies that wait or whose worker died. Runs every minute; idempotent."""
    export.sweep(now=clock.now())


@shared_task(ignore_result=True)
def remove_expired_exports(**kwargs: object) -> None:
    """Remove files whose time is over. Runs hourly; idempotent."""
    export.remove_expired(now=clock.now())


@shared_task(ignore_result=True)
def erase_closed_accounts(**kwargs: object) -> None:
    """Queue accounts whose days of grace are over. Runs hourly; idempotent."""
    closing.dispatch_due(now=clock.now())


@shared_task(ignore_result=True)
def erase_closed_account(*, user_id: str, **kwargs: object) -> None:
    """Erase one person whose days of grace are over. A second run finishes or finds nothing."""
    closing.finish(user_id=UUID(user_id), now=clock.now())


@shared_task(ignore_result=True)
def apply_second_factor_resets(**kwargs: object) -> None:
    """Remove second factors whose day of grace is over. Runs every five minutes; idempotent."""
    resets.apply_due(now=clock.now())


@shared_task(ignore_result=True)
def apply_retention(**kwargs: object) -> None:
    """Delete what has outlived its purpose. Runs daily; idempotent."""
    for _ in retention.apply(now=clock.now()):
        pass


@shared_task(ignore_result=True)
def close_silent_requests(**kwargs: object) -> None:
    """Close support requests whose answer the person left unanswered. Runs hourly; idempotent."""
    helpdesk_closing.close_silent(now=clock.now())
