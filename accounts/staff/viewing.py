"""Pages on which staff see what the app shows a person who allows it (`accounts.support_access`).

Nothing can be done on them: they answer to reading alone, and PostgreSQL refuses to write for as
long as the person's data are read. Each page is marked, and stands in the activity log.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache

from accounts import support_access
from accounts.models import SupportViewing, User
from accounts.staff import acting, parts
from accounts.support_access import ViewingOver
from tracker import clock, desk, tenancy
from tracker.admin import staff_id
from tracker.desk import Screen
from tracker.errors import DomainError

PERMISSION = "accounts.view_as"
TEMPLATE = "admin/staff/person_screen.html"


@method_decorator(never_cache, name="dispatch")
class ScreenPage(View):
    """One page of the app as a person sees it; the first one where none is named."""

    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest, person_id: UUID, slug: str = "") -> HttpResponse:
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        person, screen = acting.acted_on(request, person_id), _screen(slug)
        now = clock.now()
        try:
            viewing = support_access.note_page(
                user_id=person.id, actor_id=staff_id(request), page=screen.slug, now=now
            )
        except ViewingOver as over:
            messages.warning(request, over.text)
            return HttpResponseRedirect(reverse("admin:person_act", args=[person.id, "view-as"]))
        try:
            with tenancy.narrowed_to(person.id, read_only=True):
                shown = screen.read(person_id=person.id, now=now)
        except DomainError as problem:
            shown = {"problem": problem.text}
        return _page(request, person, screen, viewing, shown)


def _screen(slug: str) -> Screen:
    found = desk.screen(slug) if slug else next(iter(desk.screens()), None)
    if found is None:
        raise Http404
    return found


def _page(
    request: HttpRequest, person: User, screen: Screen, viewing: SupportViewing,
    shown: Mapping[str, Any],
) -> HttpResponse:  # fmt: skip
    context = {
        **admin.site.each_context(request), "title": f"{screen.title} as {person.email} sees it",
        "subtitle": None, "person": person, "person_url": acting.page_of(person.id),
        "viewing": viewing, "screen": screen, "screens": desk.screens(),
        "parts": parts.of(shown),
    }  # fmt: skip
    return render(request, TEMPLATE, context)
