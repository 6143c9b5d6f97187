"""Proving again that it is you, before something that cannot be taken back (S12)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from accounts import passwords, second_factor
from accounts.models import Session
from accounts.passwords import WrongPassword
from accounts.second_factor.errors import SecondFactorRejected, SecondFactorRequired
from audit import log
from audit.actions import Action
from tracker import tenancy
from tracker.api import InvalidInput


def confirm(*, session: Session, password: str, proof: Mapping[str, Any], now: datetime) -> str:
    """Password and second factor where there is one, or a passkey alone; returns the method.

    The session counts as fresh from now. Raises WrongPassword, SecondFactorRequired (with the
    methods), SecondFactorRejected, InvalidInput.
    """
    try:
        method = _prove(session, password, proof, now)
    except (WrongPassword, SecondFactorRejected):
        with tenancy.as_user(session.user_id):
            log.record(
                Action.REAUTHENTICATION_FAILED, user_id=session.user_id, session_id=session.id,
                outcome="refused",
            )  # fmt: skip
        raise
    with tenancy.as_user(session.user_id):
        Session.objects.filter(id=session.id, ended_at=None).update(authenticated_at=now)
        log.record(
            Action.REAUTHENTICATED, user_id=session.user_id, session_id=session.id, method=method
        )
    return method


def _prove(session: Session, password: str, proof: Mapping[str, Any], now: datetime) -> str:
    user = session.user
    if "passkey" in proof and not password:
        # Nothing but the passkey: a code stands for the device, and not for the password as well.
        alone = {"passkey": proof["passkey"]}
        return second_factor.verify(user_id=user.id, proof=alone, now=now)
    if not password:
        raise InvalidInput.of("password", "Give your password or a passkey.", code="required")
    if not passwords.matches(user, password):
        raise WrongPassword
    methods = second_factor.methods(user.id)
    if not methods:
        return "password"
    if not proof:
        raise SecondFactorRequired(details={"methods": methods})
    return f"password+{second_factor.verify(user_id=user.id, proof=dict(proof), now=now)}"
