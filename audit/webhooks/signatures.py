"""Standard Webhooks: an id, an instant and an HMAC-SHA256 over both and the body.

https://www.standardwebhooks.com. Written out because the clock is an argument here, and because
whatever a stranger sends must end in "no".
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

TOLERANCE = timedelta(seconds=300)
ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
LONGEST_ID = 128
_PREFIX = "whsec_"
_SHORTEST_KEY, _LONGEST_KEY = 24, 64


class BadSecret(ValueError):
    """Not ``whsec_`` and the base64 of 24 to 64 bytes."""


def key_of(secret: str) -> bytes:
    """The key that a secret stands for. Raises BadSecret, which does not repeat it."""
    if not secret.startswith(_PREFIX):
        raise BadSecret("it does not begin with whsec_")
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise BadSecret("what follows whsec_ is not base64") from None
    if not _SHORTEST_KEY <= len(key) <= _LONGEST_KEY:
        raise BadSecret("the key has not 24 to 64 bytes")
    return key


def headers_for(secret: str, *, message_id: str, body: bytes, now: datetime) -> dict[str, str]:
    """The three headers of a message."""
    instant = str(int(now.timestamp()))
    signature = _signature(key_of(secret), message_id, instant, body)
    return {ID: message_id, TIMESTAMP: instant, SIGNATURE: f"v1,{signature}"}


def verified_id(
    secrets: Iterable[str], *, headers: Mapping[str, str], body: bytes, now: datetime
) -> str | None:
    """The message's id when one of the secrets signed it within the tolerance, else None."""
    message_id, instant = headers.get(ID, ""), headers.get(TIMESTAMP, "")
    if not 0 < len(message_id) <= LONGEST_ID or not message_id.isprintable():
        return None
    if not _is_fresh(instant, now):
        return None
    given = [part[3:] for part in headers.get(SIGNATURE, "").split(" ") if part.startswith("v1,")]
    expected = [_signature(key_of(secret), message_id, instant, body) for secret in secrets]
    matches = [
        hmac.compare_digest(one.encode(), other.encode("utf-8", "replace"))
        for one in expected
        for other in given[:10]
    ]
    return message_id if any(matches) else None


def _is_fresh(instant: str, now: datetime) -> bool:
    if not (instant.isascii() and instant.isdigit() and len(instant) <= 11):
        return False
    sent = datetime.fromtimestamp(int(instant), tz=UTC)
    return abs(now - sent) <= TOLERANCE


def _signature(key: bytes, message_id: str, instant: str, body: bytes) -> str:
    signed = f"{message_id}.{instant}.".encode() + body
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
