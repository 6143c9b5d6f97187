"""The search box: from whatever stands in a ticket to the person.

What is looked for is posted: addresses of people and keys have no place in an address, which
servers log and browsers remember.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache

from accounts.models import User
from accounts.staff.home import may_find
from tracker import desk
from tracker.desk import Hit

LONGEST = 200
_MOST_SHOWN = 50
_TOO_LONG = f"That is longer than anything that can be found ({LONGEST} characters)."
_UNREADABLE = "That holds a character that no address and no id has."


@method_decorator(never_cache, name="dispatch")
class FindPage(View):
    """One person leads straight to their page, several are listed."""

    site: Any = None
    http_method_names = ["get", "head", "post"]

    def get(self, request: HttpRequest) -> HttpResponse:
        """The box, and what can be looked for."""
        if not may_find(request):
            raise PermissionDenied
        return self._page(request, "", "", [])

    def post(self, request: HttpRequest) -> HttpResponse:
        """What was found, or the way to the only person who is meant."""
        if not may_find(request):
            raise PermissionDenied
        text = request.POST.get("q", "").strip()
        problem = _problem(text)
        hits = [] if problem or not text else _hits(request, text)
        people = {hit.person_id for hit in hits}
        if len(people) == 1 and None not in people:
            return HttpResponseRedirect(reverse("admin:person", args=[people.pop()]))
        return self._page(request, "" if problem else text, problem, hits)

    def _page(self, request: HttpRequest, text: str, problem: str, hits: list[Hit]) -> HttpResponse:
        emails = _emails(hit.person_id for hit in hits)
        rows = [
            {"says": hit.says, "url": hit.url, "person": hit.person_id,
             "email": emails.get(hit.person_id) if hit.person_id else None}
            for hit in hits
        ]  # fmt: skip
        context = self.site.each_context(request) | {
            "title": "Find a person", "subtitle": None, "text": text, "problem": problem,
            "rows": rows[:_MOST_SHOWN], "more": len(rows) > _MOST_SHOWN,
            "finders": [finder.title for finder in desk.finders(request)],
        }  # fmt: skip
        return TemplateResponse(request, "admin/desk/find.html", context)


def _problem(text: str) -> str:
    if len(text) > LONGEST:
        return _TOO_LONG
    return "" if text.isprintable() else _UNREADABLE


def _hits(request: HttpRequest, text: str) -> list[Hit]:
    return [
        hit for finder in desk.finders(request) for hit in list(finder.find(text))[: desk.MOST_HITS]
    ]


def _emails(keys: Iterable[UUID | None]) -> dict[UUID, str]:
    known = {key for key in keys if key is not None}
    return dict(User.objects.filter(id__in=known).values_list("id", "email")) if known else {}
