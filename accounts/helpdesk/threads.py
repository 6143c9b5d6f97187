"""What a person reads of their requests, and adds to them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet

from accounts.helpdesk import limits, wording
from accounts.helpdesk.opening import worded
from accounts.helpdesk.telling import PATIENCE, REOPENING
from accounts.models import SupportMessage, SupportRequest
from audit import log
from audit.actions import Action
from tracker import tenancy
from tracker.errors import DomainError, NotFound

RERATING = timedelta(days=14)
State, Kind, ClosedBy = SupportRequest.State, SupportMessage.Kind, SupportRequest.ClosedBy


class RequestClosed(DomainError):
    code = "support_request_closed"
    status = 409
    message = (
        f"This request was closed more than {REOPENING.days} days ago. Please open a new one and "
        "name this one's number."
    )


class NotAnswered(DomainError):
    code = "support_request_not_answered"
    status = 409
    message = "You can rate a request once it was answered or closed."


class RatingFinal(DomainError):
    code = "support_rating_final"
    status = 409
    message = f"You rated this more than {RERATING.days} days ago, so it stays as it is."


@dataclass(frozen=True, slots=True)
class Thread:
    """A request with what was written, the oldest first; without the notes of staff."""

    request: SupportRequest
    messages: list[SupportMessage]


# --- reading ------------------------------------------------------------------------------------
def rows_of(user_id: UUID) -> QuerySet[SupportRequest]:
    """A person's requests. Call inside ``as_user``."""
    return SupportRequest.objects.filter(user_id=user_id)


def read(*, user_id: UUID, request_id: UUID) -> Thread:
    """One of them with its thread. Raises NotFound."""
    with tenancy.as_user(user_id):
        found = rows_of(user_id).filter(id=request_id).first()
        if found is None:
            raise NotFound
        return Thread(found, _messages(found))


def closes_at(request: SupportRequest) -> datetime | None:
    """When an answered request is closed if the person stays silent."""
    if request.state != State.ANSWERED or request.answered_at is None:
        return None
    return request.answered_at + PATIENCE


def reopens_until(request: SupportRequest) -> datetime | None:
    """Until when a message opens a closed request again."""
    return request.closed_at + REOPENING if request.closed_at else None


def _messages(request: SupportRequest) -> list[SupportMessage]:
    rows = SupportMessage.objects.filter(user_id=request.user_id, request=request)
    seen = rows.exclude(kind=Kind.NOTE).order_by("-id")
    return list(seen[: limits.MOST_IN_THREAD])[::-1]


# --- writing ------------------------------------------------------------------------------------
def write(*, user_id: UUID, request_id: UUID, text: str, now: datetime) -> Thread:
    """Add to a request; one that was closed lately is open again.

    Raises NotFound, InvalidInput, RequestClosed, TooManyMessages, TooManyOpen, ThreadFull.
    """
    text = worded("text", wording.cleaned(text))
    with tenancy.as_user(user_id):
        limits.take_turns(user_id)
        request = _held(user_id, request_id)
        _check_may_write(request, now)
        SupportMessage.objects.create(
            user_id=user_id, request=request, kind=Kind.PERSON, text=text, created_at=now
        )
        _wait_again(request, now)
        log.record(
            Action.SUPPORT_REQUEST_WRITTEN, user_id=user_id, support_request_id=str(request_id)
        )
        return Thread(request, _messages(request))


def _check_may_write(request: SupportRequest, now: datetime) -> None:
    until = reopens_until(request)
    if until is not None:
        if now > until:
            raise RequestClosed
        limits.check_open(request.user_id)
    limits.check_pace(request.user_id, now)
    limits.check_room(request)


def _wait_again(request: SupportRequest, now: datetime) -> None:
    """Who wrote twice waits since the first time."""
    request.state, request.closed_at, request.closed_by = State.OPEN, None, ""
    request.waiting_since = request.waiting_since or now
    request.last_message_at = now
    request.version += 1
    request.save(update_fields=[
        "state", "closed_at", "closed_by", "waiting_since", "last_message_at", "version",
    ])  # fmt: skip


def close(*, user_id: UUID, request_id: UUID, now: datetime) -> Thread:
    """Say that it is settled. A second time changes nothing. Raises NotFound."""
    with tenancy.as_user(user_id):
        request = _held(user_id, request_id)
        if request.state != State.CLOSED:
            end(request, by=ClosedBy.PERSON, now=now)
        return Thread(request, _messages(request))


def end(
    request: SupportRequest, *, by: SupportRequest.ClosedBy, now: datetime,
    actor_id: UUID | None = None,
) -> None:  # fmt: skip
    """Close a request that is held for writing, whoever does it."""
    request.state, request.closed_at, request.closed_by = State.CLOSED, now, by
    request.waiting_since = None
    request.version += 1
    request.save(
        update_fields=["state", "closed_at", "closed_by", "waiting_since", "version"]
    )  # fmt: skip
    log.record(
        Action.SUPPORT_REQUEST_CLOSED, user_id=request.user_id, actor_id=actor_id,
        support_request_id=str(request.id), by=str(by),
    )  # fmt: skip


def rate(
    *, user_id: UUID, request_id: UUID, rating: int, comment: str, now: datetime
) -> Thread:  # fmt: skip
    """Say how the help was, 1 to 5; for 14 days it may be said anew.

    Raises NotFound, NotAnswered, RatingFinal.
    """
    with tenancy.as_user(user_id):
        request = _held(user_id, request_id)
        if request.first_answered_at is None and request.state != State.CLOSED:
            raise NotAnswered
        if request.rated_at and now > request.rated_at + RERATING:
            raise RatingFinal
        request.rating, request.rating_comment = rating, wording.cleaned(comment)
        request.rated_at = request.rated_at or now
        request.save(update_fields=["rating", "rating_comment", "rated_at"])
        log.record(
            Action.SUPPORT_REQUEST_RATED, user_id=user_id, support_request_id=str(request_id),
            rating=rating,
        )  # fmt: skip
        return Thread(request, _messages(request))


def _held(user_id: UUID, request_id: UUID) -> SupportRequest:
    found = rows_of(user_id).select_for_update().filter(id=request_id).first()
    if found is None:
        raise NotFound
    return found
