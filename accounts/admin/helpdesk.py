"""Support requests in the admin: the queue, one request with its thread, and how fast we are."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from accounts.helpdesk import answering, canned, figures, references
from accounts.models import CannedReply, SupportMessage, SupportRequest
from accounts.models.helpdesk import LONGEST_TEXT, SupportCategory
from audit.admin import AuditedAdmin
from tracker import charts, clock, desk, touching
from tracker.admin import ReadOnlyAdmin, one_of, staff_id
from tracker.api import InvalidInput
from tracker.desk import Level, Tile
from tracker.errors import DomainError

WEEKS, RATED_DAYS = 12, 90
VIEW = "accounts.view_supportrequest"
_QUEUE_URL = "admin:accounts_supportrequest_changelist"


# --- filters ------------------------------------------------------------------------------------
class WhoseFilter(admin.SimpleListFilter):
    """Whose task it is."""

    title, parameter_name = "whose", "whose"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("mine", "mine"), ("nobody", "nobody's")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "mine":
            return queryset.filter(assigned_to=request.user.pk)
        return queryset.filter(assigned_to=None) if self.value() == "nobody" else queryset


class WaitingFilter(admin.SimpleListFilter):
    """Whether the person waits for us; those that wait longest come first then."""

    title, parameter_name = "waiting", "waiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        hours = figures.OVERDUE // timedelta(hours=1)
        return [("yes", "for an answer"), ("overdue", f"longer than {hours} hours")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "overdue":
            return queryset.filter(waiting_since__lt=clock.now() - figures.OVERDUE)
        return queryset.filter(waiting_since__isnull=False) if self.value() == "yes" else queryset


# --- requests -----------------------------------------------------------------------------------
@admin.register(SupportRequest)
class SupportRequestAdmin(ReadOnlyAdmin):
    """What people ask. Nothing is changed by hand: each button is a service with its log entry."""

    list_display = (
        "reference", "state", "waits", "subject", "category", "user", "plan", "assigned_to",
        "first_response", "opened_at",
    )  # fmt: skip
    list_filter = (
        WaitingFilter, WhoseFilter, one_of("state", SupportRequest.State.values),
        one_of("category", SupportCategory.values),
    )  # fmt: skip
    list_select_related = ("user", "assigned_to")
    ordering = ("-opened_at", "-id")
    search_fields = ("user__email", "=reference")
    search_help_text = "E-mail of the person, reference (SR-…), id"
    unlisted = ("diagnostics", "snapshot", "rating_comment")
    hidden = ("version",)
    change_list_template = "admin/accounts/support_list.html"
    change_form_template = "admin/accounts/support_request.html"

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        waiting = WaitingFilter.parameter_name in request.GET
        return ("waiting_since", "id") if waiting else tuple(self.ordering or ())

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, term: str) -> Any:
        """However somebody writes a reference, it is found."""
        words = " ".join(references.meant(word) or word for word in term.split())
        return super().get_search_results(request, queryset, words)

    @admin.display(description="plan")
    def plan(self, found: SupportRequest) -> str:
        return found.user.subscription_tier

    @admin.display(description="waits")
    def waits(self, found: SupportRequest) -> str:
        """A word beside the span where it is too long, not a colour alone."""
        if found.waiting_since is None:
            return "–"
        span = clock.now() - found.waiting_since
        return figures.worded(span) + (" (overdue)" if span > figures.OVERDUE else "")

    @admin.display(description="first response")
    def first_response(self, found: SupportRequest) -> str:
        answered = found.first_answered_at
        return figures.worded(answered - found.opened_at if answered else None)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        names = (
            "reference", "user", "category", "state", "assigned_to", "connection_id", "opened_at",
            "waiting_since", "first_answered_at", "closed_at", "closed_by", "rating",
            "rating_comment", "consented_at", "diagnostics", "snapshot",
        )  # fmt: skip
        return [self._column(name) for name in names] + ["plan", "first_response"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("plan", "first_response")

    # --- one request ------------------------------------------------------------------------
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page; and what its buttons do. A refusal shows the page again with what was typed."""
        typed = ""
        if request.method == "POST":
            done, typed = self._act(request, object_id)
            if done:
                return redirect(request.get_full_path())
            request.method = "GET"  # Django would take it for its own form, which nobody may save
        context = {"typed": typed, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def _act(self, request: HttpRequest, object_id: str) -> tuple[bool, str]:
        """Whether it was done, and what stays in the text field where it was not."""
        found = self.get_object(request, object_id)
        if found is None or not self.has_view_permission(request, found):
            raise PermissionDenied
        run = _ACTS.get(request.POST.get("act", ""))
        if run is None or not request.user.has_perm(run.permission):
            raise PermissionDenied
        if not touching.may_act_on(request, found.user):
            raise PermissionDenied
        text = request.POST.get("text", "").replace("\x00", "")[: LONGEST_TEXT + 1]
        try:
            said = run.do(request, found, text)
        except DomainError as problem:
            self.message_user(request, _sentence(problem), messages.ERROR)
            return False, text
        if run.keeps_text:
            return False, said
        self.message_user(request, said, messages.SUCCESS)
        return True, ""

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        found = context.get("original")
        if found is not None:
            context |= _page(request, found)
        return super().render_change_form(request, context, *args, **kwargs)

    # --- figures ----------------------------------------------------------------------------
    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.figures)
        return [path("figures/", view, name="accounts_support_figures"), *super().get_urls()]

    def figures(self, request: HttpRequest) -> HttpResponse:
        """First-response times by week, what waits by age, and ratings."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = self.admin_site.each_context(request) | _figures(clock.now()) | {
            "title": "Support figures", "opts": self.opts,
        }  # fmt: skip
        return TemplateResponse(request, "admin/accounts/support_figures.html", context)


def _page(request: HttpRequest, found: SupportRequest) -> dict[str, Any]:
    """What the page of a request shows beside its fields."""
    may_act = touching.may_act_on(request, found.user)
    may_assign = may_act and request.user.has_perm(answering.ASSIGN)
    rows = SupportMessage.objects.filter(user_id=found.user_id, request=found)
    return {
        "thread": list(rows.select_related("author").order_by("id")),
        "canned": canned.offered(found), "version": found.version,
        "categories": SupportCategory.choices, "longest": LONGEST_TEXT,
        "can_answer": may_act and request.user.has_perm(answering.ANSWER),
        "can_assign": may_assign,
        "desk": answering.desk() if may_assign else (),
        "connection_url": _connection_url(found),
        "person_url": reverse("admin:person", args=[found.user_id]),
    }  # fmt: skip


def _connection_url(found: SupportRequest) -> str:
    """The page of a room above; empty where the request names no connection."""
    key = found.connection_id
    return reverse("admin:exchanges_exchangeconnection_change", args=[key]) if key else ""


def _sentence(problem: DomainError) -> str:
    fields = problem.details.get("fields") if isinstance(problem, InvalidInput) else None
    return "Please write something." if fields else problem.text


# --- what the buttons do ------------------------------------------------------------------------
class _Act:
    """One button: who may press it, and the sentence about what was done."""

    permission = answering.ANSWER
    keeps_text = False

    def do(self, request: HttpRequest, found: SupportRequest, text: str) -> str:
        raise NotImplementedError


class _Answer(_Act):
    def do(self, request: HttpRequest, found: SupportRequest, text: str) -> str:
        answering.answer(text=_bounded(text), now=clock.now(), **_seen(request, found))
        return "Answered. The person is told by e-mail and in the app."


class _Note(_Act):
    def do(self, request: HttpRequest, found: SupportRequest, text: str) -> str:
        answering.note(text=_bounded(text), now=clock.now(), **_seen(request, found))
        return "Noted, for staff alone."


class _Close(_Act):
    def do(self, request: HttpRequest, found: SupportRequest, text: str) -> str:
        answering.close(now=clock.now(), **_seen(request, found))
        return "Closed. The person is told by e-mail."


class _Insert(_Act):
    """The text of a canned reply goes into the field, to be changed before it goes out."""

    keeps_text = True

    def do(self, request: HttpRequest, found: SupportRequest, text: str) -> str:
        key = _uuid(request.POST.get("canned", ""))
        reply = next((row for row in canned.offered(found) if row.id == key), None)
        parts = [text.strip(), canned.filled(reply, found) if reply else ""]
        return "\n\n".join(part for part in parts if part)


class _Take(_Act):
    def do(self, request: HttpRequest, found: SupportRequest, text: str) -> str:
        me = staff_id(request)
        answering.assign(request_id=found.id, to=me, actor_id=me)
        return "It is yours."


class _Assign(_Act):
    permission = answering.ASSIGN

    def do(self, request: HttpRequest, found: SupportRequest, text: str) -> str:
        chosen = request.POST.get("assigned_to", "")
        to = _uuid(chosen)
        if chosen and to is None:
            raise answering.NotOnTheDesk
        answering.assign(request_id=found.id, to=to, actor_id=staff_id(request))
        return "Assigned." if to else "It is nobody's now."


class _Sort(_Act):
    def do(self, request: HttpRequest, found: SupportRequest, text: str) -> str:
        category = request.POST.get("category", "")
        if category not in SupportCategory.values:
            raise DomainError("There is no such category.")
        answering.sort(request_id=found.id, category=category, actor_id=staff_id(request))
        return "The category was changed."


_ACTS: Mapping[str, _Act] = {
    "answer": _Answer(), "note": _Note(), "close": _Close(), "insert": _Insert(),
    "take": _Take(), "assign": _Assign(), "sort": _Sort(),
}  # fmt: skip


def _bounded(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        raise DomainError(f"Please write at most {LONGEST_TEXT:,} characters.")
    return text


def _seen(request: HttpRequest, found: SupportRequest) -> dict[str, Any]:
    """Which request, as it was when the page was drawn, and who acts."""
    version = request.POST.get("version", "")
    seen = int(version) if version.isascii() and version.isdigit() and len(version) < 10 else 0
    return {"request_id": found.id, "version": seen, "actor_id": staff_id(request)}


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


# --- canned replies -----------------------------------------------------------------------------
class CannedReplyForm(forms.ModelForm):
    """Nothing in braces goes out as it stands."""

    class Meta:
        model = CannedReply
        fields = ("title", "language", "category", "text")

    def clean_text(self) -> str:
        text = self.cleaned_data["text"]
        if unknown := canned.unknown_placeholders(text):
            known = ", ".join(f"{{{name}}}" for name in canned.PLACEHOLDERS)
            named = ", ".join(f"{{{name}}}" for name in unknown)
            raise forms.ValidationError(f"{named} would not be filled in. Known are {known}.")
        return text


@admin.register(CannedReply)
class CannedReplyAdmin(AuditedAdmin):
    """Answers that are written once for many."""

    form = CannedReplyForm
    list_display = ("title", "language", "category", "created_at")
    list_filter = (one_of("category", SupportCategory.values),)
    ordering = ("title", "language")
    search_fields = ("title", "=language")
    search_help_text = "Words of the title, language, id"


# --- charts -------------------------------------------------------------------------------------
def _figures(now: datetime) -> dict[str, Any]:
    weeks = figures.weeks(now=now, count=WEEKS)
    spans = {
        "median": [_hours(week.median) for week in weeks],
        "90th percentile": [_hours(week.p90) for week in weeks],
    }
    given = figures.ratings(now=now, days=RATED_DAYS)
    return {
        "weeks": [
            (week, figures.worded(week.median), figures.worded(week.p90)) for week in weeks
        ],
        "chart": charts.line_chart(
            spans, [f"{week.since:%-d %b}" for week in weeks], key="first", unit=" h",
            title="Hours to the first answer: median and 90th percentile by week",
            sentence="A week without an answer is a gap. All numbers are in the table below.",
        ),
        "drawn": any(week.answered for week in weeks),
        "rated": sum(given.values()), "rated_days": RATED_DAYS,
        "ages": charts.bars(
            ((name, many, "") for name, many in figures.waiting_by_age(now=now).items()),
            key="ages", title="Requests that wait for an answer, by how long",
        ),
        "ratings": charts.bars(
            ((f"{stars} of 5", many, "") for stars, many in given.items()),
            key="ratings", title="Requests by rating",
        ),
    }  # fmt: skip


def _hours(span: timedelta | None) -> float | None:
    """To a tenth; None where nothing was answered, which is no time at all."""
    return None if span is None else round(span / timedelta(hours=1), 1)


# --- what the support desk shows of it ----------------------------------------------------------
def tile(*, now: datetime) -> Tile:
    """For the front page: how many wait and since when, by how long they have. Two queries."""
    found = figures.queue(now=now)
    hours = figures.OVERDUE // timedelta(hours=1)
    level = Level.WATCH if found.unassigned else Level.FINE
    return Tile(
        f"{found.waiting:,}", Level.BAD if found.overdue else level,
        f"wait for an answer, the longest since {figures.worded(found.longest)}; {found.overdue:,} "
        f"longer than {hours} hours, {found.unassigned:,} nobody's."
        if found.waiting else "wait for an answer.",
        tuple((age, float(many)) for age, many in figures.waiting_by_age(now=now).items() if many),
        "Requests that wait by how long they have", by_name=True,
        url=reverse(_QUEUE_URL) + "?waiting=yes", link="Requests that wait",
    )  # fmt: skip


def of_person(*, person_id: UUID, now: datetime) -> dict[str, Any]:
    """For a person's page: their newest requests, in one query."""
    rows = SupportRequest.objects.filter(user_id=person_id).order_by("-last_message_at", "-id")
    return {
        "requests": list(rows.select_related("assigned_to").defer("diagnostics", "snapshot")[:20]),
        "url": reverse(_QUEUE_URL) + f"?user__id__exact={person_id}",
    }  # fmt: skip


desk.add_figure(desk.Figure("Support requests", VIEW, tile, rank=20))
desk.add_section(
    desk.Section("Support requests", VIEW, "admin/accounts/support_of_person.html", of_person, 40)
)
