"""OpenAPI: stable operation ids, every error that an operation can give, a real example."""

import inspect
from functools import cache
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse, inline_serializer
from rest_framework import serializers

from tracker import api
from tracker.contract import errors, examples
from tracker.contract.errors import Kind

_ERROR = inline_serializer(
    "Error",
    {
        "code": serializers.CharField(help_text="Stable machine code."),
        "message": serializers.CharField(help_text="One sentence that the app can show."),
        "details": serializers.DictField(help_text="What belongs to the code; may be empty."),
        "request_id": serializers.CharField(allow_null=True, help_text="Quote it to support."),
    },
)
_KEY = {
    "name": "Idempotency-Key", "in": "header",
    "description": "A random word (a UUID) for this intention of the person. Sent again with the "
    "same body, the call has one effect and one answer, for a day.",
    "schema": {"type": "string", "pattern": "^[!-~]{8,200}$"},
}  # fmt: skip
_KNOWN = {
    "name": "If-None-Match", "in": "header", "description": "The `ETag` of the body you have.",
    "schema": {"type": "string"},
}  # fmt: skip
_ETAG = {"ETag": {"description": "Names this body.", "schema": {"type": "string"}}}


class ApiSchema(AutoSchema):
    """Adds to whatever a view declares what all views do, and sees that paged views are lists,
    though they have none of DRF's mixins: their filters, paging and shape depend on it."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        self._say_headers(operation)
        self._get_response_for_code(OpenApiResponse(_ERROR, description="."), "default")
        operation["responses"] |= errors.responses(operation["operationId"], self._kind(operation))
        examples.attach(operation)
        return operation

    def get_summary(self) -> str | None:
        """The first sentence of the description."""
        return super().get_summary() or _first_sentence(self.get_description())

    def _is_list_view(self, serializer: Any = None) -> bool:
        if getattr(serializer, "is_whole_answer", False):
            return False
        paged = self.method == "GET" and getattr(self.view, "pagination_class", None)
        return bool(paged) or super()._is_list_view(serializer)

    def _say_headers(self, operation: dict[str, Any]) -> None:
        parameters = operation.setdefault("parameters", [])
        if self._is_once():
            parameters.append(_KEY)
        if self._is_conditional():
            parameters.append(_KNOWN)
            operation["responses"]["200"]["headers"] = _ETAG
            operation["responses"]["304"] = {
                "description": "What you have is what holds; no body.", "headers": _ETAG,
            }  # fmt: skip

    def _kind(self, operation: dict[str, Any]) -> Kind:
        said = operation.get("parameters", ())
        return Kind(
            signed_in={} not in operation.get("security", ()),
            finds="{" in self.path or any(row["name"] == "cursor" for row in said),
            has_body="requestBody" in operation,
            has_query=any(row["in"] == "query" for row in said),
            once=self._is_once(),
            throttles=frozenset(one.__name__ for one in self.view.throttle_classes),
        )

    def _is_once(self) -> bool:
        return self.method == "POST" and _uses(type(self.view), self._handler(), "once")

    def _is_conditional(self) -> bool:
        if self.method != "GET":
            return False
        by_mixin = isinstance(self.view, api.ConditionalMixin)
        return by_mixin or _uses(type(self.view), self._handler(), "conditional")

    def _handler(self) -> Any:
        name = getattr(self.view, "action", None) or self.method.lower()
        return inspect.unwrap(getattr(type(self.view), name))


def _uses(view: type, function: Any, name: str) -> bool:
    """Whether a method of a view names something, itself or through other methods of the view."""
    seen, waiting = set(), [function]
    while waiting:
        code = waiting.pop().__code__
        if name in code.co_names:
            return True
        seen.add(code)
        inner = [inspect.unwrap(getattr(view, each)) for each in code.co_names
                 if inspect.isfunction(getattr(view, each, None))]  # fmt: skip
        waiting += [each for each in inner if each.__code__ not in seen]
    return False


def _first_sentence(text: str) -> str:
    line = " ".join(text.split("\n\n")[0].split())
    sentence, _, _ = line.partition(". ")
    return sentence.rstrip(".")


@cache  # a shape that is used twice is one component
def results_of(serializer: type[serializers.Serializer]) -> serializers.Serializer:
    """The shape of an unpaged list: ``{"results": [...]}``."""
    name = serializer.__name__.removesuffix("Serializer") + "List"
    shape = inline_serializer(name, {"results": serializer(many=True)})
    shape.is_whole_answer = True  # type: ignore[attr-defined]
    return shape
