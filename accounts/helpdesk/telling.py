"""Telling people what became of their requests. An answer's text is read when it is sent."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from accounts.models import Delivery, SupportMessage, SupportRequest
from accounts.notifications import Event, notify

PATIENCE = timedelta(days=14)  # how long an answer waits for the person before it is closed
REOPENING = timedelta(days=14)  # how long after that a message opens it again


def opened(request: SupportRequest, now: datetime) -> None:
    """It arrived, under this reference."""
    category = request.get_category_display()
    _tell(request, Event.SUPPORT_OPENED, str(request.id), now, category=category)


def answered(request: SupportRequest, message: SupportMessage, now: datetime) -> None:
    """There is an answer."""
    _tell(
        request, Event.SUPPORT_ANSWERED, str(message.id), now, support_message_id=message.id,
        silent_days=PATIENCE.days,
    )  # fmt: skip


def closed(request: SupportRequest, now: datetime) -> None:
    """It was closed, and not by the person."""
    _tell(
        request, Event.SUPPORT_CLOSED, f"{request.id}:{now.isoformat()}", now,
        closed_by=request.closed_by, silent_days=PATIENCE.days, reopening_days=REOPENING.days,
    )  # fmt: skip


def _tell(request: SupportRequest, event: Event, dedupe: str, now: datetime, **facts: Any) -> None:
    notify(
        user_id=request.user_id, event=event, dedupe=dedupe, now=now,
        support_request_id=request.id, reference=request.reference, subject=request.subject,
        **facts,
    )  # fmt: skip


# --- as it is sent ------------------------------------------------------------------------------
def quoted(delivery: Delivery) -> str | None:
    """The answer that a message brings; None when it is gone. Call inside ``as_user``."""
    key = delivery.parameters.get("support_message_id")
    found = SupportMessage.objects.filter(
        user_id=delivery.user_id, id=key, kind=SupportMessage.Kind.ANSWER
    )
    return found.values_list("text", flat=True).first()


def link(delivery: Delivery) -> str:
    """Where the app opens the request; empty where the operator named no such address."""
    key = delivery.parameters.get("support_request_id")
    return f"{settings.APP_URL}/support/requests/{key}" if settings.APP_URL and key else ""
