"""How the API speaks: one error format, strict JSON in, fast JSON out, cursors and ETags.

Every error is ``{"code", "message", "details", "request_id"}``: a stable code for programs, one
sentence for people, and for wrong input a list of fields in ``details.fields``.
"""

import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import orjson
import structlog
from django.conf import settings
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.db import DataError, InterfaceError, OperationalError, close_old_connections
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.module_loading import import_string
from django.views import defaults
from rest_framework import exceptions, status
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import JSONParser
from rest_framework.permissions import SAFE_METHODS
from rest_framework.renderers import BaseRenderer
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from tracker import money
from tracker.errors import DomainError
from tracker.logs import get_logger

log = get_logger(__name__)


class OutOfOrder(DomainError):
    """The database or another server of ours does not answer."""

    code = "service_unavailable"
    status = 503
    message = "The service is briefly unavailable. Please try again in a moment."


class InvalidInput(DomainError):
    """Wrong input beyond the shape that serializers check; ``details.fields`` names the field."""

    code = "invalid_input"
    status = 400
    message = "Some of what you sent cannot be used."

    @classmethod
    def of(cls, field: str, message: str, *, code: str = "invalid") -> "InvalidInput":
        return cls(details={"fields": [{"field": field, "code": code, "message": message}]})


class BodyTooLarge(DomainError):
    code = "body_too_large"
    status = 413
    message = "This request is too large."


def error_body(code: str, message: str, details: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The one error format."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    return {
        "code": code,
        "message": message,
        "details": dict(details or {}),
        "request_id": request_id,
    }


def handle_exception(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's exception handler: every known error in the one format, unknown ones stay 500."""
    error = _translated(error, context)
    if isinstance(error, DomainError):
        response = _answer(
            error.status,
            error_body(error.code, error.text, error.details),
            retry_after=error.retry_after,
        )
        response.ours = error.ours  # type: ignore[attr-defined]  # tracker.monitoring.requests
        return response
    if isinstance(error, (OperationalError, InterfaceError)):
        log.error("api.database_unavailable", error=type(error).__name__)
        close_old_connections()
        return _answer(503, error_body(OutOfOrder.code, OutOfOrder.message), retry_after=5)
    if isinstance(error, (Http404, exceptions.NotFound)):
        return _answer(404, error_body("not_found", "There is nothing here with this id."))
    if isinstance(error, exceptions.ValidationError):
        fields = list(_flatten(error.get_full_details()))
        return _answer(400, error_body(InvalidInput.code, InvalidInput.message, {"fields": fields}))
    if isinstance(error, exceptions.APIException):
        return _known(error)
    return None


def _translated(error: Exception, context: Mapping[str, Any]) -> Exception:
    """Django's own errors as ours or DRF's."""
    reading = getattr(context.get("request"), "method", "") in SAFE_METHODS
    if isinstance(error, RequestDataTooBig):
        return BodyTooLarge()
    if isinstance(error, SuspiciousOperation):
        return exceptions.ParseError("This request cannot be understood.")
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied()
    # A cursor or filter that its column cannot hold, such as an instant beyond the calendar.
    if isinstance(error, ValidationError) or (
        reading and isinstance(error, (DataError, OverflowError))
    ):
        return exceptions.ValidationError("This value cannot be used.", code="invalid")
    return error


def _known(error: exceptions.APIException) -> Response:
    wait = getattr(error, "wait", None)
    headers = {}
    if isinstance(error, (exceptions.AuthenticationFailed, exceptions.NotAuthenticated)):
        headers["WWW-Authenticate"] = 'Bearer realm="api"'
    code = str(getattr(error.detail, "code", None) or error.default_code)
    response = _answer(error.status_code, error_body(code, str(error.detail)), retry_after=wait)
    for name, value in headers.items():
        response.headers[name] = value
    return response


def _answer(code: int, body: dict[str, Any], *, retry_after: float | None = None) -> Response:
    headers = {} if retry_after is None else {"Retry-After": str(max(1, int(retry_after + 0.999)))}
    response = Response(body, status=code, headers=headers)
    response.exception = True
    return response


def _flatten(details: Any, path: str = "") -> Any:
    """Nested serializer errors as flat rows: field path, code, message."""
    if isinstance(details, dict) and "message" in details and "code" in details:
        yield {"field": path, "code": str(details["code"]), "message": str(details["message"])}
    elif isinstance(details, dict):
        for name, item in details.items():
            inner = "" if name == "non_field_errors" else str(name)
            yield from _flatten(item, ".".join(part for part in (path, inner) if part))
    elif isinstance(details, list):
        for item in details:
            yield from _flatten(item, path)


# --- reading and writing JSON -------------------------------------------------------------------
class StrictJSONParser(JSONParser):
    """JSON in UTF-8, an object, of bounded depth and size, without NaN, NUL or duplicate names."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            text = stream.read().decode("utf-8")
            data = json.loads(
                text, parse_constant=_no_constant, object_pairs_hook=_no_duplicates,
                parse_float=Decimal,
            )  # fmt: skip
        except (UnicodeDecodeError, ValueError, ArithmeticError, RecursionError) as error:
            raise exceptions.ParseError("This is not valid JSON.") from error
        if not isinstance(data, dict):
            raise exceptions.ParseError("A JSON object is expected.")
        if _depth(data) > settings.MAX_JSON_DEPTH:
            raise exceptions.ParseError("This JSON is nested too deeply.")
        if "\x00" in text or "\\u0000" in text:
            raise exceptions.ParseError("Text may not hold the NUL character.")
        if _LONE_SURROGATE.search(json.dumps(data, ensure_ascii=False, default=str)):
            raise exceptions.ParseError("Text may not hold half a character.")
        return data


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate name")
    return found


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level:
        deepest += 1
        level = [
            item
            for container in level
            for item in (container.values() if isinstance(container, dict) else container)
            if isinstance(item, (dict, list))
        ]
    return deepest


class FastJSONRenderer(BaseRenderer):
    """orjson; decimals as plain strings."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None
    ) -> bytes:
        return b"" if data is None else to_json(data)


