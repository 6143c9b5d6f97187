"""What stands between two steps of signing in: signed, five minutes, used once.

Two kinds. A **sign-in challenge** says "the password was right" and carries the device until the
second factor comes; a wrong code does not use it up, success does. A **nonce** is what a passkey
signs; it is used up when it comes back, right or wrong.

Nothing is stored but that one was used: in Redis, until it would have run out anyway. Without
Redis nobody could tell, so the answer is 503.
"""

import hashlib
import hmac
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

import redis
from django.conf import settings
from django.core import signing
from django.core.cache import caches
from django_redis.exceptions import ConnectionInterrupted

from accounts.models import User
from accounts.second_factor.errors import ChallengeRejected, SecondFactorRequired
from tracker import ids, tenancy
from tracker.api import OutOfOrder

__all__ = ["ChallengeRejected", "SecondFactorRequired"]

LIFETIME = timedelta(minutes=5)
LONGEST = 4096
_SALT = "accounts.second_factor.sign_in"


@dataclass(frozen=True, slots=True)
class Challenge:
    """Somebody knew the password of this person; ``device`` is what ``sessions.Device`` takes."""

    id: UUID
    user_id: UUID
    device: dict[str, Any]
    stamp: str
    expires_at: datetime

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> Self:
        return cls(
            UUID(payload["id"]), UUID(payload["user"]), dict(payload["device"]), payload["stamp"],
            datetime.fromtimestamp(payload["expires"], UTC),
        )  # fmt: skip


def issue(user_id: UUID, device: Any, now: datetime) -> str:
    """A sign-in challenge for a person whose password was right. ``device`` is a dataclass."""
    return signing.dumps(
        {
            "id": str(ids.new_id()),
            "user": str(user_id),
            "device": asdict(device),
            "stamp": _stamp(user_id),
            "expires": (now + LIFETIME).timestamp(),
        },
        salt=_SALT,
    )


def read(token: str, now: datetime) -> Challenge:
    """The challenge if it is ours, in time, and the password is still the one that was given.

    Raises ChallengeRejected. It is not used up: see `spend`.
    """
    if len(token) > LONGEST:
        raise ChallengeRejected
    try:
        challenge = Challenge.from_payload(signing.loads(token, salt=_SALT))
    except (signing.BadSignature, KeyError, TypeError, ValueError, OverflowError):
        raise ChallengeRejected from None
    if now >= challenge.expires_at:
        raise ChallengeRejected
    if not hmac.compare_digest(challenge.stamp, _stamp(challenge.user_id)):
        raise ChallengeRejected
    return challenge


def spend(challenge: Challenge) -> None:
    """Use it up. Raises ChallengeRejected for the second caller, OutOfOrder without Redis."""
    _once(f"sign-in:{challenge.id}")


# --- what a passkey signs -----------------------------------------------------------------------
_RANDOM, _WHEN, _MAC = 16, 8, 32


def new_nonce(purpose: str, *, user_id: UUID | None, now: datetime) -> bytes:
    """Bytes for an authenticator to sign. Without a person they are good for anybody."""
    expires = int((now + LIFETIME).timestamp() * 1000).to_bytes(_WHEN)
    head = secrets.token_bytes(_RANDOM) + expires
    return head + _mac(head, purpose, user_id)


def spend_nonce(nonce: bytes, purpose: str, *, user_id: UUID, now: datetime) -> None:
    """Use up what an authenticator signed for this person. Raises ChallengeRejected, OutOfOrder."""
    head, mac = nonce[: _RANDOM + _WHEN], nonce[_RANDOM + _WHEN :]
    made_for = (user_id, None) if purpose == "authenticate" else (user_id,)
    if not any(hmac.compare_digest(mac, _mac(head, purpose, who)) for who in made_for):
        raise ChallengeRejected
    if int(now.timestamp() * 1000) >= int.from_bytes(head[_RANDOM:]):
        raise ChallengeRejected
    _once(f"nonce:{head.hex()}")


def _mac(head: bytes, purpose: str, user_id: UUID | None) -> bytes:
    text = b"|".join([b"tracker/passkey-nonce", purpose.encode(), str(user_id).encode(), head])
    return hmac.digest(settings.SECRET_KEY.encode(), text, hashlib.sha256)


def _once(name: str) -> None:
    try:  # SET NX: of many callers one is first
        first = caches["limits"].add(f"challenge:{name}", 1, timeout=2 * LIFETIME.total_seconds())
    except (redis.RedisError, ConnectionInterrupted, OSError):
        raise OutOfOrder from None
    if not first:
        raise ChallengeRejected


def _stamp(user_id: UUID) -> str:
    """Changes with the password, so that a challenge dies with it."""
    with tenancy.as_user(user_id):
        password = User.objects.values_list("password", flat=True).filter(id=user_id).first()
    key = settings.SECRET_KEY.encode()
    return hmac.digest(key, f"stamp|{user_id}|{password}".encode(), hashlib.sha256).hex()[:32]
