"""Removing the second factors of somebody who lost them all, as staff ask for it: after a day.

Whoever stole a password may try to talk support into it. So the person is told at once, on every
way we have, and has a day to say no: by the link in the e-mail, or in the app where they are still
signed in. Showing or adding a second factor meanwhile says no as well (`keeping`).
"""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature, Signer

from accounts.messages import Outdated
from accounts.models import SecondFactorReset, User
from accounts.second_factor import changes, keeping, methods
from audit import log
from audit.actions import Action
from tracker import tenancy
from tracker.api import InvalidInput
from tracker.errors import DomainError, NotFound
from tracker.logs import get_logger

logger = get_logger(__name__)
WAIT = timedelta(hours=24)
PATH = "/cancel-second-factor-reset"
LONGEST = 256
AT_ONCE = 500
State = SecondFactorReset.State


class NothingToReset(DomainError):
    code = "nothing_to_reset"
    status = 409
    message = "This account has no second factor."


class ResetLinkRejected(DomainError):
    """Forged, or of a reset that no longer waits: deliberately the same sentence."""

    code = "link_rejected"
    status = 410
    message = "There is nothing to cancel: this reset was done, cancelled or was not needed."


# --- asking -------------------------------------------------------------------------------------
def ask(*, user_id: UUID, actor_id: UUID, reason: str, now: datetime) -> SecondFactorReset:
    """Have every second factor removed in a day; asked twice, the first stays.

    Tells the person. Call inside ``as_system``. Raises NothingToReset, InvalidInput without
    a reason, NotFound.
    """
    if not reason.strip():
        raise InvalidInput.of("reason", "Say why.", code="required")
    if not User.objects.select_for_update(no_key=True).filter(id=user_id).exists():
        raise NotFound
    if not methods(user_id):
        raise NothingToReset
    if waits := waiting(user_id=user_id):
        return waits
    row = SecondFactorReset.objects.create(
        user_id=user_id, reason=reason.strip(), asked_by=actor_id, asked_at=now, due_at=now + WAIT
    )
    log.record(
        Action.SECOND_FACTOR_RESET_ASKED, user_id=user_id, actor_id=actor_id, reset_id=str(row.id),
        reason=row.reason, due_at=row.due_at.isoformat(),
    )  # fmt: skip
    keeping.tell(row, "asked", now)
    return row


def waiting(*, user_id: UUID) -> SecondFactorReset | None:
    """The reset that waits for its day to be over, if any. Call inside a tenancy context."""
    return SecondFactorReset.objects.filter(user_id=user_id, state=State.WAITING).first()


# --- saying no ----------------------------------------------------------------------------------
def cancel(*, user_id: UUID, now: datetime, by_staff: UUID | None = None) -> None:
    """The person does not want it, or staff changed their mind. Raises NotFound for none.

    Call inside ``as_user`` or ``as_system``.
    """
    row = keeping.lock(user_id=user_id)
    if row is None:
        raise NotFound
    keeping.end(row, State.CANCELLED, now, cancelled_by=by_staff)
    log.record(
        Action.SECOND_FACTOR_RESET_CANCELLED, user_id=user_id, actor_id=by_staff,
        reset_id=str(row.id),
    )  # fmt: skip
    keeping.tell(row, "cancelled", now)


def link(*, user_id: UUID, parameters: Mapping[str, Any], now: datetime) -> str:
    """The address in the e-mail that says no, signed now. Raises Outdated once it is over."""
    if parameters["what"] != "asked":
        return ""
    reset_id = UUID(parameters["reset_id"])
    if not SecondFactorReset.objects.filter(id=reset_id, state=State.WAITING).exists():
        raise Outdated
    value = base64.urlsafe_b64encode(user_id.bytes + reset_id.bytes).rstrip(b"=").decode()
    return f"{settings.PUBLIC_URL}{PATH}?token={_signer().sign(value)}"


def find_by_link(token: str) -> SecondFactorReset:
    """The reset that a link would cancel. Changes nothing. Raises ResetLinkRejected."""
    user_id, reset_id = _read(token)
    with tenancy.as_user(user_id):
        row = waiting(user_id=user_id)
    if row is None or row.id != reset_id:
        raise ResetLinkRejected
    return row


def cancel_by_link(*, token: str, now: datetime) -> None:
    """Whoever reads the person's e-mail says no. Raises ResetLinkRejected."""
    user_id, reset_id = _read(token)
    with tenancy.as_user(user_id):
        row = waiting(user_id=user_id)
        if row is None or row.id != reset_id:
            raise ResetLinkRejected
        cancel(user_id=user_id, now=now)


def _read(token: str) -> tuple[UUID, UUID]:
    if len(token) > LONGEST:
        raise ResetLinkRejected
    try:
        raw = base64.urlsafe_b64decode(_signer().unsign(token) + "==")
        return UUID(bytes=raw[:16]), UUID(bytes=raw[16:])
    except (BadSignature, binascii.Error, ValueError):
        raise ResetLinkRejected from None


def _signer() -> Signer:
    return Signer(sep=".", salt="accounts.second_factor.resets")


# --- doing it -----------------------------------------------------------------------------------
def apply_due(*, now: datetime) -> int:
    """Do what has waited for a day; returns how many second factors of people were removed.

    One transaction each, and the row says whether it was done, so two sweeps do it once. One that
    fails is logged and tried again by the next sweep; the others do not wait for it.
    """
    with tenancy.as_system("find second factor resets"):
        due = SecondFactorReset.objects.filter(state=State.WAITING, due_at__lte=now)
        found = list(due.order_by("due_at").values_list("id", "user_id")[:AT_ONCE])
    return sum(_applied(reset_id, user_id, now) for reset_id, user_id in found)


def _applied(reset_id: UUID, user_id: UUID, now: datetime) -> bool:
    try:
        return _apply(user_id, now)
    except Exception as error:  # whatever it is, it is one person's
        logger.error("second_factor.reset_failed", reset=str(reset_id), error=type(error).__name__)
        return False


def _apply(user_id: UUID, now: datetime) -> bool:
    with tenancy.as_system(changes.RESETTING):
        person = User.objects.select_for_update(no_key=True).filter(id=user_id).first()
        row = keeping.lock(user_id=user_id)
        if person is None or row is None or row.due_at > now:
            return False
        if not person.is_active:
            keeping.not_needed(row, "locked_out", now=now)
            return False
        keeping.end(row, State.DONE, now)
        changes.reset(user_id=user_id, now=now, actor_id=row.asked_by)  # tells the person
        logger.info("second_factor.reset")
        return True
