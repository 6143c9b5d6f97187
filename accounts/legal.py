"""Public pages: what people agree to, and the link under which a copy of their data is fetched."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

from accounts import pages
from accounts.privacy import export, inventory
from accounts.views.privacy import attachment
from tracker import clock
from tracker.errors import DomainError


@pages.public_page
def terms(request: HttpRequest) -> HttpResponse:
    """``/terms``: the terms of use in force."""
    return _page(request, "public/terms.html", version=settings.TERMS_VERSION)


@pages.public_page
def privacy(request: HttpRequest) -> HttpResponse:
    """``/privacy``: the privacy policy in force."""
    return _page(
        request, "public/privacy.html", version=settings.PRIVACY_VERSION,
        recipients=inventory.RECIPIENTS, activity_days=settings.ACTIVITY_RETENTION.days,
        grace_days=settings.CLOSING_GRACE.days, export_days=settings.EXPORT_LIFETIME.days,
        backups=inventory.BACKUPS,
    )  # fmt: skip


def fetch_export(request: HttpRequest) -> HttpResponseBase:
    """``/exports``: the file behind the link in the e-mail.

    The token stands in the query, which is not logged. Opening it changes nothing, so a mail
    scanner that does costs nobody anything.
    """
    response = _fetch(request)
    response["Cache-Control"] = "no-store, private"
    response["Referrer-Policy"] = "no-referrer"
    return response


def _fetch(request: HttpRequest) -> HttpResponseBase:
    try:
        user_id, export_id = export.read_link(request.GET.get("token", ""))
        found = export.fetch(user_id=user_id, export_id=export_id, now=clock.now(), by="link")
    except DomainError as problem:
        return pages.failed(request, problem)
    return attachment(found)


def _page(request: HttpRequest, template: str, **facts: Any) -> HttpResponse:
    return render(request, template, {"operator": settings.OPERATOR, **facts})
