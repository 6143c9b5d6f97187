"""Addresses that take no e-mail: spared, so that our other mail is still taken.

What protects the account is sent there all the same. It ends when the address proves itself (a
link that was mailed there comes back), when the person takes another one, or when staff lift it.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from accounts.models import EmailSuppression
from audit import log
from audit.actions import Action
from tracker.logs import get_logger

logger = get_logger(__name__)
LONGEST_REASON = 64


def note(*, user_id: UUID, address: str, reason: str, now: datetime) -> bool:
    """An address refused for good; returns whether that is new. Call inside an identity."""
    row = EmailSuppression(
        user_id=user_id, address=address, reason=reason[:LONGEST_REASON], created_at=now
    )
    EmailSuppression.objects.bulk_create([row], ignore_conflicts=True)
    if not EmailSuppression.objects.filter(id=row.id).exists():
        return False
    log.record(Action.EMAIL_SUPPRESSED, user_id=user_id, reason=row.reason)
    logger.warning("email.suppressed", suppression=str(row.id), reason=row.reason)
    return True


def since(user_id: UUID, address: str) -> datetime | None:
    """Since when an address takes nothing; None where it does. Call inside an identity."""
    rows = EmailSuppression.objects.filter(user_id=user_id, address=address, lifted_at=None)
    return rows.values_list("created_at", flat=True).first()


def proved(*, user_id: UUID, address: str, now: datetime) -> None:
    """A link that was mailed to the address came back. Call inside ``as_user``."""
    rows = EmailSuppression.objects.filter(user_id=user_id, address=address, lifted_at=None)
    if rows.update(lifted_at=now):
        log.record(Action.EMAIL_SUPPRESSION_LIFTED, user_id=user_id, reason="address proved itself")


def lift(*, suppressions: Iterable[EmailSuppression], actor_id: UUID, now: datetime) -> int:
    """Staff believe in the addresses again; returns how many. Call inside ``as_system``."""
    lifted = 0
    for row in suppressions:
        rows = EmailSuppression.objects.filter(id=row.id, lifted_at=None)
        if rows.update(lifted_at=now):
            log.record(
                Action.STAFF_ACTED, user_id=row.user_id, actor_id=actor_id, did="lift suppression",
                model=EmailSuppression._meta.label_lower, object_id=str(row.id),
            )  # fmt: skip
            lifted += 1
    return lifted
