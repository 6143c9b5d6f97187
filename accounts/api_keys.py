"""Keys for programs: ``trk_<prefix>_<secret>``, shown once, stored as a digest.

The prefix names the key and is no secret: it finds the row before there is an identity. The
secret has 256 random bits, so a plain digest is enough and costs nothing at each call.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import connection

from accounts import notifications
from accounts.models import ApiKey, User
from accounts.notifications import Event
from audit import log
from audit.actions import Action
from billing import entitlements
from tracker import ids, tenancy
from tracker.errors import DomainError, NotFound

MARK = "trk_"
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_PREFIX_LENGTH = 12
_SHAPE = re.compile(r"trk_[a-z2-7]{12}_[A-Za-z0-9_-]{43}")
MOST_KEYS = 20
MOST_DAYS, USUAL_DAYS = 365, 90
TOUCHED_EVERY = timedelta(minutes=5)
MOST_ADDRESSES = 50


class Scope(StrEnum):
    """What a key may be used for."""

    READ_PORTFOLIO = "read_portfolio"
    READ_TRADES = "read_trades"
    SYNC = "sync"
    EXPORT = "export"


class ApiKeyInvalid(DomainError):
    """Unknown, wrong, expired, revoked, or of somebody who may not sign in: the same sentence."""

    code = "api_key_invalid"
    status = 401
    message = "This API key is not valid."


class PlanHasNoApiKeys(DomainError):
    code = "plan_has_no_api_keys"
    status = 403
    message = "Your plan does not include API keys. They work again after an upgrade."


class ScopeMissing(DomainError):
    code = "scope_missing"
    status = 403
    message = "This API key may not be used for this."


class TooManyApiKeys(DomainError):
    code = "too_many_api_keys"
    status = 409
    message = "You have 20 API keys. Please revoke one that you no longer use."


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key at the one moment when its text is known."""

    row: ApiKey
    text: str


# --- keeping ------------------------------------------------------------------------------------
def create(
    *, user: User, name: str, scopes: Iterable[str], days: int, session_id: UUID | None,
    now: datetime,
) -> NewKey:  # fmt: skip
    """Make a key. Raises PlanHasNoApiKeys, TooManyApiKeys."""
    _require_plan(user)
    prefix, secret = _new_prefix(), secrets.token_urlsafe(32)
    row = ApiKey(
        id=ids.new_id(), user_id=user.id, name=name, prefix=prefix, digest=_digest(secret),
        scopes=sorted(set(scopes)), created_at=now, expires_at=now + timedelta(days=days),
    )  # fmt: skip
    with tenancy.as_user(user.id):
        User.objects.select_for_update(no_key=True).get(id=user.id)  # counts are exact this way
        if keys_of(user.id).filter(expires_at__gt=now).count() >= MOST_KEYS:
            raise TooManyApiKeys
        row.save(force_insert=True)
        log.record(Action.API_KEY_CREATED, user_id=user.id, session_id=session_id,
                   key_id=str(row.id), scopes=row.scopes)  # fmt: skip
        notifications.notify(
            user_id=user.id, event=Event.API_KEY_CREATED, dedupe=str(row.id), now=now, name=name
        )
    return NewKey(row, f"{MARK}{prefix}_{secret}")


def keys_of(user_id: UUID):
    """A person's keys that were not revoked. Call inside ``as_user``."""
    return ApiKey.objects.filter(user_id=user_id, revoked_at=None).order_by("-created_at", "-id")


def revoke(*, user_id: UUID, key_id: UUID, now: datetime) -> None:
    """The key fails at the next call. Raises NotFound, also for one that was revoked before."""
    with tenancy.as_user(user_id):
        if not keys_of(user_id).filter(id=key_id).update(revoked_at=now):
            raise NotFound
        log.record(Action.API_KEY_REVOKED, user_id=user_id, key_id=str(key_id))


# --- using --------------------------------------------------------------------------------------
class Refusal(Exception):
    """Why a key does not count; whose it is, if it is anybody's."""

    def __init__(
        self, reason: str, user_id: UUID | None = None, key_id: UUID | None = None
    ) -> None:
        self.reason, self.user_id, self.key_id = reason, user_id, key_id
        super().__init__(reason)


