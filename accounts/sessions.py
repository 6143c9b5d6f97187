"""Signing up, in and out; refreshing. A session is a device; its row decides about its tokens."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection

from accounts.models import Session, User, normalize_email
from accounts.tokens import AccessToken, InvalidToken, RefreshToken
from audit import log
from audit.actions import Action
from tracker import ids, tenancy
from tracker.api import InvalidInput
from tracker.errors import DomainError


class EmailTaken(DomainError):
    code = "email_taken"
    status = 409
    message = "There is already an account with this e-mail address. Please sign in."


class WrongCredentials(DomainError):
    code = "credentials_rejected"
    status = 401
    message = "E-mail address or password is wrong."


@dataclass(frozen=True, slots=True)
class Device:
    """From where a session is started, as the request tells."""

    user_agent: str = ""
    ip_address: str | None = None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A fresh pair of tokens and whose they are."""

    user: User
    access: str
    refresh: str


def register(
    *, email: str, password: str, device: Device, now: datetime, **preferences: str
) -> SignedIn:
    """Create a user and sign the device in. Raises InvalidInput (weak password), EmailTaken."""
    user = User(id=ids.new_id(), email=normalize_email(email), **preferences)
    _check_password_strength(password, user)
    user.password = make_password(password)  # slow on purpose, so outside the transaction
    try:
        with tenancy.as_user(user.id):
            user.save(force_insert=True)
            log.record(Action.USER_REGISTERED, user_id=user.id, ip_address=device.ip_address)
            return _start(user, device, now)
    except IntegrityError:
        raise EmailTaken from None


def sign_in(*, email: str, password: str, device: Device, now: datetime) -> SignedIn:
    """Start a session. Raises WrongCredentials, alike for unknown, inactive and mistyped."""
    user = _find(normalize_email(email))
    correct = _password_matches(user, password)
    if user is None or not correct or not user.is_active:
        _record_failure(user, device)
        raise WrongCredentials
    with tenancy.as_user(user.id):
        log.record(Action.USER_SIGNED_IN, user_id=user.id, ip_address=device.ip_address)
        return _start(user, device, now)


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
            user = User.objects.get(id=old.user_id)
            if not user.is_active:
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


def end(sessions, *, reason: str, now: datetime) -> int:
    """End the sessions of a queryset that still run; their tokens fail at the next call."""
    return sessions.filter(ended_at=None).update(ended_at=now, end_reason=reason)


_SESSION_FIELDS = [field.attname for field in Session._meta.concrete_fields]
_USER_FIELDS = [field.attname for field in User._meta.concrete_fields]
_FIND_LIVE = "SELECT {} FROM sessions s JOIN users u ON u.id = s.user_id {}".format(  # noqa: S608
    ", ".join(
        [f's."{field.column}"' for field in Session._meta.concrete_fields]
        + [f'u."{field.column}"' for field in User._meta.concrete_fields]
    ),
    "WHERE s.id = %(session)s AND s.user_id = %(user)s AND s.ended_at IS NULL "
    "AND s.expires_at > %(now)s AND u.is_active",
)


def find_live(*, user_id: UUID, session_id: UUID, now: datetime) -> Session | None:
    """The running session of an active user, with its user: one indexed read.

    Every authenticated request makes it, so it is written out: building the query anew would
    take longer than running it.
    """
    parameters = {"session": session_id, "user": user_id, "now": now}
    rows = tenancy.read_as_user(user_id, _FIND_LIVE, parameters)
    if not rows:
        return None
    place = len(_SESSION_FIELDS)
    session = Session.from_db(connection.alias, _SESSION_FIELDS, rows[0][:place])
    session.user = User.from_db(connection.alias, _USER_FIELDS, rows[0][place:])
    return session


def _start(user: User, device: Device, now: datetime) -> SignedIn:
    session = Session(
        user=user, created_at=now, authenticated_at=now, refreshed_at=now,
        expires_at=now + settings.SESSION_LIFETIME,
        user_agent=device.user_agent[:256], ip_address=device.ip_address,
    )  # fmt: skip
    token = RefreshToken.issue(user_id=user.id, session_id=session.id)
    session.refresh_digest = token.digest()
    session.save(force_insert=True)
    return _pair(user, session.id, token)


def _pair(user: User, session_id: UUID, token) -> SignedIn:
    access = AccessToken.issue(user_id=user.id, session_id=session_id)
    return SignedIn(user=user, access=str(access), refresh=str(token))


def _find(email: str) -> User | None:
    with tenancy.as_lookup(email=email):
        return User.objects.filter(email=email).first()


def _password_matches(user: User | None, password: str) -> bool:
    """Check, doing the same work for people who do not exist; rehash when the cost changed."""
    if user is None:
        make_password(password)
        return False

    def store_rehashed(raw: str) -> None:
        with tenancy.as_user(user.id):
            User.objects.filter(id=user.id).update(password=make_password(raw))

    return check_password(password, user.password, setter=store_rehashed)


def _record_failure(user: User | None, device: Device) -> None:
    if user is None:
        return
    with tenancy.as_user(user.id):
        log.record(
            Action.USER_SIGN_IN_FAILED, user_id=user.id, outcome="refused",
            ip_address=device.ip_address,
        )  # fmt: skip


def _end_replayed(live, old: RefreshToken, now: datetime) -> None:
    if end(live, reason="replayed", now=now):
        log.record(
            Action.SESSION_REPLAYED, user_id=old.user_id, session_id=old.session_id,
            outcome="refused",
        )  # fmt: skip


def _check_password_strength(password: str, user: User) -> None:
    if len(password) > 128:
        raise InvalidInput.of("password", "Use at most 128 characters.", code="password_too_long")
    try:
        validate_password(password, user)
    except ValidationError as problem:
        rows = [
            {"field": "password", "code": error.code, "message": text}
            for error, text in zip(problem.error_list, problem.messages, strict=True)
        ]
        raise InvalidInput(details={"fields": rows}) from None
