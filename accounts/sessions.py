"""Sessions: a session is a signed-in device; its row decides about its tokens.

Starting, refreshing, listing and ending. Who may have one is decided in `accounts.signing_in`.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet

from accounts import second_factor
from accounts.models import Session, User
from accounts.second_factor.errors import SecondFactorRequired
from accounts.tokens import AccessToken, InvalidToken, RefreshToken
from audit import log, metrics
from audit.actions import Action
from audit.metrics import LastSeen
from billing import entitlements
from tracker import live, tenancy
from tracker.errors import DomainError, NotFound


class WrongCredentials(DomainError):
    code = "credentials_rejected"
    status = 401
    message = "E-mail address or password is wrong."


@dataclass(frozen=True, slots=True)
class Device:
    """From where a session is started, as the request and the app itself tell."""

    user_agent: str = ""
    ip_address: str | None = None
    device_name: str = ""
    platform: str = ""
    app_version: str = ""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A fresh pair of tokens and whose they are."""

    user: User
    access: str
    refresh: str


def start(*, user: User, device: Device, now: datetime, method: str = "password") -> SignedIn:
    """Start a session for somebody who has proved who they are. Cancels a pending closing.

    ``user`` is as it was read when the proof was checked. Raises WrongCredentials when it has
    changed since: deactivated, erased, or given another password. For a password alone raises
    SecondFactorRequired (with the methods) where there is a second factor; asked under the lock
    that enrolment takes, so none is passed by that is being enrolled just now.
    """
    with tenancy.as_user(user.id):
        current = User.objects.select_for_update(no_key=True).filter(id=user.id).first()
        if current is None or not current.is_active or current.password != user.password:
            raise WrongCredentials
        if method == "password" and (methods := second_factor.methods(user.id)):
            raise SecondFactorRequired(details={"methods": methods})
        if current.closes_at is not None:
            current.closes_at = None
            current.save(update_fields=["closes_at"])
            log.record(Action.USER_CLOSING_CANCELLED, user_id=user.id, ip_address=device.ip_address)
        session = _new_session(current, device, now)
        token = RefreshToken.issue(user_id=user.id, session_id=session.id)
        session.refresh_digest = token.digest()
        session.save(force_insert=True)
        log.record(
            Action.USER_SIGNED_IN, user_id=user.id, ip_address=device.ip_address,
            session_id=session.id, method=method, device_name=session.device_name,
            platform=session.platform, user_agent=family(device.user_agent),
        )  # fmt: skip
        return _pair(current, session.id, token)


def refresh(*, token: str, now: datetime) -> SignedIn:
    """Exchange a refresh token for a new pair; the old one is spent. Raises InvalidToken.

    One conditional UPDATE decides, so of many concurrent calls exactly one succeeds. A spent
    token that comes back is a replay: the whole session ends.
    """
    old = RefreshToken.read(token)
    new = RefreshToken.issue(user_id=old.user_id, session_id=old.session_id)
    with tenancy.as_user(old.user_id):
        # No join here: Django would turn it into a sub-select, whose conditions PostgreSQL does
        # not check again after waiting for the row, and then several callers win.
        live = Session.objects.filter(
            id=old.session_id, user_id=old.user_id, ended_at=None, expires_at__gt=now
        )
        rotated = live.filter(refresh_digest=old.digest()).update(
            refresh_digest=new.digest(), refreshed_at=now
        )
        if rotated:
            user = User.objects.filter(id=old.user_id, is_active=True).first()
            if user is None:
                raise InvalidToken
            return _pair(user, old.session_id, new)
        _end_replayed(live, old, now)
    raise InvalidToken


def sign_out(*, token: str, now: datetime) -> None:
    """End the session of a refresh token. Idempotent. Raises InvalidToken for a forged token."""
    old = RefreshToken.read(token)
    with tenancy.as_user(old.user_id):
        if end(Session.objects.filter(id=old.session_id), reason="signed_out", now=now):
            log.record(Action.USER_SIGNED_OUT, user_id=old.user_id, session_id=old.session_id)


# --- the devices of a person --------------------------------------------------------------------
def running(user_id: UUID, *, now: datetime) -> QuerySet[Session]:
    """The sessions of a person that count, newest first. Call inside ``as_user``."""
    return Session.objects.filter(user_id=user_id, ended_at=None, expires_at__gt=now).order_by(
        "-created_at", "-id"
    )


def listed(*, user_id: UUID, current: UUID | None, now: datetime) -> list[dict[str, Any]]:
    """A person's devices as they are shown to them, with when each was last there."""
    with tenancy.as_user(user_id):
        rows = list(running(user_id, now=now))
        seen = metrics.last_seen(user_id, [row.id for row in rows])
    return [_shown(row, seen.get(row.id), current=row.id == current) for row in rows]


def end_one(*, user_id: UUID, session_id: UUID, now: datetime) -> None:
    """End one session of a person, this device's included. Raises NotFound."""
    with tenancy.as_user(user_id):
        if not end(running(user_id, now=now).filter(id=session_id), reason="ended", now=now):
            raise NotFound
        log.record(Action.SESSION_ENDED, user_id=user_id, session_id=session_id)


