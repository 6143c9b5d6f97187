"""Links in e-mails that turn one kind of them off, without signing in (RFC 8058).

The text of a link is a signature over the person, the event and a digest of the address that the
e-mail goes to; it is stored nowhere and does not expire, because people clean up old mail. After a
change of address, links in the old mailbox do nothing any more.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature, Signer

from accounts import events, notifications
from accounts.events import Event
from accounts.models import Delivery, User
from accounts.models.notifications import Channel
from tracker import tenancy
from tracker.errors import DomainError

PATH = "/unsubscribe"
LONGEST = 256
_ID, _DIGEST = 16, 8  # bytes


class UnsubscribeRejected(DomainError):
    """Forged, of an account that is gone, or of an address that is no longer the person's."""

    code = "link_rejected"
    status = 410
    message = "This link is not valid any more. You can choose in the app which e-mails you get."


@dataclass(frozen=True, slots=True)
class Reference:
    """Which e-mails of whom a link turns off, as its signature vouches."""

    user_id: UUID
    address_digest: bytes
    event: Event


def is_offered(delivery: Delivery) -> bool:
    """Whether an e-mail is one that the person may choose not to get."""
    is_serious = delivery.parameters.get("severity") in events.SERIOUS
    return events.can_be_switched_off(Event(delivery.event), Channel.EMAIL) and not is_serious


def url(delivery: Delivery) -> str:
    """The address to put into an e-mail. Whoever has it can turn these e-mails off."""
    return f"{settings.PUBLIC_URL}{PATH}?token={token_of(delivery.user, Event(delivery.event))}"


def token_of(user: User, event: Event) -> str:
    """The signed text that names what is to be turned off."""
    value = base64.urlsafe_b64encode(user.id.bytes + _digest(user.email) + event.encode())
    return _signer().sign(value.rstrip(b"=").decode())


def find(token: str) -> Reference:
    """What a link turns off. Changes nothing. Raises UnsubscribeRejected."""
    named = _read(token)
    with tenancy.as_user(named.user_id):
        user = User.objects.filter(id=named.user_id, is_active=True).first()
    if user is None or _digest(user.email) != named.address_digest:
        raise UnsubscribeRejected
    return named


def unsubscribe(token: str) -> Event:
    """Turn these e-mails off; a second time changes nothing. Raises UnsubscribeRejected."""
    named = find(token)
    notifications.choose(
        user_id=named.user_id, wanted={(named.event, Channel.EMAIL): False}, reason="link"
    )
    return named.event


def _read(token: str) -> Reference:
    if len(token) > LONGEST:
        raise UnsubscribeRejected
    try:
        value = _signer().unsign(token)
        raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        event = Event(raw[_ID + _DIGEST :].decode())
        named = Reference(UUID(bytes=raw[:_ID]), raw[_ID : _ID + _DIGEST], event)
    except (BadSignature, binascii.Error, ValueError):
        raise UnsubscribeRejected from None
    if not events.can_be_switched_off(event, Channel.EMAIL):  # it could be when it was signed
        raise UnsubscribeRejected
    return named


def _digest(address: str) -> bytes:
    return hashlib.blake2b(address.encode(), digest_size=_DIGEST).digest()


def _signer() -> Signer:
    return Signer(sep=".", salt="accounts.unsubscribing")