def to_json(data: Any) -> bytes:
    """Bytes of a JSON document; Decimal becomes a plain string, datetimes end in ``Z``."""
    return orjson.dumps(data, default=_encode, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def _encode(value: Any) -> Any:
    if isinstance(value, Decimal):
        return money.to_text(value)
    if isinstance(value, (list, tuple, set, frozenset)) or hasattr(value, "__iter__"):
        return list(value)
    return str(value)


class StrictSerializer(Serializer):
    """An input serializer that refuses fields it does not know (S18)."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            writable = {name for name, field in self.fields.items() if not field.read_only}
            unknown = sorted(set(map(str, data)) - writable)
            if unknown:
                raise exceptions.ValidationError(
                    {name: exceptions.ErrorDetail("This field is not known here.", "unknown_field")
                     for name in unknown}
                )  # fmt: skip
        return super().to_internal_value(data)


# --- reads --------------------------------------------------------------------------------------
class OpaquePagination(CursorPagination):
    """Pages by an opaque cursor, ``next`` and ``previous`` null where there is no other."""

    def get_paginated_response_schema(self, schema: Any) -> dict[str, Any]:
        """DRF's own says ``nullable``, which OpenAPI 3.1 does not know."""
        shape = super().get_paginated_response_schema(schema)
        for name in ("next", "previous"):
            shape["properties"][name] = {"type": ["string", "null"], "format": "uri"}
        return shape | {"required": ["next", "previous", "results"]}


class TimeCursorPagination(OpaquePagination):
    """Newest first by ``occurred_at`` and id; the cursor is opaque and survives new rows."""

    page_size = settings.PAGE_SIZE
    max_page_size = settings.MAX_PAGE_SIZE
    page_size_query_param = "page_size"
    ordering = ("-occurred_at", "-id")
    invalid_cursor_message = "This cursor is not valid."


def conditional(request: HttpRequest, body: bytes) -> HttpResponse:
    """JSON bytes with an ETag, or 304 when the caller already has them."""
    etag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    given = request.headers.get("If-None-Match", "")
    known = {tag.strip().removeprefix("W/") for tag in given.split(",")}
    if etag in known or given.strip() == "*":
        return HttpResponse(status=304, headers={"ETag": etag, "Cache-Control": _PRIVATE})
    return HttpResponse(
        body, content_type="application/json", headers={"ETag": etag, "Cache-Control": _PRIVATE}
    )


_PRIVATE = "private, no-cache"


class ConditionalMixin:
    """Every successful GET of a view carries an ETag and answers 304 to one that is known."""

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[misc]
        if request.method != "GET" or response.status_code != status.HTTP_200_OK:
            response.headers.setdefault("Cache-Control", "no-store")
            return response
        if "ETag" in response.headers or not isinstance(response, Response):
            return response
        conditional_response = conditional(request, response.render().content)
        for name, value in response.headers.items():
            conditional_response.headers.setdefault(name, value)
        return conditional_response


class OnceMixin:
    """A view of a room below accounts whose POST honours ``Idempotency-Key``.

    Accounts keep the answers; the setting ``IDEMPOTENT_POSTS`` names the function that does.
    """

    def once(self, request: Any, handler: Callable[[], Response]) -> Response:
        """Run ``handler`` unless this request was answered before; return the answer."""
        answer_once = import_string(settings.IDEMPOTENT_POSTS)
        return answer_once(request, handler)


# --- errors outside DRF -------------------------------------------------------------------------
def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _speaks_json(request):
        return defaults.page_not_found(request, exception)
    return _plain(404, "not_found", "There is nothing at this address.")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _speaks_json(request):
        return defaults.bad_request(request, exception)
    return _plain(400, "bad_request", "This request cannot be understood.")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _speaks_json(request):
        return defaults.permission_denied(request, exception)
    return _plain(403, "permission_denied", "You may not do this.")


def server_error(request: HttpRequest) -> HttpResponse:
    # Middleware may have raised it, which no other middleware sees: an outage all the same.
    if isinstance(sys.exc_info()[1], (OperationalError, InterfaceError)):
        close_old_connections()
        return unavailable(request)
    if not _speaks_json(request):
        return defaults.server_error(request)
    return _plain(500, "internal_error", "Something broke on our side. We were told.")


def _speaks_json(request: HttpRequest) -> bool:
    """Pages for people, admin's first of all, keep Django's own error pages."""
    return not request.path.startswith(settings.ADMIN_PREFIX)


def unavailable(request: HttpRequest) -> HttpResponse:
    response = _plain(503, OutOfOrder.code, OutOfOrder.message)
    response["Retry-After"] = "5"
    return response


def _plain(code: int, name: str, message: str) -> HttpResponse:
    return JsonResponse(error_body(name, message), status=code)
