"""OpenAPI: errors in the one format on every operation, stable operation ids."""

from functools import cache
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse, inline_serializer
from rest_framework import serializers

_ERROR = inline_serializer(
    "Error",
    {
        "code": serializers.CharField(help_text="Stable machine code."),
        "message": serializers.CharField(help_text="One sentence that the app can show."),
        "details": serializers.DictField(help_text="What belongs to the code; may be empty."),
        "request_id": serializers.CharField(allow_null=True, help_text="Quote it to support."),
    },
)


class ApiSchema(AutoSchema):
    """Adds a default error response to whatever a view declares, and sees that paged views are
    lists, though they have none of DRF's mixins: their filters, paging and shape depend on it."""

    def _is_list_view(self, serializer: Any = None) -> bool:
        paged = self.method == "GET" and getattr(self.view, "pagination_class", None)
        return bool(paged) or super()._is_list_view(serializer)

    def _get_response_bodies(self, *args: Any, **kwargs: Any) -> Any:
        bodies = super()._get_response_bodies(*args, **kwargs)
        bodies["default"] = self._get_response_for_code(
            OpenApiResponse(_ERROR, description="What went wrong."), "default"
        )
        return bodies


@cache  # a shape that is used twice is one component
def results_of(serializer: type[serializers.Serializer]) -> serializers.Serializer:
    """The shape of an unpaged list: ``{"results": [...]}``."""
    name = serializer.__name__.removesuffix("Serializer") + "List"
    return inline_serializer(name, {"results": serializer(many=True)})
