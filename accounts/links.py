"""Links that are mailed: signed, single-use, expiring, each for one purpose.

The text of a link is a signature over its row's user and id. It is made when an e-mail is written
and stored nowhere; the row says whether the link still counts, and one conditional UPDATE spends
it. That a link opens says as much as that its e-mail was read.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature, Signer

from accounts import suppressions
from accounts.models import AccountLink, User
from tracker import tenancy
from tracker.errors import DomainError

Purpose = AccountLink.Purpose

LIFETIMES = {
    Purpose.CONFIRM_EMAIL: timedelta(hours=48),
    Purpose.CHANGE_EMAIL: timedelta(hours=48),
    Purpose.RESET_PASSWORD: timedelta(hours=1),
}
PATHS = {
    Purpose.CONFIRM_EMAIL: "/confirm-email",
    Purpose.CHANGE_EMAIL: "/confirm-new-email",
    Purpose.RESET_PASSWORD: "/reset-password",
}
# Ours have 87 characters; longer ones are not looked at.
LONGEST = 256


class LinkRejected(DomainError):
    """Forged, expired, spent or void: deliberately the same sentence."""

    code = "link_rejected"
    status = 410
    message = "This link is not valid any more. Please ask for a new one."


@dataclass(frozen=True, slots=True)
class Reference:
    """Whose link and which one, as its signature vouches."""

    user_id: UUID
    link_id: UUID


def create(user_id: UUID, purpose: str, email: str, now: datetime) -> AccountLink:
    """A new link; the older ones stay. Call inside ``as_user``."""
    return AccountLink.objects.create(
        user_id=user_id, purpose=purpose, email=email, created_at=now,
        expires_at=now + LIFETIMES[Purpose(purpose)],
    )  # fmt: skip


def url(link: AccountLink) -> str:
    """The address to put into an e-mail. It is a secret: sign it when the text is written."""
    return f"{settings.PUBLIC_URL}{PATHS[Purpose(link.purpose)]}?token={token_of(link)}"


def token_of(link: AccountLink) -> str:
    """The signed text that names this link."""
    value = base64.urlsafe_b64encode(link.user_id.bytes + link.id.bytes).rstrip(b"=")
    return _signer(link.purpose).sign(value.decode())


def read(token: str, purpose: str) -> Reference:
    """Whose link it is, whether or not it still counts. Raises LinkRejected for a forged one."""
    if len(token) > LONGEST:
        raise LinkRejected
    try:
        value = base64.urlsafe_b64decode(_signer(purpose).unsign(token) + "=")
        return Reference(UUID(bytes=value[:16]), UUID(bytes=value[16:]))
    except (BadSignature, binascii.Error, ValueError):
        raise LinkRejected from None


def find(token: str, purpose: str, now: datetime) -> AccountLink:
    """The link, if it could be used now, with its user. Spends nothing. Raises LinkRejected."""
    named = read(token, purpose)
    with tenancy.as_user(named.user_id):
        link = _usable(named, purpose, now).select_related("user").first()
    if link is None or not link.user.is_active:
        raise LinkRejected
    return link


def use(token: str, purpose: str, now: datetime) -> AccountLink:
    """Spend a link; returns it with its user, whose row stays locked. Raises LinkRejected.

    Call it inside ``as_user`` of ``read(token, purpose).user_id``, so that the link is spent
    together with what it is for.
    """
    named = read(token, purpose)
    with tenancy.as_user(named.user_id):
        # The user first: whoever spends or voids links of one person does so one after the other.
        user = User.objects.select_for_update(no_key=True).filter(id=named.user_id).first()
        # No join here: its conditions would not be checked again after waiting for the row.
        if user is None or not user.is_active or not _usable(named, purpose, now).update(
            used_at=now
        ):  # fmt: skip
            raise LinkRejected
        link = AccountLink.objects.get(id=named.link_id, user_id=named.user_id)
        link.user = user
        suppressions.proved(user_id=user.id, address=link.email, now=now)
        return link


def void(user_id: UUID, now: datetime) -> int:
    """Spend every link of a person that is still open. Call inside ``as_user``."""
    return AccountLink.objects.filter(user_id=user_id, used_at=None).update(used_at=now)


def sent_since(user_id: UUID, purpose: str, since: datetime) -> bool:
    """Whether a link for this was made since then. Call inside ``as_user``."""
    return AccountLink.objects.filter(
        user_id=user_id, purpose=purpose, created_at__gt=since
    ).exists()


def made_since(user_id: UUID, purpose: str, since: datetime) -> list[datetime]:
    """When links for this were made since then, newest first. Call inside ``as_user``."""
    made = AccountLink.objects.filter(user_id=user_id, purpose=purpose, created_at__gt=since)
    return list(made.order_by("-created_at").values_list("created_at", flat=True))


def _usable(named: Reference, purpose: str, now: datetime):
    return AccountLink.objects.filter(
        id=named.link_id, user_id=named.user_id, purpose=purpose, used_at=None, expires_at__gt=now
    )


def _signer(purpose: str) -> Signer:
    return Signer(sep=".", salt=f"accounts.links.{Purpose(purpose).value}")
