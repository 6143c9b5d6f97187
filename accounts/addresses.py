"""Changing one's e-mail address: confirmed at the new one, announced at the old one."""

import math
from datetime import datetime, timedelta
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
# What is written goes to mailboxes that are not theirs, so one account cannot fill them.
PAUSE, DAY = timedelta(minutes=1), timedelta(days=1)
MOST_A_DAY = 10


class EmailTaken(DomainError):
    """Said only to who has opened a link at this address."""

    code = "email_taken"
    status = 409
    message = "Another account uses this e-mail address by now. Your address was not changed."


class ChangeTooSoon(DomainError):
    """Whoever was written to last: it counts by who asks, so it tells nothing (S13)."""

    code = "email_change_too_soon"
    status = 429
    message = "You asked to change your address a moment ago. Please wait before the next time."


def request_change(*, user: User, email: str, session_id: UUID | None, now: datetime) -> None:
    """Mail a link to the new address; tell the owner of a taken one instead (S13).

    Either way one link is made and one message written; the answer tells nothing. Raises
    InvalidInput for the address that is already in force; ChangeTooSoon beyond one a minute and
    ten a day.
    """
    wanted = normalize_email(email)
    if wanted == user.email:
        raise InvalidInput.of("email", "This is your e-mail address already.", code="unchanged")
    owner = passwords.find_user(wanted)
    with tenancy.as_user(user.id):
        _check_pause(user.id, now)
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


def _check_pause(user_id: UUID, now: datetime) -> None:
    # Their row orders two requests at once.
    User.objects.select_for_update(no_key=True).get(id=user_id)
    made = links.made_since(user_id, CHANGE, now - DAY)
    waits = [made[0] + PAUSE - now] if made else []
    if len(made) >= MOST_A_DAY:
        waits.append(made[MOST_A_DAY - 1] + DAY - now)
    if waits and (longest := max(waits)) > timedelta(0):
        raise ChangeTooSoon(retry_after=math.ceil(longest.total_seconds()))


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
