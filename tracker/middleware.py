"""What stands around every request: an id, an honest answer in an outage, admin's identity."""

import re
import time
from collections.abc import Callable

import structlog
from django.conf import settings
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError, close_old_connections, transaction
from django.http import Http404, HttpRequest, HttpResponse

from tracker import api, ids, network, tenancy
from tracker.logs import get_logger

log = get_logger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
Handler = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """Give each request an id: the caller's when it is well-formed, else a new one.

    The id is bound to every log line, travels with tasks, and comes back in ``X-Request-ID``.
    The caller's address is bound with it, and so reaches the activity log.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Not request.headers: once read, they would not show the id that is put there below.
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else str(ids.new_id())
        request.META["HTTP_X_REQUEST_ID"] = request_id
        request.request_id = request_id  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()  # what the thread's last request left
        structlog.contextvars.bind_contextvars(request_id=request_id)
        address = network.client_address(request)
        if address != network.UNKNOWN:
            structlog.contextvars.bind_contextvars(client_address=address)
        started = time.perf_counter()
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        self._log(request, response, time.perf_counter() - started)
        return response

    def _log(self, request: HttpRequest, response: HttpResponse, seconds: float) -> None:
        """One line a request; the path without its query, which may name assets or cursors."""
        log.info(
            "request",
            method=request.method,
            path=request.path,
            status=response.status_code,
            ms=round(seconds * 1000, 1),
        )


class OutageMiddleware:
    """What nobody caught: PostgreSQL gone is 503, anything else under /api/ is 500, both in the
    one error format. The next request tries afresh."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, (OperationalError, InterfaceError)):
            close_old_connections()
            return api.unavailable(request)
        if isinstance(error, Http404) or not request.path.startswith("/api/"):
            return None
        log.exception("api.failed", error=type(error).__name__)
        got_request_exception.send(sender=type(self), request=request)  # Sentry listens here
        return api.server_error(request)


class AdminTenancyMiddleware:
    """Admin pages read and write as system: whoever reaches them is checked by admin itself."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(settings.ADMIN_PREFIX):
            return self.get_response(request)
        with tenancy.as_system("admin"):
            response = self.get_response(request)
            if response.status_code >= 500:  # Django has already turned the exception into a page
                transaction.set_rollback(True)
            return response
