"""What a message says: its templates, filled in at the moment of sending.

Text in other languages: ``templates/email/<language>/<event>.txt`` and its siblings, found by
the person's locale; what is not translated is written in English.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.template import Context
from django.template.loader import select_template
from django.utils import timezone, translation

from accounts import charts, limits, links, unsubscribing
from accounts.helpdesk import telling
from accounts.models import AccountLink, Delivery, User
from accounts.notifications import Event
from accounts.privacy import export, inventory
from accounts.quiet_hours import zone_of

PRODUCT = "Portfolio tracker"
LONGEST_TEXT = 300  # of any one thing that a message quotes: names and notes are people's own
_INSTANTS = ("closes_at", "ends_at", "expires_at", "due_at", "at")
_DAYS = ("week_from", "week_until")
_TITLES = 5  # that one message for several names
_GATHERED = "gathered"
_SUPPORT = (Event.SUPPORT_OPENED, Event.SUPPORT_ANSWERED, Event.SUPPORT_CLOSED)
_NOT_FOR_THE_APP = (*limits.TARGETS, "link_id")
LinkMaker = Callable[..., str]
_link_makers: dict[Event, LinkMaker] = {}


class Outdated(Exception):
    """What the message is about is no longer so; nobody should be told any more."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, ready to be sent by any channel."""

    subject: str
    text: str
    html: str
    images: Mapping[str, bytes] = field(default_factory=dict)  # PNG, by the id that html names


@dataclass(frozen=True, slots=True)
class Brief:
    """The same in two lines, for a phone or a list of notices."""

    title: str
    text: str


def link_maker(event: Event, maker: LinkMaker) -> None:
    """Let a room above make the links of an event: ``maker(user_id=…, parameters=…, now=…)``.

    It returns an address in full, signed now, and raises Outdated where there is nothing to link
    to any more. Without one, the message says to open the app. Called once as the app is ready.
    """
    _link_makers[event] = maker


def write(delivery: Delivery, *, now: datetime) -> Message:
    """The message of a delivery, its links signed now. Raises Outdated.

    Call inside an identity that may read the person's links, and never keep the result.
    """
    event = Event(delivery.event)
    facts = facts_of(delivery) | _links(delivery, event, now)
    if unsubscribing.is_offered(delivery):
        facts["unsubscribe"] = unsubscribing.url(delivery)
    if event == Event.SUPPORT_ANSWERED and not limits.is_gathering(delivery):
        facts["answer"] = _answer(delivery)
    images = {}
    if event == Event.WEEKLY_SUMMARY and (chart := charts.of_days(facts.get("days", []))):
        images[charts.NAME], facts["chart"] = chart, charts.NAME
    message = render(event, user=delivery.user, facts=facts, template=_template(delivery))
    return replace(message, images=images)


def brief(delivery: Delivery, *, user: User) -> Brief:
    """Title and one sentence of a delivery, without links. Call inside ``as_user``."""
    facts, template = facts_of(delivery), _template(delivery)
    with _spoken(user, {"event": delivery.event, **facts}) as context:
        return Brief(
            title=_line(template, "subject.txt", user.locale, context),
            text=_line(template, "short.txt", user.locale, context),
        )


def data_of(delivery: Delivery) -> dict[str, Any]:
    """What a message is about, for programs."""
    return {k: v for k, v in delivery.parameters.items() if k not in _NOT_FOR_THE_APP}


def ids_of(delivery: Delivery) -> dict[str, str]:
    """What a message is about, by ids, so that the app can open it."""
    return {
        name: str(value)
        for name, value in delivery.parameters.items()
        if name.endswith("_id") and name not in _NOT_FOR_THE_APP
    }


def _template(delivery: Delivery) -> str:
    return _GATHERED if limits.is_gathering(delivery) else delivery.event


