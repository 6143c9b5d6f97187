"""Opening a request: what it is about, in the person's words, and what they agree to send along."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.helpdesk import diagnostics, limits, references, snapshots, telling, wording
from accounts.models import SupportMessage, SupportRequest
from accounts.privacy import inventory
from audit import log
from audit.actions import Action
from tracker import tenancy
from tracker.api import InvalidInput


def open_request(
    *, user_id: UUID, category: str, subject: str, text: str, now: datetime,
    connection_id: UUID | None = None, told: Mapping[str, Any] | None = None,
    consents: bool = False,
) -> SupportRequest:  # fmt: skip
    """Open one, and tell the person its reference.

    ``told`` is what the app says about itself; with ``consents``, and only then, it is kept, and
    so is what we know of the connection. Raises InvalidInput, TooManyOpen, TooManyMessages.
    """
    if told and not consents:
        raise InvalidInput.of(
            "diagnostics", "Diagnostics are taken only if the person agrees to send them.",
            code="consent_required",
        )  # fmt: skip
    request = SupportRequest(
        user_id=user_id, category=category, subject=worded("subject", wording.on_one_line(subject)),
        opened_at=now, waiting_since=now, last_message_at=now, connection_id=connection_id,
    )  # fmt: skip
    text = worded("text", wording.cleaned(text))
    with tenancy.as_user(user_id):
        limits.take_turns(user_id)
        limits.check_open(user_id)
        limits.check_pace(user_id, now)
        _check_connection(user_id, connection_id)
        if consents:
            _take_along(request, told or {}, now)
        return _store(request, text, now)


def worded(field: str, text: str) -> str:
    """A text after cleaning. Raises InvalidInput where nothing of it is seen."""
    if not text:
        raise InvalidInput.of(field, "This field may not be blank.", code="blank")
    return text


def _check_connection(user_id: UUID, connection_id: UUID | None) -> None:
    """Connections are a room's above; row-level security hides others' from this look, too."""
    found = inventory.model("exchanges.ExchangeConnection")._base_manager
    if connection_id and not found.filter(user_id=user_id, id=connection_id).exists():
        raise InvalidInput.of(
            "connection_id", "You have no connection with this id.", code="does_not_exist"
        )


def _take_along(request: SupportRequest, told: Mapping[str, Any], now: datetime) -> None:
    request.consented_at = now
    request.diagnostics = diagnostics.kept(told)
    request.snapshot = snapshots.take(
        user_id=request.user_id, connection_id=request.connection_id, now=now
    )


def _store(request: SupportRequest, text: str, now: datetime) -> SupportRequest:
    references.insert(request)
    SupportMessage.objects.create(
        user_id=request.user_id, request=request, kind=SupportMessage.Kind.PERSON, text=text,
        created_at=now,
    )  # fmt: skip
    log.record(
        Action.SUPPORT_REQUEST_OPENED, user_id=request.user_id, support_request_id=str(request.id),
        category=request.category, with_diagnostics=request.consented_at is not None,
    )  # fmt: skip
    telling.opened(request, now)
    return request
