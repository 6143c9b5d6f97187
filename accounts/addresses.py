"""Changing one's e-mail address: confirmed at the new one, announced at the old one."""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError

from accounts import links, passwords, registration
from accounts.models import AccountLink, User, normalize_email
from accounts.notifications import Event, notify
from audit import log
from audit.actions import Action
from tracker import tenancy
from tracker.api import InvalidInput
from tracker.errors import DomainError

CHANGE = AccountLink.Purpose.CHANGE_EMAIL


class EmailTaken(DomainError):
    """Said only to who has opened a link at this address."""

    code = "email_taken"
    status = 409
    message = "Another account uses this e-mail address by now. Your address was not changed."


def request_change(*, user: User, email: str, session_id: UUID | None, now: datetime) -> None:
    """Mail a link to the new address; tell the owner of a taken one instead (S13).

    Either way one link is made and one message written; the answer tells nothing. Raises
    InvalidInput for the address that is already in force.
    """
    wanted = normalize_email(email)
    if wanted == user.email:
        raise InvalidInput.of("email", "This is your e-mail address already.", code="unchanged")
    owner = passwords.find_user(wanted)
    with tenancy.as_user(user.id):
        link = links.create(user.id, CHANGE, wanted, now)
        log.record(Action.EMAIL_CHANGE_REQUESTED, user_id=user.id, session_id=session_id)
    with tenancy.as_user(owner.id if owner else user.id):
        if owner:
            registration.tell_already_registered(owner.id, now)
        else:
            notify(
                user_id=user.id, event=Event.CONFIRM_NEW_EMAIL, dedupe=str(link.id), now=now,
                address=wanted, link_id=link.id,
            )  # fmt: skip


def confirm_change(*, token: str, now: datetime) -> User:
    """The link came back: the address changes, and every other link is void.

    Raises LinkRejected; EmailTaken, which spends nothing.
    """
    named = links.read(token, CHANGE)
    try:
        with tenancy.as_user(named.user_id):
            link = links.use(token, CHANGE, now)
            user, old = link.user, link.user.email
            user.email, user.email_confirmed_at = link.email, now
            user.save(update_fields=["email", "email_confirmed_at"])
            links.void(user.id, now)
            log.record(Action.EMAIL_CHANGED, user_id=user.id)
            notify(
                user_id=user.id, event=Event.EMAIL_CHANGE_ANNOUNCED, dedupe=str(link.id), now=now,
                address=old, new_masked=masked(user.email),
            )  # fmt: skip
            return user
    except IntegrityError:
        raise EmailTaken from None


def masked(email: str) -> str:
    """Enough for its owner to know it: ``n…n@example.com``."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}…{local[-1:] if len(local) > 2 else ''}@{domain}"
