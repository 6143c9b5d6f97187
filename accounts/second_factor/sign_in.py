"""The second step of signing in, and signing in with a passkey alone."""

from datetime import datetime
from typing import Any
from uuid import UUID

from accounts import second_factor, sessions
from accounts.models import User
from accounts.second_factor import challenges, passkeys
from accounts.second_factor.errors import SecondFactorRejected
from accounts.sessions import Device, SignedIn
from audit import log
from audit.actions import Action
from tracker import tenancy


def finish(*, challenge: str, proof: dict[str, Any], now: datetime) -> SignedIn:
    """Start the session that the password asked for. The challenge is used up by success alone.

    Raises ChallengeRejected, SecondFactorRejected, SecondFactorUnreadable, TooManyAttempts,
    OutOfOrder, WrongCredentials.
    """
    begun = challenges.read(challenge, now)
    method = second_factor.verify(user_id=begun.user_id, proof=proof, now=now)
    challenges.spend(begun)
    user = _active(begun.user_id)
    return sessions.start(user=user, device=Device(**begun.device), now=now, method=method)


def passkey_options(*, challenge: str, now: datetime) -> dict[str, Any]:
    """What an authenticator signs: for the person of a challenge, or for whoever it knows."""
    if not challenge:
        return passkeys.authentication_options(user_id=None, now=now)
    begun = challenges.read(challenge, now)
    with tenancy.as_user(begun.user_id):
        return passkeys.authentication_options(user_id=begun.user_id, now=now)


def with_passkey(*, credential: Any, device: Device, now: datetime) -> SignedIn:
    """Start a session with a passkey and nothing else: it is device and PIN or finger in one.

    Raises SecondFactorRejected, ChallengeRejected, OutOfOrder.
    """
    answer = passkeys.read_answer(credential, user_id=None, now=now)
    with tenancy.as_user(answer.user_id):
        user = User.objects.filter(id=answer.user_id).first()
        accepted = user is not None and user.is_active and passkeys.accept(answer, now=now)
        if user is not None and not accepted:
            log.record(
                Action.USER_SIGN_IN_FAILED, user_id=user.id, outcome="refused", method="passkey",
                ip_address=device.ip_address,
            )  # fmt: skip
    if user is None or not accepted:
        raise SecondFactorRejected
    return sessions.start(user=user, device=device, now=now, method="passkey")


def _active(user_id: UUID) -> User:
    with tenancy.as_user(user_id):
        user = User.objects.filter(id=user_id, is_active=True).first()
    if user is None:
        raise SecondFactorRejected
    return user
