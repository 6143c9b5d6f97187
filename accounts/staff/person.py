"""One page per person: what somebody needs who answers a ticket. Looking is written to the log.

What is on it was brought by the rooms (`tracker.desk`); here stands only who the person is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Case, Value, When
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.utils.text import slugify
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import User
from accounts.privacy import tombstones
from audit import log
from audit.actions import Action
from tracker import clock, desk, touching
from tracker.admin import staff_id
from tracker.desk import PersonAct, Section
from tracker.logs import get_logger

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """A section as it stands on the page; None where it could not be read."""

    key: str
    title: str
    html: SafeString | None


@dataclass(frozen=True, slots=True)
class Button:
    """An act that the reader may do, and where."""

    act: PersonAct
    url: str


@method_decorator([never_cache, require_safe], name="dispatch")
class PersonPage(View):
    """``/people/<id>/``."""

    site: Any = None

    def get(self, request: HttpRequest, key: UUID) -> HttpResponse:
        """The page; 404 for nobody, and a page that says so for who was erased."""
        if not request.user.has_perm("accounts.view_user"):
            raise PermissionDenied
        now = clock.now()
        acts = desk.acts(request)
        person = _with_what_applies(acts, key, staff_id(request), now)
        if person is None:
            return self._of_nobody(request, key)
        log.record(Action.PERSON_VIEWED, user_id=person.id, actor_id=staff_id(request))
        context = self.site.each_context(request) | {
            "title": person.email, "subtitle": None, "person": person, "now": now,
            "identity": list(_identity(person)), "warning": _warning(person),
            "parts": _parts(request, person, now), "buttons": list(_buttons(request, person, acts)),
        }  # fmt: skip
        return TemplateResponse(request, "admin/desk/person.html", context)

    def _of_nobody(self, request: HttpRequest, key: UUID) -> HttpResponse:
        erased_at = next((s.erased_at for s in tombstones.read() if s.user_id == key), None)
        if erased_at is None:
            raise Http404
        context = self.site.each_context(request) | {
            "title": "This person was erased", "subtitle": None, "key": key,
            "erased_at": erased_at,
        }  # fmt: skip
        return TemplateResponse(request, "admin/desk/erased.html", context, status=410)


def _parts(request: HttpRequest, person: User, now: datetime) -> list[Part]:
    """Every section. Only when one fails is each read apart, which costs two statements more."""
    sections = desk.sections(request)
    try:
        with transaction.atomic():
            return [_part(section, request, person, now) for section in sections]
    except Exception:  # said and logged below, where it is known of which one
        return [_part_or_none(section, request, person, now) for section in sections]


def _part(section: Section, request: HttpRequest, person: User, now: datetime) -> Part:
    found: Mapping[str, Any] = section.read(person_id=person.id, now=now)
    html = render_to_string(section.template, {**found, "person": person, "now": now}, request)
    return Part(slugify(section.title), section.title, html)


def _part_or_none(section: Section, request: HttpRequest, person: User, now: datetime) -> Part:
    try:
        with transaction.atomic():
            return _part(section, request, person, now)
    except Exception as error:  # the rest of the page may hold the answer all the same
        logger.exception("desk.section_failed", section=section.title, error=type(error).__name__)
        return Part(slugify(section.title), section.title, None)


def _with_what_applies(
    acts: Sequence[PersonAct], key: UUID, actor_id: UUID, now: datetime
) -> User | None:
    """The person, with an attribute for each act that there is not always something to do for."""
    yes, no = Value(True), Value(False)
    found = {
        _attribute(act): Case(When(act.applies(actor_id=actor_id, now=now), then=yes), default=no)
        for act in acts if act.applies
    }  # fmt: skip
    return User.objects.filter(id=key).annotate(**found).first()


def _attribute(act: PersonAct) -> str:
    return f"offers_{act.slug.replace('-', '_')}"


def _buttons(request: HttpRequest, person: User, acts: Sequence[PersonAct]) -> Iterator[Button]:
    """What there is to do; nothing where the reader may not act on this person at all."""
    if not touching.may_act_on(request, person):
        return
    for act in acts:
        if getattr(person, _attribute(act), True):
            yield Button(act, reverse("admin:person_act", args=[person.id, act.slug]))


# --- who they are -------------------------------------------------------------------------------
def _identity(person: User) -> Iterator[tuple[str, Any]]:
    yield "E-mail", person.email
    yield "Confirmed", _instant(person.email_confirmed_at, "not confirmed")
    yield "Plan", person.subscription_tier
    yield "Signed up", _instant(person.created_at)
    yield "May sign in", "yes" if person.is_active else "no: deactivated"
    yield "Staff", _staff(person)
    yield "Sees value in", f"{person.base_currency}, {person.time_zone}, {person.locale}"
    yield "Cost basis", f"{person.get_cost_basis_method_display()}, {person.cost_basis_scope}"
    yield "Id", person.id


def _staff(person: User) -> str:
    if person.is_superuser:
        return "superuser"
    return "yes" if person.is_staff else "no"


def _warning(person: User) -> str:
    if person.closes_at:
        return f"This account closes: everything is erased at {_instant(person.closes_at)}."
    return "" if person.is_active else "This account is deactivated: the person cannot sign in."


def _instant(at: datetime | None, otherwise: str = "never") -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else otherwise
