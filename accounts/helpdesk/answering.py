"""What staff do with a request. Call inside ``as_system``; who may is checked by the admin."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Permission
from django.db.models import Q

from accounts.helpdesk import telling, threads, wording
from accounts.helpdesk.opening import worded
from accounts.models import SupportMessage, SupportRequest, User
from audit import log
from audit.actions import Action
from tracker.errors import DomainError, NotFound

ANSWER = "accounts.answer_supportrequest"
ASSIGN = "accounts.assign_supportrequest"
State, Kind = SupportRequest.State, SupportMessage.Kind


class WrittenMeanwhile(DomainError):
    code = "support_written_meanwhile"
    status = 409
    message = (
        "Somebody wrote or closed this meanwhile, so nothing was sent. Please read what is new "
        "below and send your text again if it still fits."
    )


class AlreadyClosed(DomainError):
    code = "support_already_closed"
    status = 409
    message = "This request is closed already."


class NotOnTheDesk(DomainError):
    code = "support_not_on_the_desk"
    status = 409
    message = "Requests can be given only to active staff who may answer them."


# --- writing ------------------------------------------------------------------------------------
def answer(
    *, request_id: UUID, text: str, version: int, actor_id: UUID, now: datetime
) -> SupportMessage:  # fmt: skip
    """Answer the person, who is told by e-mail and in the app. Who answers first takes the request.

    ``version`` is that of the request as it was read. Raises NotFound, InvalidInput,
    WrittenMeanwhile.
    """
    text = worded("text", wording.cleaned(text))
    request = _held(request_id, version)
    message = _written(request, Kind.ANSWER, text, actor_id, now)
    request.state, request.closed_at, request.closed_by = State.ANSWERED, None, ""
    request.waiting_since, request.answered_at, request.last_message_at = None, now, now
    request.first_answered_at = request.first_answered_at or now
    request.assigned_to_id = request.assigned_to_id or actor_id
    _save(
        request, "state", "closed_at", "closed_by", "waiting_since", "answered_at",
        "last_message_at", "first_answered_at", "assigned_to",
    )  # fmt: skip
    _record(Action.SUPPORT_REQUEST_ANSWERED, request, actor_id, message=str(message.id))
    telling.answered(request, message, now)
    return message


def note(
    *, request_id: UUID, text: str, version: int, actor_id: UUID, now: datetime
) -> SupportMessage:  # fmt: skip
    """Leave other staff a note; the person is not told. Raises as ``answer`` does."""
    text = worded("text", wording.cleaned(text))
    request = _held(request_id, version)
    message = _written(request, Kind.NOTE, text, actor_id, now)
    _save(request)
    _record(Action.SUPPORT_REQUEST_NOTED, request, actor_id, message=str(message.id))
    return message


def close(*, request_id: UUID, version: int, actor_id: UUID, now: datetime) -> None:
    """Settle it, and tell the person. Raises NotFound, WrittenMeanwhile, AlreadyClosed."""
    request = _held(request_id, version)
    if request.state == State.CLOSED:
        raise AlreadyClosed
    threads.end(request, by=threads.ClosedBy.SUPPORT, now=now, actor_id=actor_id)
    telling.closed(request, now)


def sort(*, request_id: UUID, category: str, actor_id: UUID) -> None:
    """Correct what it is about. Raises NotFound."""
    request = _held(request_id)
    if request.category == category:
        return
    before, request.category = request.category, category
    request.save(update_fields=["category"])
    _record(Action.SUPPORT_REQUEST_SORTED, request, actor_id, before=before, after=category)


def _written(
    request: SupportRequest, kind: str, text: str, actor_id: UUID, now: datetime
) -> SupportMessage:  # fmt: skip
    return SupportMessage.objects.create(
        user_id=request.user_id, request=request, kind=kind, author_id=actor_id, text=text,
        created_at=now,
    )  # fmt: skip


# --- whose it is --------------------------------------------------------------------------------
def assign(*, request_id: UUID, to: UUID | None, actor_id: UUID) -> None:
    """Give it to a member of staff, or to nobody. Raises NotFound, NotOnTheDesk."""
    request = _held(request_id)
    if to is not None and to not in {person.id for person in desk()}:
        raise NotOnTheDesk
    if request.assigned_to_id == to:
        return
    request.assigned_to_id = to
    request.save(update_fields=["assigned_to"])
    _record(Action.SUPPORT_REQUEST_ASSIGNED, request, actor_id, to=str(to or ""))


def desk() -> Sequence[User]:
    """Active staff who may answer, by their address."""
    app, codename = ANSWER.split(".")
    right = Permission.objects.filter(content_type__app_label=app, codename=codename)
    may = Q(is_superuser=True) | Q(user_permissions__in=right) | Q(groups__permissions__in=right)
    people = User.objects.filter(may, is_staff=True, is_active=True)
    return list(people.distinct().order_by("email"))


# --- one at a time ------------------------------------------------------------------------------
def _held(request_id: UUID, version: int | None = None) -> SupportRequest:
    request = SupportRequest.objects.select_for_update().filter(id=request_id).first()
    if request is None:
        raise NotFound
    if version is not None and request.version != version:
        raise WrittenMeanwhile
    return request


def _save(request: SupportRequest, *fields: str) -> None:
    request.version += 1
    request.save(update_fields=[*fields, "version"])


def _record(action: Action, request: SupportRequest, actor_id: UUID, **details: Any) -> None:
    log.record(
        action, user_id=request.user_id, actor_id=actor_id, support_request_id=str(request.id),
        **details,
    )  # fmt: skip
