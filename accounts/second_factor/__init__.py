"""The second factor: which methods a person has, and whether a proof is good.

``methods`` and ``verify`` are all that signing in and re-authentication need. What changes the
methods is in `changes`; signing in with them in `sign_in`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts import shield
from accounts.models import Passkey, TotpDevice
from accounts.second_factor import passkeys, recovery, totp
from accounts.second_factor.errors import ChallengeRejected, SecondFactorRejected
from audit import log
from audit.actions import Action
from tracker import tenancy

TOTP, PASSKEY, RECOVERY_CODE = "totp", "passkey", "recovery_code"


def methods(user_id: UUID) -> list[str]:
    """With what this person can confirm that it is them; empty without a second factor.

    Recovery codes stand in for a lost device, so alone they are no second factor.
    """
    with acting_for(user_id):
        found = []
        if TotpDevice.objects.filter(user_id=user_id, confirmed=True).exists():
            found.append(TOTP)
        if Passkey.objects.filter(user_id=user_id).exists():
            found.append(PASSKEY)
        if found and recovery.left(user_id=user_id):
            found.append(RECOVERY_CODE)
    return found


def verify(*, user_id: UUID, proof: Mapping[str, Any], now: datetime) -> str:
    """The method by which the proof is good; it cannot be used again.

    ``proof`` is ``{"totp": "123456"}``, ``{"recovery_code": "…"}`` or ``{"passkey": {…}}``. Call
    it outside of a transaction of ``as_user``: a refusal is logged, and then raised. Raises
    SecondFactorRejected, SecondFactorUnreadable, ChallengeRejected, TooManyAttempts, OutOfOrder.
    """
    method = next((name for name in (TOTP, RECOVERY_CODE, PASSKEY) if proof.get(name)), None)
    if method == PASSKEY:
        accepted = _passkey_accepted(user_id, proof[PASSKEY], now)
    elif method:
        accepted = _code_accepted(user_id, method, str(proof[method]), now)
    else:
        accepted = False
    if not accepted or method is None:
        raise SecondFactorRejected
    return method


@contextmanager
def acting_for(user_id: UUID) -> Iterator[None]:
    """As this person, unless the caller already acts as system, as the admin's pages do."""
    if tenancy.current().system:
        yield
        return
    with tenancy.as_user(user_id):
        yield


def _code_accepted(user_id: UUID, method: str, code: str, now: datetime) -> bool:
    shield.check_code(user_id)
    accept = totp.accept if method == TOTP else recovery.accept
    with acting_for(user_id):
        accepted = accept(user_id=user_id, code=code, now=now)
        if not accepted:
            record_failure(user_id, method)
        elif method == RECOVERY_CODE:
            left = recovery.left(user_id=user_id)
            log.record(Action.RECOVERY_CODE_USED, user_id=user_id, left=left)
    (shield.code_succeeded if accepted else shield.code_failed)(user_id)
    return accepted


def _passkey_accepted(user_id: UUID, credential: Any, now: datetime) -> bool:
    """Nobody guesses a signature, so nothing is counted here."""
    try:
        answer = passkeys.read_answer(credential, user_id=user_id, now=now)
    except (SecondFactorRejected, ChallengeRejected):
        with acting_for(user_id):
            record_failure(user_id, PASSKEY)
        raise
    with acting_for(user_id):
        accepted = passkeys.accept(answer, now=now) is not None
        if not accepted:
            record_failure(user_id, PASSKEY)
    return accepted


def record_failure(user_id: UUID, method: str) -> None:
    """A proof that was not good stands in the activity log."""
    log.record(Action.SECOND_FACTOR_FAILED, user_id=user_id, outcome="refused", method=method)
