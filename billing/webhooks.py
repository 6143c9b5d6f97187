"""Stripe's messages: verified before anything is stored, stored, answered; worked on afterwards.

A message only says that something about a customer may have changed. Working on it reads the
customer again (``billing.customers``), so order and number do not matter, and one that was lost
is made up for by the next one or by the nightly reconciliation.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import stripe
from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from audit import log
from audit.actions import Action
from billing import customers, stripe_gateway
from billing.models import BillingAccount, StripeEvent
from billing.stripe_gateway import NotConfigured
from tracker import tenancy
from tracker.errors import DomainError
from tracker.logs import get_logger

logger = get_logger(__name__)
TASK = "billing.tasks.process_event"
TOLERANCE_SECONDS = 300
LEASE = timedelta(minutes=2)
MOST_ATTEMPTS = 12
_FIRST_WAIT, _LONGEST_WAIT = timedelta(seconds=15), timedelta(hours=2)
State = StripeEvent.State
# What a plan depends on; all else is stored as seen and left.
FOLLOWED = (
    "customer.subscription.", "customer.deleted", "customer.updated", "invoice.", "charge.",
    "checkout.session.", "payment_intent.succeeded", "payment_intent.payment_failed",
)  # fmt: skip


class SignatureInvalid(DomainError):
    code = "signature_invalid"
    status = 400
    message = "This message is not signed as agreed."


class MessageMalformed(DomainError):
    code = "message_malformed"
    status = 400
    message = "This message cannot be understood."


# --- receiving ----------------------------------------------------------------------------------
def receive(body: bytes, signature: str, *, now: datetime) -> bool:
    """Verify and store one message and have it worked on; returns whether it was new.

    Raises NotConfigured, SignatureInvalid, MessageMalformed, and has then stored nothing. Of one
    that stands here already nothing is stored either; unless it is done, it is worked on again.
    """
    _verify(body, signature)
    event = _parsed(body)
    row = _row(event, now)
    with tenancy.as_system("store a message of Stripe's"):
        row.user_id = _user_of(row.customer_id)
        made = StripeEvent.objects.bulk_create([row], ignore_conflicts=True)
        stored = StripeEvent.objects.select_for_update().get(id=row.id)
        is_new = bool(made) and stored.received_at == now
        if stored.state == State.FAILED:  # Stripe brings it again: another round of attempts
            stored.attempts, stored.next_attempt_at = 0, now
            stored.save(update_fields=["attempts", "next_attempt_at"])
        if stored.state in (State.RECEIVED, State.FAILED):
            transaction.on_commit(lambda: enqueue(row.id), robust=True)
    return is_new


def _verify(body: bytes, signature: str) -> None:
    if not settings.STRIPE_WEBHOOK_SECRETS:
        raise NotConfigured
    for secret in settings.STRIPE_WEBHOOK_SECRETS:
        try:
            stripe.WebhookSignature.verify_header(
                body.decode(), signature, secret, TOLERANCE_SECONDS
            )
            return
        except (stripe.SignatureVerificationError, ValueError, TypeError):
            continue
    raise SignatureInvalid


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        event = json.loads(body)
        if event["object"] == "event" and isinstance(event["data"]["object"], dict):
            return event
    except (ValueError, KeyError, TypeError):
        pass
    raise MessageMalformed


def _row(event: Mapping[str, Any], now: datetime) -> StripeEvent:
    about = event["data"]["object"]
    kind = str(event.get("type", ""))[:80]
    followed = kind.startswith(FOLLOWED)
    try:
        happened = datetime.fromtimestamp(int(event["created"]), UTC)
        event_id = str(event["id"])[:64]
    except (KeyError, ValueError, TypeError, OverflowError, OSError):
        raise MessageMalformed from None
    return StripeEvent(
        id=event_id, type=kind, api_version=str(event.get("api_version") or "")[:40],
        object_id=str(about.get("id") or "")[:80], customer_id=_customer_of(about)[:64],
        state=State.RECEIVED if followed else State.IGNORED, created_at=happened, received_at=now,
        reason="" if followed else "no plan depends on this", done_at=None if followed else now,
        next_attempt_at=now + LEASE if followed else None,
    )  # fmt: skip


def _customer_of(about: Mapping[str, Any]) -> str:
    """The customer whom an object is about: itself, or the one it names, whole or by id."""
    if about.get("object") == "customer":
        return str(about.get("id") or "")
    named = about.get("customer")
    return str(named.get("id") or "") if isinstance(named, dict) else str(named or "")


def _user_of(customer_id: str) -> UUID | None:
    if not customer_id:
        return None
    return (
        BillingAccount.objects.filter(stripe_customer_id=customer_id)
        .values_list("user_id", flat=True)
        .first()
    )


def enqueue(event_id: str) -> None:
    """Have a message worked on. By name: the task calls this module."""
    current_app.send_task(TASK, kwargs={"event_id": event_id})


# --- working on them ----------------------------------------------------------------------------
def process(*, event_id: str, now: datetime) -> str:
    """Work on one message, unless somebody else does or it is done; returns its state then."""
    event = _claim(event_id, now)
    if event is None:
        return "claimed"
    try:
        user_id = event.user_id or _whom(event)
        if user_id is None:
            return _close(event, State.IGNORED, "unknown customer", now)
        customers.refresh(user_id=user_id, now=now)
    except DomainError as error:
        return _failed(event, error.code, now)
    except Exception as error:  # whatever it is, it is shown, and tried again
        logger.exception("stripe.event_failed", event_id=event_id)
        return _failed(event, type(error).__name__, now)
    return _close(event, State.DONE, "", now)


def _claim(event_id: str, now: datetime) -> StripeEvent | None:
    """Of many at once one gets it, for as long as the work may take."""
    with tenancy.as_system("work on a message of Stripe's"):
        # A fresh one may be begun at once; one that was begun, when its lease or wait is over.
        row = (
            StripeEvent.objects.filter(id=event_id, state__in=[State.RECEIVED, State.FAILED])
            .filter(Q(attempts=0) | Q(next_attempt_at__lte=now))
            .select_for_update(of=("self",), skip_locked=True)
            .first()
        )
        if row is None:
            return None
        row.attempts, row.next_attempt_at = row.attempts + 1, now + LEASE
        row.save(update_fields=["attempts", "next_attempt_at"])
        return row


def _whom(event: StripeEvent) -> UUID | None:
    """Whom a message concerns that did not say so, or whose customer was noted after it came."""
    customer_id = event.customer_id
    if not customer_id and event.type.startswith("charge.dispute."):
        customer_id = stripe_gateway.customer_of_dispute(event.object_id)
    with tenancy.as_system("work on a message of Stripe's"):
        user_id = _user_of(customer_id)
        if user_id is not None:
            StripeEvent.objects.filter(id=event.id).update(user_id=user_id, customer_id=customer_id)
        return user_id


def _close(event: StripeEvent, state: str, reason: str, now: datetime) -> str:
    with tenancy.as_system("work on a message of Stripe's"):
        StripeEvent.objects.filter(id=event.id).update(
            state=state, reason=reason, done_at=now, next_attempt_at=None
        )
    return state


def _failed(event: StripeEvent, reason: str, now: datetime) -> str:
    wait = min(_FIRST_WAIT * 2 ** min(event.attempts, 12), _LONGEST_WAIT)
    again = now + wait if event.attempts < MOST_ATTEMPTS else None
    with tenancy.as_system("work on a message of Stripe's"):
        StripeEvent.objects.filter(id=event.id).update(
            state=State.FAILED, reason=reason[:200], next_attempt_at=again
        )
    return State.FAILED


def enqueue_due(*, now: datetime) -> int:
    """Queue what a process left behind or could not finish; returns how many."""
    with tenancy.as_system("messages of Stripe's that are due"):
        due = StripeEvent.objects.filter(next_attempt_at__lte=now).order_by("next_attempt_at")
        found = list(due.values_list("id", flat=True)[:500])
    for event_id in found:
        enqueue(event_id)
    return len(found)


def redeliver(*, event_id: str, actor_id: UUID | None, now: datetime) -> None:
    """Work on a message again, whatever became of it. Call inside ``as_system``."""
    rows = StripeEvent.objects.filter(id=event_id)
    rows.update(state=State.RECEIVED, reason="", attempts=0, next_attempt_at=now, done_at=None)
    user_id = rows.values_list("user_id", flat=True).first()
    log.record(
        Action.STRIPE_EVENT_REDELIVERED, user_id=user_id, actor_id=actor_id, event_id=event_id
    )
    transaction.on_commit(lambda: enqueue(event_id), robust=True)
