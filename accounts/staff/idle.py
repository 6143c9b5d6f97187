"""An admin session ends after 30 minutes without a request, and 8 hours after it began (S52).

Both are counted on the server. The cookie's own age could be set back by whoever holds it.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import auth, messages
from django.http import HttpRequest, HttpResponse

from tracker import clock

IDLE, LONGEST = timedelta(minutes=30), timedelta(hours=8)
# So often at most is the session written for this; the idle time is that much shorter.
_WRITTEN_EVERY = timedelta(minutes=1)
_BEGAN, _SEEN = "staff_began_at", "staff_seen_at"


def begin(request: Any) -> None:
    """Somebody has just come in: both times start now."""
    request.session[_BEGAN] = request.session[_SEEN] = _now()


class IdleMiddleware:
    """After `AdminTenancyMiddleware`: ends a session that has stood for too long."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(settings.ADMIN_PREFIX) and auth.SESSION_KEY in request.session:
            _keep_or_end(request)
        return self.get_response(request)


def _keep_or_end(request: HttpRequest) -> None:
    now = _now()
    began, seen = request.session.get(_BEGAN, 0.0), request.session.get(_SEEN, 0.0)
    if now - seen > IDLE.total_seconds() or now - began > LONGEST.total_seconds():
        auth.logout(request)
        messages.info(request, "You were signed out, because nothing was done for a while.")
    elif now - seen > _WRITTEN_EVERY.total_seconds():
        request.session[_SEEN] = now


def _now() -> float:
    return clock.now().timestamp()
