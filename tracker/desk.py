"""What rooms bring to the support desk: figures for its front page, sections and acts for a person,
pages of the app that staff may be shown.

A leaf with lists. Each room adds its own when its admin pages load; the pages that show them
(`accounts/staff`) know no room above their own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest


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
    """

    slug: str
    label: str
    explanation: str
    permission: str
    run: Callable[..., str]
    form: type[forms.Form] = PersonForm
    # Name of the admin page where one goes on from here; else the person's own.
    leads_to: str = ""


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
    what ``template`` shows; it makes few queries (all sections together at most 20) and returns
    nothing secret. Shown to readers with ``permission``.
    """

    title: str
    permission: str
    template: str
    read: Callable[..., Mapping[str, Any]]
    rank: int = 100


@dataclass(frozen=True, slots=True)
class Figure:
    """A tile of the front page: is anything wrong?

    ``read`` is called inside ``as_system`` with keyword ``now`` and returns what the tile's
    template shows. Shown to readers with ``permission``.
    """

    title: str
    permission: str
    read: Callable[..., Any]
    rank: int = 100


@dataclass(slots=True)
class _Desk:
    acts: dict[str, PersonAct] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    screens: dict[str, Screen] = field(default_factory=dict)


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


def run(found: PersonAct, *, person_id: UUID, actor_id: UUID, now: datetime, **values: Any) -> str:
    """Do it; the sentence about what was done. Raises DomainError."""
    return found.run(person_id=person_id, actor_id=actor_id, now=now, **values)
