"""What every page of the admin shares: lists that stay fast, pages that cannot be written to.

A leaf: it imports no room. Three rules hold on all pages:

- No list counts, joins or sorts a whole table. Counting stops at a cap, a search first finds the
  people, accounts and coins that are meant (small tables) and then reads the big one by their
  ids, and only what an index can sort may be sorted by.
- Sealed bytes and digests are neither shown, nor fetched, nor can they be asked about.
- What an exchange reported is for reading.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, ClassVar
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html

from tracker import money, touching

COUNTED = 10_000
MATCHES = 200
CHOSEN_AT_ONCE = 200
PANEL_ROWS = 20

admin.site.site_header = "Portfolio tracker: support"
admin.site.site_title = "Portfolio tracker"
admin.site.index_title = "Support desk"


class AtLeast(int):
    """A count that was stopped; it reads as ``10000+``."""

    def __str__(self) -> str:
        return f"{int(self)}+"


class CappedPaginator(Paginator):
    """Counts at most ``COUNTED`` rows, so a list of millions costs what a list of thousands does.

    Pages beyond that cannot be reached: who needs them narrows the list instead.
    """

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        found = rows.order_by()[: COUNTED + 1].count()
        return AtLeast(COUNTED) if found > COUNTED else found


Column = str | Callable[[Any], str]


def _written(value: Any) -> str:
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False))


# Django pads decimals to 30 places and writes "noon" for an instant; neither can be compared
# with what an exchange shows. In the order in which they are looked up.
_WRITERS: tuple[tuple[type[models.Field], Callable[[Any], str]], ...] = (
    (models.DecimalField, money.to_text),
    (models.DateTimeField, lambda instant: f"{instant:%Y-%m-%d %H:%M:%S} UTC"),
    (models.JSONField, _written),
)


@cache  # the same function each time, because Django compares columns by identity
def column(field: models.Field) -> Column:
    """How a field is shown: its name, or a function that writes numbers, instants and JSON."""
    writers = [write for kind, write in _WRITERS if isinstance(field, kind)]
    if not writers:
        return field.name

    @admin.display(description=field.verbose_name, ordering=field.name)
    def shown(row: Any) -> str:
        value = getattr(row, field.name)
        return "-" if value is None else writers[0](value)

    shown.__name__ = field.name
    return shown


@cache  # as above
def person_column(field: models.Field) -> Column:
    """A person in a list, as the way to their page."""

    @admin.display(description=field.verbose_name, ordering=field.name)
    def shown(row: Any) -> str:
        key = getattr(row, field.attname)
        if key is None:
            return "-"
        return format_html('<a href="{}">{}</a>', person_url(key), getattr(row, field.name))

    shown.__name__ = field.name
    return shown


def person_url(key: UUID) -> str:
    """Where a person's page stands."""
    return reverse("admin:person", args=[key])


def may_see_people(request: HttpRequest) -> bool:
    """Whether a reader may open the page of a person."""
    return request.user.has_perm("accounts.view_user")


@dataclass(frozen=True, slots=True)
class Panel:
    """A few rows of something else on the page of an object, with a link to all of them."""

    title: str
    url: str
    headers: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def one_of(field: str, values: Iterable[str]) -> type[admin.SimpleListFilter]:
    """A filter over known values; Django's own would collect them from the whole table."""
    choices = [(str(value), str(value)) for value in values]

    class OneOf(admin.SimpleListFilter):
        title = field.replace("_", " ")
        parameter_name = field

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return choices

        def queryset(self, request: HttpRequest, queryset: models.QuerySet) -> models.QuerySet:
            chosen = self.value()
            return queryset.filter(**{field: chosen}) if chosen else queryset

    return OneOf


