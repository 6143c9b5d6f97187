"""Closing what was answered and is silent since, so that what stays open is what waits for us."""

from datetime import datetime
from uuid import UUID

from accounts.helpdesk import telling, threads
from accounts.helpdesk.telling import PATIENCE
from accounts.models import SupportRequest
from tracker import tenancy
from tracker.logs import get_logger

log = get_logger(__name__)
AT_ONCE = 1000


def close_silent(*, now: datetime) -> int:
    """Close them, and tell each person; returns how many. The answer has announced it.

    One that fails is logged and tried again by the next sweep; the others do not wait for it.
    """
    with tenancy.as_system("silent support requests"):
        due = SupportRequest.objects.filter(state="answered", answered_at__lte=now - PATIENCE)
        found = list(due.order_by("answered_at").values_list("user_id", "id")[:AT_ONCE])
    return sum(_closed(user_id, request_id, now) for user_id, request_id in found)


def _closed(user_id: UUID, request_id: UUID, now: datetime) -> bool:
    try:
        return _close(user_id, request_id, now)
    except Exception as error:  # whatever it is, it is one person's
        log.error("support.closing_failed", request=str(request_id), error=type(error).__name__)
        return False


def _close(user_id: UUID, request_id: UUID, now: datetime) -> bool:
    """One of them, unless the person or staff have just written."""
    with tenancy.as_user(user_id):
        rows = SupportRequest.objects.select_for_update().filter(
            user_id=user_id, id=request_id, state="answered", answered_at__lte=now - PATIENCE
        )
        request = rows.first()
        if request is None:
            return False
        threads.end(request, by=threads.ClosedBy.TIME, now=now)
        telling.closed(request, now)
        return True
