"""Signing in with a password, up to the second factor."""

from datetime import datetime

from accounts import passwords, sessions
from accounts.models import User
from accounts.second_factor import challenges
from accounts.second_factor.errors import SecondFactorRequired
from accounts.sessions import Device, SignedIn, WrongCredentials
from audit import log
from audit.actions import Action
from tracker import tenancy


def sign_in(*, email: str, password: str, device: Device, now: datetime) -> SignedIn:
    """Start a session. Raises WrongCredentials, alike for unknown, inactive and mistyped.

    Who has a second factor gets no session yet: raises SecondFactorRequired with a challenge.
    """
    user = passwords.find_user(email)
    correct = passwords.matches(user, password)
    if user is None or not correct or not user.is_active:
        _record_failure(user, device)
        raise WrongCredentials
    try:
        return sessions.start(user=user, device=device, now=now)
    except SecondFactorRequired as needed:
        challenge = challenges.issue(user.id, device, now)
        raise SecondFactorRequired(details={"challenge": challenge, **needed.details}) from None


def _record_failure(user: User | None, device: Device) -> None:
    """In the log of the person, or of nobody: the same work for both."""
    identity = (
        tenancy.as_user(user.id) if user else tenancy.as_system("sign-in of an unknown address")
    )
    with identity:
        log.record(
            Action.USER_SIGN_IN_FAILED, user_id=user.id if user else None, outcome="refused",
            ip_address=device.ip_address,
        )  # fmt: skip