def end_others(*, user_id: UUID, keep: UUID | None, now: datetime) -> int:
    """End every session of a person but one; returns how many ended."""
    with tenancy.as_user(user_id):
        ended = end(others(user_id, keep), reason="ended", now=now)
        log.record(Action.SESSIONS_ENDED, user_id=user_id, session_id=keep, ended=ended)
        return ended


def others(user_id: UUID, keep: UUID | None = None) -> QuerySet[Session]:
    """The sessions of a person, without the one that stays."""
    theirs = Session.objects.filter(user_id=user_id)
    return theirs if keep is None else theirs.exclude(id=keep)


def end(sessions: QuerySet[Session], *, reason: str, now: datetime) -> int:
    """End the sessions of a queryset that still run; their tokens fail at the next call.

    Open live connections are told, so that they end within a moment.
    """
    running = sessions.order_by().filter(ended_at=None)
    people = set(running.values_list("user_id", flat=True))
    ended = running.update(ended_at=now, end_reason=reason)
    for user_id in people:
        live.publish(user_id=user_id, topic=live.SESSIONS)
    return ended


def _shown(row: Session, seen: LastSeen | None, *, current: bool) -> dict[str, Any]:
    """``refreshed_at`` where nothing was counted yet: the app was there then."""
    return {
        "id": row.id, "device_name": row.device_name, "platform": row.platform,
        "app_version": row.app_version, "client": family(row.user_agent),
        "created_at": row.created_at, "first_address": row.ip_address, "current": current,
        "last_seen_at": max(seen.at, row.refreshed_at) if seen else row.refreshed_at,
        "last_address": (seen.ip_address if seen else None) or row.ip_address,
    }  # fmt: skip


# --- every request ------------------------------------------------------------------------------
_SESSION_FIELDS = [field.attname for field in Session._meta.concrete_fields]
_USER_FIELDS = [field.attname for field in User._meta.concrete_fields]
_FIND_LIVE = "SELECT {} FROM sessions s JOIN users u ON u.id = s.user_id {} {}".format(  # noqa: S608
    ", ".join(
        [f's."{field.column}"' for field in Session._meta.concrete_fields]
        + [f'u."{field.column}"' for field in User._meta.concrete_fields]
        + [entitlements.COLUMNS]
    ),
    entitlements.JOIN,
    "WHERE s.id = %(session)s AND s.user_id = %(user)s AND s.ended_at IS NULL "
    "AND s.expires_at > %(now)s AND u.is_active",
)


def find_live(*, user_id: UUID, session_id: UUID, now: datetime) -> Session | None:
    """The running session of an active user, with its user and their plan: one indexed read.

    Every authenticated request makes it, so it is written out: building the query anew would
    take longer than running it.
    """
    parameters = {"session": session_id, "user": user_id, "now": now}
    rows = tenancy.read_as_user(user_id, _FIND_LIVE, parameters)
    if not rows:
        return None
    place = len(_SESSION_FIELDS)
    session = Session.from_db(connection.alias, _SESSION_FIELDS, rows[0][:place])
    end = place + len(_USER_FIELDS)
    session.user = User.from_db(connection.alias, _USER_FIELDS, rows[0][place:end])
    entitlements.attach_row(session.user, rows[0][end:])
    return session


# --- parts --------------------------------------------------------------------------------------
def _new_session(user: User, device: Device, now: datetime) -> Session:
    return Session(
        user=user, created_at=now, authenticated_at=now, refreshed_at=now,
        expires_at=now + settings.SESSION_LIFETIME,
        user_agent=device.user_agent[:256].replace("\x00", ""), ip_address=device.ip_address,
        device_name=device.device_name[:64], platform=device.platform[:16],
        app_version=device.app_version[:32],
    )  # fmt: skip


def _pair(user: User, session_id: UUID, token: RefreshToken) -> SignedIn:
    access = AccessToken.issue(user_id=user.id, session_id=session_id)
    return SignedIn(user=user, access=str(access), refresh=str(token))


def _end_replayed(live: QuerySet[Session], old: RefreshToken, now: datetime) -> None:
    if end(live, reason="replayed", now=now):
        log.record(
            Action.SESSION_REPLAYED, user_id=old.user_id, session_id=old.session_id,
            outcome="refused",
        )  # fmt: skip


# Ordered: Edge and Chrome also say that they are Safari.
_FAMILIES = ("Firefox", "Edg", "OPR", "Chrome", "Safari")
_PRODUCT = re.compile(r"[A-Za-z][A-Za-z0-9 ._-]{0,31}")


def family(user_agent: str) -> str:
    """What kind of program calls, without versions: ``okhttp``, ``Firefox``, ``curl``."""
    if user_agent.startswith("Mozilla/"):
        return next((name for name in _FAMILIES if f"{name}/" in user_agent), "browser")
    found = _PRODUCT.match(user_agent)
    return found.group() if found else ""
