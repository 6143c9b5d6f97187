"""A person's phone and passkeys, for tests: what they enter, and what they answer."""

import base64
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django_otp.oath import TOTP

from accounts.models import Session, User
from accounts.second_factor import changes
from tests.authenticator import Authenticator
from tests.conftest import PASSWORD
from tracker import clock, tenancy


@dataclass
class Phone:
    """An authenticator app."""

    secret: str = field(repr=False)

    def code(self, at: datetime) -> str:
        """What it shows at that moment."""
        seen = TOTP(base64.b32decode(self.secret))
        seen.time = at.timestamp()
        return f"{seen.token():06}"


def enrol(user: User, now: datetime) -> tuple[Phone, list[str]]:
    """An authenticator app that counts since ``now``, and the recovery codes that came with it."""
    begun = changes.begin_totp(user_id=user.id, email=user.email, now=now)
    phone = Phone(begun.secret)
    added = changes.confirm_totp(user_id=user.id, code=phone.code(now), now=now, keep=None)
    return phone, added.recovery_codes


def add_passkey(user: User, **said: Any) -> tuple[Authenticator, UUID]:
    """A passkey of this person, and its id."""
    key = Authenticator(**said)
    options = changes.passkey_options(user=user, now=clock.now())
    added = changes.add_passkey(
        user_id=user.id, credential=key.create(options), name="phone", now=clock.now(), keep=None
    )
    return key, added.device.id


def password_step(api: Any, user: User) -> dict[str, Any]:
    """What the password alone is answered with: a challenge and the methods."""
    answer = api.post("/auth/login", {"email": user.email, "password": PASSWORD})
    assert (answer.status_code, answer.json()["code"]) == (401, "second_factor_required")
    return answer.json()["details"]


def make_stale(user: User, since: datetime) -> None:
    """All sessions of this person were authenticated at that moment and not since."""
    with tenancy.as_system("test"):
        Session.objects.filter(user=user).update(authenticated_at=since)
