"""What stands beside live connections on the web: their description, and a page to try them."""

from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from portfolios.live import asyncapi, messages
from tracker.described import require_docs


@require_safe
def description(request: HttpRequest) -> HttpResponse:
    """``/api/live-schema``: AsyncAPI, shown like the description of the API."""
    require_docs()
    return JsonResponse(asyncapi.document(url=settings.LIVE_URL))


@require_safe
def sample(request: HttpRequest) -> HttpResponse:
    """``/live``: sign in, and see prices and a portfolio's value move; 404 unless switched on."""
    if not settings.LIVE_PAGE:
        raise Http404
    context: dict[str, Any] = {"stream": settings.LIVE_URL + messages.PATH}
    response = render(request, "public/live.html", context)
    response["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; "
        f"connect-src 'self' {settings.LIVE_URL}; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    return response
