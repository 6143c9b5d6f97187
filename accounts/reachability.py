"""An address that took no e-mail proves that it does again: a link is sent there and comes back."""

from datetime import datetime
from uuid import UUID

from accounts import confirmation, links, suppressions
from accounts.models import User
from audit import log
from audit.actions import Action
from tracker import tenancy
from tracker.errors import DomainError


class EmailReachesYou(DomainError):
    code = "email_not_undeliverable"
    status = 409
    message = "Your e-mail address takes e-mail, as far as we know. There is nothing to prove."


def send_link(*, user_id: UUID, now: datetime) -> None:
    """Mail a link, at most one a minute. Raises EmailReachesYou."""
    with tenancy.as_user(user_id):
        user = User.objects.select_for_update(no_key=True).get(id=user_id)
        if suppressions.since(user_id, user.email) is None:
            raise EmailReachesYou
        if not links.sent_since(user_id, confirmation.CONFIRM, now - confirmation.PAUSE):
            log.record(Action.EMAIL_CONFIRMATION_SENT, user_id=user_id)
            confirmation.send(user, now)
