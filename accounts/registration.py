"""Signing up, without telling whether an address is taken (S13)."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.contrib.auth.hashers import make_password

from accounts import confirmation, passwords
from accounts import consents as agreements
from accounts.models import User, normalize_email
from accounts.notifications import Event, notify
from audit import log
from audit.actions import Action
from tracker import bulk, ids, tenancy


def register(
    *, email: str, password: str, now: datetime, ip_address: str | None = None,
    consents: Mapping[str, str] | None = None, **preferences: str,
) -> None:  # fmt: skip
    """Create a person and mail them a link; tell the owner of a taken address instead.

    Either way one password is hashed, one message written and nothing returned. Raises
    InvalidInput for a weak password and ConsentOutdated, before it looks whose address it is.
    """
    user = User(id=ids.new_id(), email=normalize_email(email), **preferences)
    passwords.check_strength(password, user)
    documents = consents or {}
    agreements.check(documents)
    user.password = make_password(password)  # slow on purpose, so outside the transaction
    owner = passwords.find_user(user.email)
    if owner is None and not _create(user, documents, ip_address, now):
        owner = passwords.find_user(user.email)  # somebody was quicker with this address
    if owner is not None:
        _tell_owner(owner.id, ip_address, now)


def _create(
    user: User, documents: Mapping[str, str], ip_address: str | None, now: datetime
) -> bool:
    """Insert the person and all that belongs to it; False when the address was taken."""
    with tenancy.as_user(user.id):
        # Of two at once the second waits for the first here, and then inserts nothing.
        if not bulk.insert_new([user]):
            return False
        log.record(Action.USER_REGISTERED, user_id=user.id, ip_address=ip_address)
        if documents:
            agreements.agree(user_id=user.id, documents=documents, ip_address=ip_address, now=now)
        confirmation.send(user, now)
        return True


def _tell_owner(owner_id: UUID, ip_address: str | None, now: datetime) -> None:
    """Somebody, perhaps they themselves, tried to sign up with their address."""
    with tenancy.as_user(owner_id):
        log.record(Action.REGISTRATION_REPEATED, user_id=owner_id, ip_address=ip_address)
        tell_already_registered(owner_id, now)


def tell_already_registered(user_id: UUID, now: datetime) -> None:
    """At most once an hour, or strangers could fill a mailbox. Call inside ``as_user``."""
    if User.objects.filter(id=user_id, is_active=True).exists():
        notify(
            user_id=user_id, event=Event.ALREADY_REGISTERED, dedupe=f"{now:%Y-%m-%dT%H}", now=now
        )