class BaseAdmin(admin.ModelAdmin):
    """Fast lists, honest numbers, no sealed bytes.

    ``search_fields`` are paths as Django writes them; ``=path`` is compared whole, others are
    compared whole first and then by their parts. ``linked_by`` names the foreign key by which
    other lists belong to an object here; its page links to those that the reader may see.
    """

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 100
    sortable_by: ClassVar[tuple[str, ...] | None] = ()
    change_form_template = "admin/linked_change_form.html"
    linked_by: ClassVar[str] = ""
    hidden: ClassVar[tuple[str, ...]] = ()
    unlisted: ClassVar[tuple[str, ...]] = ()

    # --- what is read -----------------------------------------------------------------------
    def get_queryset(self, request: HttpRequest) -> models.QuerySet:
        """All rows without their hidden columns; the list also without what is too big for it."""
        left_out = set(self._hidden())
        match = request.resolver_match
        if match and match.url_name and match.url_name.endswith("_changelist"):
            left_out |= set(self.unlisted)
        return super().get_queryset(request).defer(*left_out)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The columns, with numbers and instants written out, and people as links to them."""
        links = may_see_people(request)
        return [self._column(name, links) for name in super().get_list_display(request)]

    def get_list_display_links(self, request: HttpRequest, list_display: Any) -> Any:
        """The first column leads to the row, unless it leads to a person: then the next one."""
        if self.list_display_links or self.list_display_links is None:
            return self.list_display_links
        people = {person_column(field) for field in self.opts.concrete_fields if _is_person(field)}
        return [name for name in list_display if name not in people][:1]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """No question about a hidden column either: its answers would give it away bit by bit."""
        if lookup.split("__")[0] in self._hidden():
            return False
        return super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    def _hidden(self) -> list[str]:
        sealed = [
            field.name
            for field in self.opts.concrete_fields
            if isinstance(field, models.BinaryField)
        ]
        return [*sealed, *self.hidden]

    def _column(self, name: Any, links: bool = False) -> Any:
        own = {field.name: field for field in self.opts.concrete_fields}
        if name not in own:
            return name
        return person_column(own[name]) if links and _is_person(own[name]) else column(own[name])

    # --- searching --------------------------------------------------------------------------
    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet, search_term: str
    ) -> tuple[models.QuerySet, bool]:
        """Rows in which every word means something: an id, or a value of the search fields."""
        for word in search_term.split():
            queryset = queryset.filter(self._meant_by(request, word))
        return queryset, False

    def _meant_by(self, request: HttpRequest, word: str) -> models.Q:
        meant = self._with_id(word)
        paths = [str(path) for path in self.get_search_fields(request)]
        if "@" in word:  # an address and nothing else: then an index of the big table serves
            paths = [path for path in paths if path.endswith("email")] or paths
        for path in paths:
            whole, path = path.startswith("="), path.removeprefix("=")
            relation, _, name = path.rpartition("__")
            if relation:
                keys = self._keys(request, relation, name, word)
                meant |= models.Q(**{f"{relation}__in": keys})
            elif whole:
                meant |= models.Q(**{name: word})
            else:
                meant |= models.Q(**{f"{name}__icontains": word})
        return meant

    def _with_id(self, word: str) -> models.Q:
        """Where a UUID is the row itself or whom and what it belongs to."""
        meant = models.Q(pk__in=[])
        try:
            key = UUID(word)
        except ValueError:
            return meant
        for field in self.opts.concrete_fields:
            target = field.target_field if isinstance(field, models.ForeignKey) else field
            if isinstance(target, models.UUIDField):
                meant |= models.Q(**{field.attname: key})
        return meant

    def _keys(self, request: HttpRequest, relation: str, name: str, word: str) -> list[Any]:
        related: Any = self.opts.get_field(relation).related_model
        rows = related._default_manager.order_by().values_list("pk", flat=True)
        # The two or three usual spellings can use an index, which no case-blind search can.
        whole = rows.filter(**{f"{name}__in": {word, word.lower(), word.upper()}})
        part = rows.filter(**{f"{name}__icontains": word})
        keys = list(whole[:MATCHES]) or list(part[:MATCHES])
        if len(keys) == MATCHES:
            text = f"More than {MATCHES} match “{word}”; only those are searched. Please say more."
            self.message_user(request, text, messages.WARNING)
        return keys

    # --- acting -----------------------------------------------------------------------------
    def response_action(self, request: HttpRequest, queryset: Any, *args: Any) -> Any:
        """Run an action wholly or not at all: an error page commits what was written before it."""
        with transaction.atomic():
            return super().response_action(request, queryset, *args)

    def chosen(self, request: HttpRequest, queryset: models.QuerySet) -> list[Any]:
        """The ids of what an action is for, without rows of people on whom it may not act.

        None, and a message, when they are too many. Every action begins with this.
        """
        owners = dict(
            queryset.order_by().values_list("pk", self._owner())[: CHOSEN_AT_ONCE + 1]
        )  # fmt: skip
        if len(owners) > CHOSEN_AT_ONCE:
            text = f"Please choose at most {CHOSEN_AT_ONCE} at once; nothing was done."
            self.message_user(request, text, messages.ERROR)
            return []
        return self._without_the_protected(request, owners)

    def _owner(self) -> Any:
        """The column that says whose a row is; where there is none, it is nobody's."""
        if self.model is get_user_model():
            return "pk"
        named = any(field.attname == "user_id" for field in self.opts.concrete_fields)
        return "user_id" if named else models.Value(None)

    def _without_the_protected(self, request: HttpRequest, owners: dict[Any, Any]) -> list[Any]:
        allowed = touching.among(request, filter(None, owners.values())) | {None}
        kept = [key for key, owner in owners.items() if owner in allowed]
        if left_out := len(owners) - len(kept):
            text = f"{touching.REFUSED}; left out: {left_out}."
            self.message_user(request, text, messages.ERROR)
        return kept

    def tell(self, request: HttpRequest, text: str, *, done: int, skipped: int) -> None:
        """Say how many an action was done for, and how many it did not apply to."""
        skips = f" Not possible for {skipped}." if skipped else ""
        level = messages.SUCCESS if done else messages.WARNING
        self.message_user(request, f"{text}: {done}.{skips}", level)

    # --- the page of one object -------------------------------------------------------------
    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add the links and panels of the object to its page."""
        found = context.get("original")
        if found is not None:
            context["linked_lists"] = list(self._linked_lists(request, found))
            context["panels"] = self.panels(request, found)
            if may_see_people(request) and (person := _person_of(found)):
                context["person_url"] = person_url(person)
        return super().render_change_form(request, context, *args, **kwargs)

    def panels(self, request: HttpRequest, found: Any) -> list[Panel]:
        """What else a person wants to see beside this object."""
        return []

    def panel(
        self,
        request: HttpRequest,
        model: type[models.Model],
        found: Any,
        *,
        by: dict[str, Any] | None = None,
    ) -> list[Panel]:
        """The newest rows of another list that belong to this object, as that list shows them.

        ``by`` picks them where no foreign key does. Empty for readers who may not see that list.
        """
        links = by or self._links_to(model, found)
        other = self.admin_site._registry.get(model)
        if other is None or not other.has_view_permission(request):
            return []
        shown = (str(name) for name in other.list_display)
        stored = {field.name for field in model._meta.get_fields()}
        names = [name for name in shown if name in stored - {"user", self.linked_by}]
        fields: list[Any] = [model._meta.get_field(name) for name in names]
        related = [field.name for field in fields if field.is_relation]
        rows = other.get_queryset(request).filter(**links)
        rows = rows.select_related(*related or [None]).order_by(*other.get_ordering(request))
        return [
            Panel(
                title=str(model._meta.verbose_name_plural),
                url=list_url(model, links),
                headers=[str(field.verbose_name) for field in fields],
                rows=[[_cell(row, field) for field in fields] for row in rows[:PANEL_ROWS]],
            )
        ]

    def _linked_lists(self, request: HttpRequest, found: Any) -> Iterable[Panel]:
        for model, other in self.admin_site._registry.items():
            names = {field.name: field for field in model._meta.concrete_fields}
            link = names.get(self.linked_by)
            if link is None or link.related_model is not self.model:
                continue
            if other.has_view_permission(request):
                title = str(model._meta.verbose_name_plural)
                yield Panel(title=title, url=list_url(model, self._links_to(model, found)))

    def _links_to(self, model: type[models.Model], found: Any) -> dict[str, Any]:
        """What picks an object's rows: its person too, because every index begins with them."""
        links = {f"{self.linked_by}__{self.opts.pk.name}__exact": found.pk}
        if hasattr(found, "user_id") and hasattr(model, "user_id"):
            links["user__id__exact"] = found.user_id
        return links


