"""What rooms bring to the support desk: figures for its front page, sections and acts for a person,
pages of the app that staff may be shown, and ways to find whom something belongs to.

A leaf with lists. Each room adds its own when its admin pages load; the pages that show them
(`accounts/staff`) know no room above their own.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import Exists, Q
from django.http import HttpRequest

PARTS = "admin/desk/parts.html"  # shows ``facts``, ``panels``, ``curve`` and ``warning``
MOST_HITS = 20


class PersonForm(forms.Form):
    """A form about one person, whom it is told before it is shown or read."""

    def prepare(self, person_id: UUID) -> None:
        """Fill in choices that depend on the person. Called inside ``as_system``."""


@dataclass(frozen=True, slots=True)
class PersonAct:
    """Something that staff does for or against one person: a service with a form before it.

    ``permission`` is Django's full name ("accounts.end_sessions"). ``form`` asks for what is
    needed beyond a yes. ``run`` is called inside ``as_system`` and one transaction with
    keywords ``person_id``, ``actor_id``, ``now`` and the form's cleaned values; it does the work
    through a domain call that writes to the activity log, and returns one sentence about what
    was done. It may raise DomainError, whose text is then shown on the page.

    ``applies`` is given keywords ``actor_id`` and ``now`` and returns a condition on the row of
    the person under which there is anything to do; the act is offered only then.
    """

    slug: str
    label: str
    explanation: str
    permission: str
    run: Callable[..., str]
    form: type[forms.Form] = PersonForm
    # Name of the admin page where one goes on from here; else the person's own.
    leads_to: str = ""
    applies: Callable[..., Q | Exists] | None = None


@dataclass(frozen=True, slots=True)
class Screen:
    """A page of the app as the person sees it, for staff whom they let look on.

    ``read`` is called as that person, with keywords ``person_id`` and ``now``, and returns what the
    API would answer (a mapping of plain values, lists and mappings), of bounded length.
    """

    slug: str
    title: str
    read: Callable[..., Mapping[str, Any]]
    rank: int = 100


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a person's page.

    ``read`` is called inside ``as_system`` with keywords ``person_id`` and ``now`` and returns
    the names that ``template`` shows, to which ``person`` and ``now`` are added; it makes few
    queries (the whole page at most 20) and returns nothing secret. Shown to readers with
    ``permission``. ``PARTS`` is a template for facts and short lists.
    """

    title: str
    permission: str
    template: str
    read: Callable[..., Mapping[str, Any]]
    rank: int = 100


class Level(StrEnum):
    """Whether somebody has to look; each has a word, so that no colour says it alone."""

    FINE = "fine"
    WATCH = "watch"
    BAD = "bad"
    PLAIN = "plain"  # to be read; nothing says how it should be
    UNKNOWN = "unknown"

    @property
    def words(self) -> str:
        return _WORDS[self]


_WORDS = {
    Level.FINE: "All right", Level.WATCH: "Worth a look", Level.BAD: "Act now",
    Level.PLAIN: "For reading", Level.UNKNOWN: "Not known",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tile:
    """What a figure says now. It is kept in the cache for a minute: of nobody, and no secret.

    ``values`` are drawn: as columns in the order of time, or (``by_name``) as bars, the longest
    first; ``values_are`` says in words what they are. ``link`` says where ``url`` leads.
    """

    number: str
    level: Level
    says: str
    values: Sequence[tuple[str, float]] = ()
    values_are: str = ""
    by_name: bool = False
    url: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A tile of the front page: is anything wrong?

    ``read`` is called inside ``as_system`` with keyword ``now``, makes one or two bounded queries
    and returns a Tile. Shown to readers with ``permission``.
    """

    title: str
    permission: str
    read: Callable[..., Tile]
    rank: int = 100


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that was looked for: what it is, and whose (None: of nobody we know)."""

    says: str
    person_id: UUID | None
    url: str = ""


@dataclass(frozen=True, slots=True)
class Finder:
    """A way from what somebody wrote in a ticket to the person.

    ``find`` is called inside ``as_system`` with the text (no blanks around it, no NUL, at most
    200 characters) and returns at most ``MOST_HITS`` by look-ups in an index. Asked for readers
    with ``permission``.
    """

    title: str
    permission: str
    find: Callable[[str], Iterable[Hit]]
    rank: int = 100


@dataclass(slots=True)
class _Desk:
    acts: dict[str, PersonAct] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    screens: dict[str, Screen] = field(default_factory=dict)
    finders: list[Finder] = field(default_factory=list)


_desk = _Desk()


def add_act(act: PersonAct) -> None:
    """Offer something to be done on each person's page."""
    _desk.acts[act.slug] = act


def add_section(section: Section) -> None:
    """Show a part on each person's page."""
    _desk.sections.append(section)


def add_figure(figure: Figure) -> None:
    """Show a tile on the front page."""
    _desk.figures.append(figure)


def add_screen(screen: Screen) -> None:
    """Show a page of the app to staff whom a person lets look on."""
    _desk.screens[screen.slug] = screen


def screens() -> Sequence[Screen]:
    """Every page of the app that can be looked at, by rank."""
    return sorted(_desk.screens.values(), key=lambda screen: screen.rank)


def screen(slug: str) -> Screen | None:
    """One of `screens`; None where it is unknown."""
    return _desk.screens.get(slug)


def add_finder(finder: Finder) -> None:
    """Look here as well when somebody is sought."""
    _desk.finders.append(finder)


def acts(request: HttpRequest) -> Sequence[PersonAct]:
    """What this reader may do for a person, in the order of adding."""
    return [act for act in _desk.acts.values() if request.user.has_perm(act.permission)]


def act(request: HttpRequest, slug: str) -> PersonAct | None:
    """One of `acts`; None where it is unknown or not for this reader."""
    found = _desk.acts.get(slug)
    return found if found is not None and request.user.has_perm(found.permission) else None


def sections(request: HttpRequest) -> Sequence[Section]:
    """What this reader may see of a person, by rank."""
    seen = [part for part in _desk.sections if request.user.has_perm(part.permission)]
    return sorted(seen, key=lambda part: part.rank)


def figures(request: HttpRequest) -> Sequence[Figure]:
    """What this reader may see of the whole, by rank."""
    seen = [tile for tile in _desk.figures if request.user.has_perm(tile.permission)]
    return sorted(seen, key=lambda tile: tile.rank)


def finders(request: HttpRequest) -> Sequence[Finder]:
    """Where this reader may look, by rank."""
    asked = [finder for finder in _desk.finders if request.user.has_perm(finder.permission)]
    return sorted(asked, key=lambda finder: finder.rank)


def run(found: PersonAct, *, person_id: UUID, actor_id: UUID, now: datetime, **values: Any) -> str:
    """Do it; the sentence about what was done. Raises DomainError."""
    return found.run(person_id=person_id, actor_id=actor_id, now=now, **values)


def as_id(text: str) -> UUID | None:
    """The id that was typed, if it is one."""
    try:
        return UUID(text)
    except ValueError:
        return None
