"""Proof that an e-mail address is somebody's: a link is sent there, and comes back."""

from datetime import datetime, timedelta
from uuid import UUID

from accounts import links
from accounts.models import AccountLink, User
from accounts.notifications import Event, notify
from audit import log
from audit.actions import Action
from tracker import tenancy
from tracker.errors import DomainError

CONFIRM = AccountLink.Purpose.CONFIRM_EMAIL
# Whoever asks again at once gets no second e-mail; the first one is on its way.
PAUSE = timedelta(minutes=1)


class AlreadyConfirmed(DomainError):
    code = "email_already_confirmed"
    status = 409
    message = "Your e-mail address is already confirmed."


class LinkSpent(links.LinkRejected):
    """The link did its work before, which is no reason for alarm."""

    message = "This e-mail address is already confirmed. There is nothing left to do."


def send(user: User, now: datetime) -> None:
    """Make a link and mail it. Call inside ``as_user``."""
    link = links.create(user.id, CONFIRM, user.email, now)
    notify(
        user_id=user.id, event=Event.CONFIRM_EMAIL, dedupe=str(link.id), now=now,
        address=link.email, link_id=link.id,
    )  # fmt: skip


def send_again(*, user_id: UUID, now: datetime, actor_id: UUID | None = None) -> bool:
    """Another link, at most one a minute; False when the last one is that young.

    ``actor_id`` is the member of staff who asks for it. Raises AlreadyConfirmed.
    """
    with tenancy.as_user(user_id):
        user = User.objects.select_for_update(no_key=True).get(id=user_id)
        if user.email_confirmed_at is not None:
            raise AlreadyConfirmed
        if links.sent_since(user_id, CONFIRM, now - PAUSE):
            return False
        log.record(Action.EMAIL_CONFIRMATION_SENT, user_id=user_id, actor_id=actor_id)
        send(user, now)
        return True


def check(*, token: str, now: datetime) -> None:
    """Whether ``confirm`` would work now; changes nothing. Raises LinkRejected, LinkSpent."""
    try:
        links.find(token, CONFIRM, now)
    except links.LinkRejected:
        named = links.read(token, CONFIRM)
        with tenancy.as_user(named.user_id):
            if _did_its_work(named):
                raise LinkSpent from None
        raise


def confirm(*, token: str, now: datetime) -> User:
    """The link came back: the address is theirs. Raises LinkRejected, LinkSpent."""
    named = links.read(token, CONFIRM)
    with tenancy.as_user(named.user_id):
        try:
            link = links.use(token, CONFIRM, now)
        except links.LinkRejected:
            if _did_its_work(named):
                raise LinkSpent from None
            raise
        if link.email != link.user.email:  # the address has changed since
            raise links.LinkRejected
        note(link.user, link.email, now)
        return link.user


def note(user: User, email: str, now: datetime) -> None:
    """Mark an address as proved, once, and welcome its owner. Call inside ``as_user``."""
    confirmed = User.objects.filter(id=user.id, email=email, email_confirmed_at=None).update(
        email_confirmed_at=now
    )
    if confirmed:
        user.email_confirmed_at = now
        log.record(Action.EMAIL_CONFIRMED, user_id=user.id)
        notify(user_id=user.id, event=Event.WELCOME, dedupe="once", now=now)


def _did_its_work(named: links.Reference) -> bool:
    """Whether a spent link's address is confirmed, so that its second use is told so."""
    link = AccountLink.objects.filter(
        id=named.link_id, user_id=named.user_id, purpose=CONFIRM, used_at__isnull=False
    ).first()
    return link is not None and User.objects.filter(
        id=named.user_id, email=link.email, email_confirmed_at__isnull=False, is_active=True
    ).exists()  # fmt: skip
