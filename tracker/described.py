"""The API's own description: the schema, and a page on which it can be tried.

Shown where the operator says so (``API_DOCS``): in production nobody needs it but whoever builds
the app, and they have ``docs/openapi.json``.
"""

from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_safe
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView


def require_docs() -> None:
    """Raises Http404 where the description is not shown."""
    if not settings.API_DOCS:
        raise Http404


class _WhereShown:
    def dispatch(self, *args: Any, **kwargs: Any) -> Any:
        require_docs()
        return super().dispatch(*args, **kwargs)  # type: ignore[misc]


class SchemaView(_WhereShown, SpectacularAPIView):
    """``/api/schema``: OpenAPI."""

    throttle_classes = ()


class DocsView(_WhereShown, SpectacularSwaggerSplitView):
    """``/api/docs``; its script comes from an address of its own, none stands in the page."""

    throttle_classes = ()
    url_name = "schema"


@require_safe
def front(request: HttpRequest) -> HttpResponse:
    """``/``: the docs where they are shown, else how the service does."""
    return HttpResponseRedirect(reverse("docs" if settings.API_DOCS else "status"))
