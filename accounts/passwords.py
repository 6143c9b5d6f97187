"""Passwords: strength, checking, changing, and the way back in for those who forgot theirs."""

from datetime import datetime, timedelta
from uuid import UUID

from celery import current_app
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from accounts import confirmation, links, sessions
from accounts.models import AccountLink, User, normalize_email
from accounts.notifications import Event, notify
from audit import log
from audit.actions import Action
from audit.log import Happening
from tracker import tenancy
from tracker.api import InvalidInput
from tracker.errors import DomainError

RESET_TASK = "accounts.tasks.mail_reset_link"
# Whoever asks again at once gets no second e-mail; the first one is on its way.
RESET_PAUSE = timedelta(minutes=1)


class WrongPassword(DomainError):
    """Not 401: the session is fine, and an app must not sign out over a typing error."""

    code = "password_rejected"
    status = 403
    message = "This password is wrong."


# --- checking -----------------------------------------------------------------------------------
def check_strength(password: str, user: User, *, field: str = "password") -> None:
    """Raises InvalidInput with every reason (S01)."""
    if len(password) > 128:
        raise InvalidInput.of(field, "Use at most 128 characters.", code="password_too_long")
    try:
        validate_password(password, user)
    except ValidationError as problem:
        rows = [
            {"field": field, "code": error.code, "message": text}
            for error, text in zip(problem.error_list, problem.messages, strict=True)
        ]
        raise InvalidInput(details={"fields": rows}) from None


def find_user(email: str) -> User | None:
    """The person with this address, whoever asks: for those who are not signed in yet."""
    spelled = normalize_email(email)
    with tenancy.as_lookup(email=spelled):
        return User.objects.filter(email=spelled).first()


def matches(user: User | None, password: str) -> bool:
    """Check, doing the same work for people who do not exist; rehash when the cost changed."""
    if user is None:
        make_password(password)
        return False

    def store_rehashed(raw: str) -> None:
        before, user.password = user.password, make_password(raw)
        with tenancy.as_user(user.id):
            # Unless the password was changed meanwhile, which must not be undone.
            User.objects.filter(id=user.id, password=before).update(password=user.password)

    return check_password(password, user.password, setter=store_rehashed)


# --- changing -----------------------------------------------------------------------------------
def change(
    *, user: User, session_id: UUID | None, current_password: str, new_password: str, now: datetime
) -> None:
    """Set a new password; every other session and every mailed link ends (S09).

    Raises WrongPassword, InvalidInput.
    """
    if not matches(user, current_password):
        with tenancy.as_user(user.id):
            log.record(
                Action.PASSWORD_CHANGED, user_id=user.id, session_id=session_id, outcome="refused"
            )
        raise WrongPassword
    check_strength(new_password, user, field="new_password")
    hashed = make_password(new_password)  # slow on purpose, so outside the transaction
    with tenancy.as_user(user.id):
        # Two changes at once: the second one's current password is no longer the current one.
        if not User.objects.filter(id=user.id, password=user.password).update(password=hashed):
            raise WrongPassword
        ended = sessions.end(
            sessions.others(user.id, session_id), reason="password_changed", now=now
        )
        links.void(user.id, now)
        log.record(
            Action.PASSWORD_CHANGED, user_id=user.id, session_id=session_id, sessions_ended=ended
        )
        _tell_changed(user.id, now)


# --- forgotten ----------------------------------------------------------------------------------
def request_reset(*, email: str, ip_address: str | None) -> None:
    """Have a link mailed, if there is such a person. Does the same for every address (S13).

    What differs is done by a task: here are one read and one act in the log, whoever was meant.
    """
    user = find_user(email)
    identity = (
        tenancy.as_user(user.id) if user else tenancy.as_system("reset for an unknown address")
    )
    with identity:
        log.record(
            Action.PASSWORD_RESET_REQUESTED, user_id=user.id if user else None,
            outcome="ok" if user and user.is_active else "refused", ip_address=ip_address,
        )  # fmt: skip


def have_link_mailed(happening: Happening) -> None:
    """Subscriber: enqueue the rest. For nobody too, so that the time taken tells nothing."""
    user_id = happening.user_id
    current_app.send_task(RESET_TASK, kwargs={"user_id": str(user_id) if user_id else None})


def mail_reset_link(*, user_id: UUID, now: datetime) -> None:
    """Make a link and mail it, at most once a minute."""
    with tenancy.as_user(user_id):
        user = User.objects.select_for_update(no_key=True).filter(id=user_id).first()
        if user is None or not user.is_active:
            return
        purpose = AccountLink.Purpose.RESET_PASSWORD
        if links.sent_since(user_id, purpose, now - RESET_PAUSE):
            return
        link = links.create(user_id, purpose, user.email, now)
        notify(
            user_id=user_id, event=Event.PASSWORD_RESET, dedupe=str(link.id), now=now,
            address=link.email, link_id=link.id,
        )  # fmt: skip


def reset(*, token: str, new_password: str, now: datetime) -> User:
    """Set a new password with a mailed link; every session and every other link ends (S09).

    Signs nobody in, so a second factor is still asked for. Raises LinkRejected, InvalidInput.
    """
    purpose = AccountLink.Purpose.RESET_PASSWORD
    user = links.find(token, purpose, now).user
    check_strength(new_password, user, field="new_password")
    hashed = make_password(new_password)  # slow on purpose, so outside the transaction
    with tenancy.as_user(user.id):
        link = links.use(token, purpose, now)
        User.objects.filter(id=user.id).update(password=hashed)
        ended = sessions.end(sessions.others(user.id), reason="password_reset", now=now)
        links.void(user.id, now)
        log.record(Action.PASSWORD_RESET, user_id=user.id, sessions_ended=ended)
        confirmation.note(link.user, link.email, now)  # they have read an e-mail sent there
        _tell_changed(user.id, now)
        return link.user


def _tell_changed(user_id: UUID, now: datetime) -> None:
    notify(
        user_id=user_id, event=Event.PASSWORD_CHANGED, dedupe=now.isoformat(), now=now
    )  # fmt: skip
