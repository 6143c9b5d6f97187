"""What staff does for or against a person's account. Each act is logged with who did it.

Called inside ``as_system``; who may do it is checked by the admin.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from accounts import links, sessions
from accounts.addresses import masked
from accounts.models import User
from accounts.notifications import Event, notify
from audit import log
from audit.actions import Action


def deactivate(*, users: Iterable[User], actor_id: UUID, now: datetime) -> None:
    """Lock people out, at the next call of each of their devices; mailed links die too."""
    for user in users:
        User.objects.filter(id=user.id).update(is_active=False)
        ended = sessions.end(sessions.others(user.id), reason="deactivated", now=now)
        links.void(user.id, now)
        log.record(
            Action.USER_DEACTIVATED, user_id=user.id, actor_id=actor_id, sessions_ended=ended
        )


def reactivate(*, users: Iterable[User], actor_id: UUID) -> None:
    """Let people in again; they sign in anew."""
    for user in users:
        User.objects.filter(id=user.id).update(is_active=True)
        log.record(Action.USER_REACTIVATED, user_id=user.id, actor_id=actor_id)


def end_sessions(*, users: Iterable[User], actor_id: UUID, now: datetime) -> int:
    """Sign people out everywhere; returns how many sessions ran."""
    total = 0
    for user in users:
        ended = sessions.end(sessions.others(user.id), reason="ended_by_staff", now=now)
        log.record(Action.SESSIONS_ENDED, user_id=user.id, actor_id=actor_id, ended=ended)
        total += ended
    return total


def password_set(*, user: User, now: datetime) -> int:
    """After staff gave a person a new password: everything that the old one opened ends (S09).

    Returns how many sessions ran. That staff did it is written by the admin itself.
    """
    ended = sessions.end(sessions.others(user.id), reason="password_changed", now=now)
    links.void(user.id, now)
    notify(user_id=user.id, event=Event.PASSWORD_CHANGED, dedupe=now.isoformat(), now=now)
    return ended


def own_password_set(*, user: User, now: datetime) -> None:
    """After a member of staff gave themself a new password in the admin: the same (S09)."""
    ended = password_set(user=user, now=now)
    log.record(Action.PASSWORD_CHANGED, user_id=user.id, method="admin", sessions_ended=ended)


def email_set(*, user: User, old: str, now: datetime) -> None:
    """After staff corrected an address: it is not proved, and the old one is told."""
    User.objects.filter(id=user.id).update(email_confirmed_at=None)
    links.void(user.id, now)
    notify(
        user_id=user.id, event=Event.EMAIL_CHANGE_ANNOUNCED, dedupe=now.isoformat(), now=now,
        address=old, new_masked=masked(user.email),
    )  # fmt: skip
