"""The page on which staff does something for a person, or against them (`tracker.desk`)."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache

from accounts.models import User
from tracker import clock, desk, touching
from tracker.admin import staff_id
from tracker.desk import PersonAct, PersonForm
from tracker.errors import DomainError

TEMPLATE = "admin/staff/person_act.html"


@method_decorator(never_cache, name="dispatch")
class PersonActPage(View):
    """Says what an act does and asks for what it needs; then does it, wholly or not at all."""

    http_method_names = ["get", "head", "post"]

    def get(self, request: HttpRequest, person_id: UUID, slug: str) -> HttpResponse:
        person, act = acted_on(request, person_id), _act(request, slug)
        return _page(request, person, act, _form(act, person))

    def post(self, request: HttpRequest, person_id: UUID, slug: str) -> HttpResponse:
        person, act = acted_on(request, person_id), _act(request, slug)
        form = _form(act, person, request.POST)
        if not form.is_valid():
            return _page(request, person, act, form)
        try:
            with transaction.atomic():
                told = desk.run(
                    act, person_id=person.id, actor_id=staff_id(request), now=clock.now(),
                    **form.cleaned_data,
                )  # fmt: skip
        except DomainError as problem:
            return _page(request, person, act, form, problem)
        messages.success(request, told)
        return HttpResponseRedirect(_onwards(act, person))


def acted_on(request: HttpRequest, person_id: UUID) -> User:
    """The person, for who may see people and act on this one. Raises PermissionDenied, Http404."""
    if not request.user.has_perm("accounts.view_user"):
        raise PermissionDenied
    person = get_object_or_404(User, id=person_id)
    if not touching.may_act_on(request, person):
        raise PermissionDenied
    return person


def page_of(person_id: UUID) -> str:
    """Where a person is shown to staff."""
    return reverse("admin:person", args=[person_id])


def _act(request: HttpRequest, slug: str) -> PersonAct:
    """Unknown acts and those that are not for this reader are refused alike."""
    found = desk.act(request, slug)
    if found is None:
        raise PermissionDenied
    return found


def _form(act: PersonAct, person: User, data: Any = None) -> forms.Form:
    form = act.form(data)
    if isinstance(form, PersonForm):
        form.prepare(person.id)
    return form


def _onwards(act: PersonAct, person: User) -> str:
    return reverse(act.leads_to, args=[person.id]) if act.leads_to else page_of(person.id)


def _page(
    request: HttpRequest, person: User, act: PersonAct, form: forms.Form,
    problem: DomainError | None = None,
) -> HttpResponse:  # fmt: skip
    context = {
        **admin.site.each_context(request), "title": act.label, "subtitle": None, "act": act,
        "person": person, "person_url": page_of(person.id), "form": form,
        "problems": _sentences(problem) if problem else [],
    }  # fmt: skip
    response = render(request, TEMPLATE, context, status=problem.status if problem else 200)
    if problem and problem.retry_after:
        response["Retry-After"] = str(problem.retry_after)
    return response


def _sentences(problem: DomainError) -> list[str]:
    """What was wrong: field by field where it was about fields."""
    fields = problem.details.get("fields", [])
    return [row["message"] for row in fields] or [problem.text]