def _links(delivery: Delivery, event: Event, now: datetime) -> dict[str, str]:
    if limits.is_gathering(delivery):
        return {}
    if "link_id" in delivery.parameters:
        return {"link": _link(delivery, now)}
    if event == Event.EXPORT_READY:
        export_id = UUID(delivery.parameters["export_id"])
        return {"link": export.url(user_id=delivery.user_id, export_id=export_id)}
    if event in _SUPPORT:
        return {"link": telling.link(delivery)}
    if maker := _link_makers.get(event):
        parameters = delivery.parameters
        return {"link": maker(user_id=delivery.user_id, parameters=parameters, now=now)}
    return {}


def facts_of(delivery: Delivery) -> dict[str, Any]:
    """What a delivery is about, as templates take it: instants as such, texts on one line.

    Raises Outdated for one that stands for others when there are none.
    """
    if limits.is_gathering(delivery):
        return _gathered(delivery)
    facts = {name: _tidy(value) for name, value in delivery.parameters.items()}
    facts |= {name: _instant(facts[name]) for name in _INSTANTS if facts.get(name)}
    facts |= {name: date.fromisoformat(facts[name]) for name in _DAYS if facts.get(name)}
    if "days" in facts:
        facts["days"] = [row | {"day": date.fromisoformat(row["day"])} for row in facts["days"]]
    return facts


def _gathered(delivery: Delivery) -> dict[str, Any]:
    rows = limits.gathered(delivery)
    if not rows:
        raise Outdated
    titles = [brief(row, user=delivery.user).title for row in rows[:_TITLES]]
    return {"count": len(rows), "titles": titles, "others": len(rows) - len(titles)}


def render(event: Event, *, user: User, facts: Mapping[str, Any], template: str = "") -> Message:
    """The message of an event for somebody, in their language and time zone."""
    name = template or str(event)
    with _spoken(user, {"event": event, **facts}) as context:
        return Message(
            subject=_line(name, "subject.txt", user.locale, context),
            text=_filled(name, "txt", user.locale, context, escaped=False).strip() + "\n",
            html=_filled(name, "html", user.locale, context, escaped=True),
        )


@contextmanager
def _spoken(user: User, facts: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Somebody's language and time zone, and what every template may name."""
    with translation.override(user.locale), timezone.override(zone_of(user.time_zone)):
        yield {
            "product": PRODUCT, "operator": settings.OPERATOR, "home": settings.PUBLIC_URL,
            "zone": user.time_zone, "backups": inventory.BACKUPS, **facts,
        }  # fmt: skip


def _line(name: str, kind: str, locale: str, context: Mapping[str, Any]) -> str:
    """On one line: a subject with a line end would be another header."""
    return " ".join(_filled(name, kind, locale, context).split())


def _filled(
    name: str, kind: str, locale: str, context: Mapping[str, Any], *, escaped: bool = False
) -> str:
    language = "".join(letter for letter in locale if letter.isalnum() or letter == "-")
    names = [f"email/{language}/{name}.{kind}", f"email/{name}.{kind}"]
    template: Any = select_template(names)
    return template.template.render(Context(dict(context), autoescape=escaped))


def _link(delivery: Delivery, now: datetime) -> str:
    row = AccountLink.objects.filter(
        id=delivery.parameters["link_id"], user_id=delivery.user_id, used_at=None,
        expires_at__gt=now,
    ).first()  # fmt: skip
    if row is None:
        raise Outdated
    return links.url(row)


def _answer(delivery: Delivery) -> str:
    """What support answered, whole and with its line ends: it is not kept in the delivery."""
    text = telling.quoted(delivery)
    if text is None:
        raise Outdated
    return text


def _tidy(value: Any) -> Any:
    """A text without line ends and control characters, of bounded length; also inside lists."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if isinstance(value, dict):
        return {name: _tidy(item) for name, item in value.items()}
    if not isinstance(value, str):
        return value
    text = " ".join("".join(c if c.isprintable() else " " for c in value).split())
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def _instant(value: Any) -> Any:
    return datetime.fromisoformat(value) if isinstance(value, str) else value
