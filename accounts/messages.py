"""What a message says: its templates, filled in at the moment of sending.

Text in other languages: ``templates/email/<language>/<event>.txt`` and its two siblings, found by
the person's locale; what is not translated is written in English.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.template import Context
from django.template.loader import select_template
from django.utils import timezone, translation

from accounts import links
from accounts.models import AccountLink, Delivery, User
from accounts.notifications import Event
from accounts.privacy import export, inventory

PRODUCT = "Portfolio tracker"
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
    facts: dict[str, Any] = dict(delivery.parameters)
    facts |= {
        name: _instant(facts[name])
        for name in ("closes_at", "ends_at", "expires_at")
        if name in facts
    }
    if "link_id" in facts:
        facts["link"] = _link(delivery, now)
    event = Event(delivery.event)
    if event == Event.EXPORT_READY:
        export_id = UUID(facts["export_id"])
        facts["link"] = export.url(user_id=delivery.user_id, export_id=export_id)
    elif event in _link_makers:
        facts["link"] = _link_makers[event](
            user_id=delivery.user_id, parameters=delivery.parameters, now=now
        )
    return render(event, user=delivery.user, facts=facts)


def render(event: Event, *, user: User, facts: Mapping[str, Any]) -> Message:
    """The message of an event for somebody, in their language and time zone."""
    context = {
        "product": PRODUCT, "operator": settings.OPERATOR, "home": settings.PUBLIC_URL,
        "zone": user.time_zone, "backups": inventory.BACKUPS, **facts,
    }  # fmt: skip
    with translation.override(user.locale), timezone.override(_zone(user.time_zone)):
        return Message(
            subject=" ".join(_filled(event, "subject.txt", user.locale, context).split()),
            text=_filled(event, "txt", user.locale, context, escaped=False).strip() + "\n",
            html=_filled(event, "html", user.locale, context, escaped=True),
        )


def _filled(
    event: Event, kind: str, locale: str, context: Mapping[str, Any], *, escaped: bool = False
) -> str:
    language = "".join(letter for letter in locale if letter.isalnum() or letter == "-")
    names = [f"email/{language}/{event}.{kind}", f"email/{event}.{kind}"]
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


def _instant(value: Any) -> Any:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