def _is_person(field: models.Field) -> bool:
    return isinstance(field, models.ForeignKey) and field.related_model is get_user_model()


def _person_of(row: Any) -> UUID | None:
    return row.pk if isinstance(row, get_user_model()) else getattr(row, "user_id", None)


def list_url(model: type[models.Model], links: dict[str, Any]) -> str:
    """Where the list of a model stands, narrowed by ``links``."""
    opts = model._meta
    page = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")
    return f"{page}?{urlencode(links)}"


def _cell(row: Any, field: models.Field) -> str:
    shown = column(field)
    if callable(shown):
        return shown(row)
    display = getattr(row, f"get_{field.name}_display", None)
    value = display() if display else getattr(row, field.name)
    return "-" if value is None else str(value)


def staff_id(request: HttpRequest) -> UUID:
    """Who acts. The admin lets nobody anonymous in; should it ever, nothing is done."""
    if request.user.pk is None:
        raise PermissionDenied
    return request.user.pk


class ReadOnlyAdmin(BaseAdmin):
    """Rows that nobody adds, changes or deletes by hand, whatever permissions they hold."""

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_act_permission(self, request: HttpRequest) -> bool:
        """Whether actions may be run: they need the permission to change, as a form would."""
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Everything but what is hidden, written out."""
        hidden = self._hidden()
        return [column(f) for f in self.opts.concrete_fields if f.name not in hidden]


class FactAdmin(ReadOnlyAdmin):
    """Rows of one person's account among everybody's, in tables that grow without end.

    The whole list stands in the order of ``id``, which is that of recording (ids grow with
    time) and has an index over all people. One person's list stands in the order of the facts.
    """

    ordering: ClassVar[tuple[str, ...]] = ("-id",)
    ordering_of_person: ClassVar[tuple[str, ...]] = ()
    list_select_related: ClassVar[bool | list[str] | tuple[str, ...]] = ("user", "connection")

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        one_person = "user__id__exact" in request.GET and self.ordering_of_person
        return self.ordering_of_person if one_person else tuple(self.ordering or ())
