"""How much one person may ask at once. Call inside ``as_user``, with their own row locked."""

from datetime import datetime, timedelta
from uuid import UUID

from accounts.models import SupportMessage, SupportRequest, User
from tracker.errors import DomainError

MOST_OPEN = 10
HOUR, MOST_AN_HOUR = timedelta(hours=1), 20
MOST_IN_THREAD = 500  # of both sides: what one page of a thread holds


class TooManyOpen(DomainError):
    code = "too_many_support_requests"
    status = 409
    message = f"You have {MOST_OPEN} requests that are not closed. Please close one first."


class TooManyMessages(DomainError):
    code = "too_many_support_messages"
    status = 429
    message = f"You wrote {MOST_AN_HOUR} messages within an hour. Please wait a little."


class ThreadFull(DomainError):
    code = "support_thread_full"
    status = 409
    message = "This request has become very long. Please open a new one and name this one's number."


def take_turns(user_id: UUID) -> None:
    """Two requests of one person at the same moment count each other."""
    User.objects.select_for_update(no_key=True).get(id=user_id)


def check_open(user_id: UUID) -> None:
    """Raises TooManyOpen when one more would be too many."""
    running = SupportRequest.objects.filter(user_id=user_id).exclude(state="closed")
    if running.count() >= MOST_OPEN:
        raise TooManyOpen(details={"limit": MOST_OPEN})


def check_pace(user_id: UUID, now: datetime) -> None:
    """Raises TooManyMessages, with the seconds until the next one may be sent."""
    of_late = SupportMessage.objects.filter(
        user_id=user_id, kind=SupportMessage.Kind.PERSON, created_at__gt=now - HOUR
    )
    written = list(
        of_late.order_by("-created_at").values_list("created_at", flat=True)[:MOST_AN_HOUR]
    )
    if len(written) == MOST_AN_HOUR:
        wait = (written[-1] + HOUR - now).total_seconds()
        raise TooManyMessages(details={"limit": MOST_AN_HOUR}, retry_after=int(wait) + 1)


def check_room(request: SupportRequest) -> None:
    """Raises ThreadFull."""
    if (
        SupportMessage.objects.filter(user_id=request.user_id, request=request).count()
        >= MOST_IN_THREAD
    ):
        raise ThreadFull
