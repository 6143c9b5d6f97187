"""What stands around every request: an id, an honest answer in an outage, admin's identity."""

import re
from collections.abc import Callable

import structlog
from django.db import InterfaceError, OperationalError, close_old_connections
from django.http import HttpRequest, HttpResponse, JsonResponse

from tracker import ids, tenancy

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
Handler = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """Give each request an id: the caller's when it is well-formed, else a new one.

    The id is bound to every log line, travels with tasks, and comes back in ``X-Request-ID``.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else str(ids.new_id())
        request.META["HTTP_X_REQUEST_ID"] = request_id
        request.request_id = request_id  # type: ignore[attr-defined]
        structlog.contextvars.bind_contextvars(request_id=request_id)
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


class OutageMiddleware:
    """PostgreSQL gone: 503 with a sentence instead of a 500; the next request tries afresh."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, (OperationalError, InterfaceError)):
            return None
        close_old_connections()
        from tracker.api import OutOfOrder, error_body

        return JsonResponse(
            error_body(OutOfOrder.code, OutOfOrder.message), status=503, headers={"Retry-After": "5"}
        )


class AdminTenancyMiddleware:
    """Admin pages read and write as system: whoever reaches them is checked by admin itself."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith("/admin/"):
            return self.get_response(request)
        with tenancy.as_system("admin"):
            return self.get_response(request)
