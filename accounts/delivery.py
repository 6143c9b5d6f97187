"""Sending what ``notify`` wrote: each message once, and again later when its way is barred.

A worker claims a row by one conditional UPDATE, so that a task that runs twice sends once. The
claim lapses after five minutes; a worker that died after handing a message over and before noting
it may cause a second copy, which carries the same Message-ID.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from email.mime.image import MIMEImage
from smtplib import SMTPRecipientsRefused
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from anymail.exceptions import AnymailRecipientsRefused
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db.models import F

from accounts import events, messages, notifications, push, suppressions, unsubscribing, webhooks
from accounts.events import Urgency
from accounts.messages import Message, Outdated
from accounts.models import Delivery, PushDevice, User, WebhookEndpoint
from accounts.models.notifications import Channel
from accounts.notifications import Event
from audit import log as activity
from audit.actions import Action
from tracker import tenancy
from tracker.logs import get_logger
from tracker.outgoing import OutgoingError

log = get_logger(__name__)
State = Delivery.State
LEASE = timedelta(minutes=5)
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=6)
MOST_ATTEMPTS = 21  # with these waits, three days
SWEEP_AFTER = timedelta(seconds=30)
SWEPT_AT_ONCE = 1000
# Expo recommends to ask after a quarter of an hour, and forgets after a day.
RECEIPT_AFTER, RECEIPT_UNTIL = timedelta(minutes=15), timedelta(days=1)


# --- one message --------------------------------------------------------------------------------
def send(*, delivery_id: UUID, now: datetime) -> bool:
    """Send one message if it still waits for that; returns whether it went out."""
    row = _claim(delivery_id, now)
    if row is None:
        return False
    try:
        receipt = _WAYS[Channel(row.channel)](row, now)
    except Outdated as reason:
        _finish(row, State.DROPPED, now, error=str(reason))
        return False
    except Exception as error:  # whatever it is: the message must not be lost by it
        _put_off(row, error, now)
        return False
    _finish(row, State.SENT, now, receipt=receipt)
    if row.channel == Channel.LIVE:
        notifications.announce(row)
    return True


def send_unrecorded(
    event: Event, *, address: str, locale: str, time_zone: str, **facts: Any
) -> bool:
    """An e-mail to somebody who has no rows any more; tried once, never raises."""
    try:
        message = messages.render(event, user=User(locale=locale, time_zone=time_zone), facts=facts)
        _mail(message, to=address, event=event, headers={})
    except Exception as error:  # nobody is left whom a failure could be recorded for
        log.error("delivery.unrecorded_failed", about=event, error=_code(error))
        return False
    return True


def _claim(delivery_id: UUID, now: datetime) -> Delivery | None:
    with tenancy.as_system("send delivery"):
        claimed = Delivery.objects.filter(
            id=delivery_id, state=State.WAITING, next_attempt_at__lte=now
        ).update(next_attempt_at=now + LEASE, attempts=F("attempts") + 1)
        if not claimed:
            return None
        return Delivery.objects.select_related("user").get(id=delivery_id)


def _by_email(row: Delivery, now: datetime) -> str:
    to, event = row.address or row.user.email, Event(row.event)
    with tenancy.as_user(row.user_id):
        spared = events.urgency_of(event) != Urgency.SECURITY
        if spared and suppressions.since(row.user_id, to):
            raise Outdated("address suppressed")
        message = messages.write(row, now=now)
    host = urlsplit(settings.PUBLIC_URL).hostname or "localhost"
    headers = {"Message-ID": f"<{row.id}@{host}>", "X-Delivery": str(row.id)}
    if unsubscribing.is_offered(row):
        headers["List-Unsubscribe"] = f"<{unsubscribing.url(row)}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    _mail(message, to=to, event=event, headers=headers)
    return ""


def _by_push(row: Delivery, now: datetime) -> str:
    with tenancy.as_user(row.user_id):
        reachable = notifications.reachable_devices(row.user_id, now)
        device = reachable.filter(id=row.parameters.get("device_id")).first()
        if device is None:
            raise Outdated
        message = messages.write(row, now=now)
    try:
        return push.send(
            token=device.token, title=messages.PRODUCT, body=message.subject,
            data={**messages.ids_of(row), "event": row.event, "delivery_id": str(row.id)},
        )  # fmt: skip
    except push.DeviceGone:
        _refuse_device(row, now)
        raise Outdated from None


def _by_live(row: Delivery, now: datetime) -> str:
    """A notice that had to wait appears in the app, as the newest one."""
    with tenancy.as_user(row.user_id):
        messages.brief(row, user=row.user)
        _held(row).update(created_at=now)
    return ""


def _by_webhook(row: Delivery, now: datetime) -> str:
    with tenancy.as_user(row.user_id):
        key = row.parameters.get("endpoint_id")
        if UUID(str(key)) not in webhooks.reachable(row.user_id, now):
            raise Outdated("address removed, stopped or not in the plan")
        endpoint = WebhookEndpoint.objects.get(user_id=row.user_id, id=key)
        said = messages.brief(row, user=row.user)
    data = {**messages.data_of(row), "title": said.title, "text": said.text}
    body = webhooks.written(row.event, at=row.created_at, data=data)
    try:
        webhooks.call(endpoint, message_id=str(row.id), body=body, now=now)
    except (webhooks.NotTaken, OutgoingError) as problem:
        _note_webhook_failure(endpoint, problem.code, now)
        raise
    webhooks.note_success(endpoint, now)
    return ""


def _note_webhook_failure(endpoint: WebhookEndpoint, code: str, now: datetime) -> None:
    """Tell the person, once, when it has failed for so long that it is called no more."""
    with tenancy.as_user(endpoint.user_id):
        if webhooks.note_failure(endpoint, code, now):
            notifications.notify(
                user_id=endpoint.user_id, event=Event.WEBHOOK_STOPPED, now=now,
                dedupe=f"{endpoint.id}:{now.isoformat()}", webhook_id=endpoint.id,
                host=endpoint.host, reason=code.replace("_", " "),
            )  # fmt: skip


_WAYS: Mapping[Channel, Callable[[Delivery, datetime], str]] = {
    Channel.EMAIL: _by_email, Channel.PUSH: _by_push, Channel.LIVE: _by_live,
    Channel.WEBHOOK: _by_webhook,
}  # fmt: skip


def _mail(message: Message, *, to: str, event: Event, headers: dict[str, str]) -> None:
    """Hand one e-mail to the server. It answers nobody, and no robot is to answer it."""
    mail = EmailMultiAlternatives(
        subject=message.subject, body=message.text, to=[to],
        headers={
            **headers, "X-Event": event, "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
        },
    )  # fmt: skip
    mail.attach_alternative(message.html, "text/html")
    for name, png in message.images.items():
        mail.attach(_inline(name, png))
    mail.send()


def _inline(name: str, png: bytes) -> MIMEImage:
    """A picture that the HTML shows as ``cid:name``."""
    image = MIMEImage(png, "png")
    image.add_header("Content-ID", f"<{name}>")
    image.add_header("Content-Disposition", "inline", filename=f"{name}.png")
    return image


def _refuse_device(row: Delivery, now: datetime) -> None:
    """Push there no more, unless it was registered anew after the message went out."""
    with tenancy.as_user(row.user_id):
        PushDevice.objects.filter(
            user_id=row.user_id, id=row.parameters.get("device_id"),
            registered_at__lte=row.sent_at or now,
        ).update(refused_at=now)  # fmt: skip


# --- how it ended -------------------------------------------------------------------------------
def _finish(
    row: Delivery, state: str, now: datetime, *, receipt: str = "", error: str = ""
) -> None:
    with tenancy.as_user(row.user_id):
        _held(row).update(
            state=state, error=error, receipt=receipt, sent_at=now if state == State.SENT else None
        )


def _put_off(row: Delivery, error: Exception, now: datetime) -> None:
    """Try again later; give up after three days, or when the address does not exist."""
    code = _code(error)
    if row.attempts >= MOST_ATTEMPTS or _is_final(error):
        log.error("delivery.failed", delivery=str(row.id), about=row.event, error=code)
        _finish(row, State.FAILED, now, error=code)
        if _is_final(error):
            _suppress(row, code, now)
        return
    log.warning("delivery.put_off", delivery=str(row.id), about=row.event, error=code)
    with tenancy.as_user(row.user_id):
        _held(row).update(error=code, next_attempt_at=now + wait_after(row.attempts))


def _suppress(row: Delivery, code: str, now: datetime) -> None:
    with tenancy.as_user(row.user_id):
        address = row.address or row.user.email
        suppressions.note(user_id=row.user_id, address=address, reason=code, now=now)


def wait_after(attempts: int) -> timedelta:
    """How long to wait after so many attempts: a minute, then twice that each time, to 6 hours."""
    return min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(attempts - 1, 16))


def _held(row: Delivery) -> Any:
    """The row, as long as nobody else has claimed it since."""
    return Delivery.objects.filter(id=row.id, state=State.WAITING, attempts=row.attempts)


def _is_final(error: Exception) -> bool:
    if isinstance(error, SMTPRecipientsRefused):
        return all(500 <= code <= 599 for code, _ in error.recipients.values())
    return isinstance(error, AnymailRecipientsRefused)


def _code(error: Exception) -> str:
    """What may be stored of a failure: no text, because it may hold an address or a secret."""
    if isinstance(error, (push.PushFailed, webhooks.NotTaken, OutgoingError)):
        return error.code
    codes = [getattr(error, name, None) for name in ("smtp_code", "status_code", "errno")]
    if isinstance(error, SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
    found = next((code for code in codes if isinstance(code, int)), "")
    return f"{type(error).__name__} {found}".strip()


# --- what is due --------------------------------------------------------------------------------
def send_due(*, now: datetime) -> int:
    """Queue what waits and whose moment has come; returns how many. Runs every minute.

    Those of this very moment are left to the task that their own transaction queued.
    """
    with tenancy.as_system("send due deliveries"):
        due = Delivery.objects.filter(state=State.WAITING, next_attempt_at__lt=now - SWEEP_AFTER)
        found = list(due.order_by("next_attempt_at").values_list("id", flat=True)[:SWEPT_AT_ONCE])
    notifications.enqueue(found)
    return len(found)


def check_receipts(*, now: datetime) -> int:
    """Ask Expo what became of what it took a while ago; returns how many answers there were."""
    with tenancy.as_system("push receipts"):
        taken = Delivery.objects.exclude(receipt="").filter(sent_at__lt=now - RECEIPT_AFTER)
        rows = list(taken.order_by("sent_at")[: push.RECEIPTS_AT_ONCE])
    if not rows:
        return 0
    try:
        outcomes = push.receipts([row.receipt for row in rows])
    except push.PushFailed as error:
        log.warning("delivery.no_receipts", error=error.code)
        return 0
    for row in rows:
        if row.receipt in outcomes or (row.sent_at and row.sent_at < now - RECEIPT_UNTIL):
            _note_receipt(row, outcomes.get(row.receipt), now)
    return len(outcomes)


def _note_receipt(row: Delivery, outcome: Exception | None, now: datetime) -> None:
    if isinstance(outcome, push.DeviceGone):
        _refuse_device(row, now)
    changes: dict[str, Any] = {"receipt": ""}
    if isinstance(outcome, push.PushFailed):
        again = row.attempts < MOST_ATTEMPTS
        changes |= {
            "state": State.WAITING if again else State.FAILED, "error": outcome.code,
            "sent_at": None, "next_attempt_at": now + wait_after(row.attempts),
        }  # fmt: skip
    with tenancy.as_user(row.user_id):
        Delivery.objects.filter(id=row.id, receipt=row.receipt).update(**changes)


# --- staff --------------------------------------------------------------------------------------
def redeliver(*, deliveries: Iterable[Delivery], actor_id: UUID, now: datetime) -> int:
    """Send again what failed or was dropped; returns how many. Call inside ``as_system``."""
    done = []
    for row in deliveries:
        stopped = Delivery.objects.filter(id=row.id, state__in=[State.FAILED, State.DROPPED])
        if stopped.update(state=State.WAITING, attempts=0, next_attempt_at=now, error=""):
            activity.record(
                Action.STAFF_ACTED, user_id=row.user_id, actor_id=actor_id, did="redeliver",
                model=Delivery._meta.label_lower, object_id=str(row.id),
            )  # fmt: skip
            done.append(row.id)
    notifications.enqueue_on_commit(done)
    return len(done)