_KEY_FIELDS = [field.attname for field in ApiKey._meta.concrete_fields]
_USER_FIELDS = [field.attname for field in User._meta.concrete_fields]
_LOOK_UP = "SELECT user_id, id, digest FROM api_keys WHERE prefix = %(prefix)s"
_READ = "SELECT {} FROM api_keys k JOIN users u ON u.id = k.user_id {} {}".format(  # noqa: S608  (fixed text)
    ", ".join(
        [f'k."{field.column}"' for field in ApiKey._meta.concrete_fields]
        + [f'u."{field.column}"' for field in User._meta.concrete_fields]
        + [entitlements.COLUMNS]
    ),
    entitlements.JOIN,
    "WHERE k.prefix = %(prefix)s AND k.user_id = %(user)s",
)
_NOBODYS = hashlib.sha256(secrets.token_bytes(32)).digest()


def find_live(text: str, *, now: datetime) -> ApiKey:
    """The key that this text is, with its user: two indexed reads. Raises Refusal.

    The first read, under no identity yet, tells whether the secret is right; only then is there
    a person to read for.
    """
    if not _SHAPE.fullmatch(text):
        raise Refusal("unknown")
    prefix, _, secret = text.removeprefix(MARK).partition("_")
    found = tenancy.read_as_lookup(_LOOK_UP, {"prefix": prefix}, api_key=prefix)
    owner, key_id, digest = found[0] if found else (None, None, _NOBODYS)
    # Compared for unknown prefixes too, so that the time does not tell which ones exist.
    if not hmac.compare_digest(_digest(secret), bytes(digest)) or owner is None:
        raise Refusal("wrong_secret" if found else "unknown", owner, key_id)
    key = _read(prefix, owner)
    if key is None:
        raise Refusal("unknown")
    for reason, wrong in (
        ("revoked", key.revoked_at is not None),
        ("expired", key.expires_at is not None and key.expires_at <= now),
        ("inactive", not key.user.is_active),
        ("closing", key.user.closes_at is not None),
    ):
        if wrong:
            raise Refusal(reason, owner, key.id)
    return key


def permit(key: ApiKey, scope: str | None) -> None:
    """Raises PlanHasNoApiKeys, ScopeMissing; None is what no key may be used for."""
    _require_plan(key.user)
    if scope is None or scope not in key.scopes:
        raise ScopeMissing(details={"scope": scope} if scope else None)


def record_refusal(refusal: Refusal, *, ip_address: str | None) -> None:
    """Somebody's key was tried in vain; a prefix of nobody is nothing to log."""
    if refusal.user_id is None:
        return
    with tenancy.as_user(refusal.user_id):
        log.record(
            Action.API_KEY_REFUSED, user_id=refusal.user_id, outcome="refused",
            ip_address=ip_address, key_id=str(refusal.key_id), reason=refusal.reason,
        )  # fmt: skip


def record_use(key: ApiKey, *, ip_address: str | None, now: datetime) -> None:
    """Note when and from where a key is used: every five minutes, and at each new address."""
    usual = ip_address is None or ip_address in key.known_addresses
    recent = key.last_used_at is not None and now - key.last_used_at < TOUCHED_EVERY
    if recent and usual:
        return
    with tenancy.as_user(key.user_id):
        row = ApiKey.objects.select_for_update().get(id=key.id, user_id=key.user_id)
        known: list[Any] = list(row.known_addresses)
        new = ip_address is not None and ip_address not in known
        if new and known:  # the first address is where the key lives
            log.record(Action.API_KEY_MOVED, user_id=key.user_id, ip_address=ip_address,
                       key_id=str(key.id), known=known)  # fmt: skip
        if new:
            row.known_addresses = [*known, ip_address][-MOST_ADDRESSES:]
        row.last_used_at, row.last_used_address = now, ip_address
        row.save(update_fields=["last_used_at", "last_used_address", "known_addresses"])


def _read(prefix: str, user_id: UUID) -> ApiKey | None:
    rows = tenancy.read_as_user(user_id, _READ, {"prefix": prefix, "user": user_id})
    if not rows:
        return None
    place = len(_KEY_FIELDS)
    key = ApiKey.from_db(connection.alias, _KEY_FIELDS, rows[0][:place])
    end = place + len(_USER_FIELDS)
    key.user = User.from_db(connection.alias, _USER_FIELDS, rows[0][place:end])
    entitlements.attach_row(key.user, rows[0][end:])
    return key


def _require_plan(user: User) -> None:
    if not entitlements.for_user(user).api_keys:
        raise PlanHasNoApiKeys


def _new_prefix() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(_PREFIX_LENGTH))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
