"""Letting staff in: what is checked, what the session then holds, what is written to the log.

Everything here runs inside ``as_system``, which `AdminTenancyMiddleware` opened.
"""

from datetime import datetime
from typing import Any

import django_otp
from django.contrib import auth
from django.http import HttpRequest

from accounts import second_factor, shield
from accounts.models import Passkey, TotpDevice, User, normalize_email
from accounts.second_factor import passkeys
from accounts.second_factor.errors import SecondFactorRejected
from accounts.staff import idle
from audit import log
from audit.actions import Action

_BACKEND = "django.contrib.auth.backends.ModelBackend"


def password_was_right(request: HttpRequest, user: Any) -> None:
    """The first step is done. Django gives the session a new key."""
    auth.login(request, user, backend=_BACKEND)
    idle.begin(request)


def password_was_wrong(request: HttpRequest, email: str) -> None:
    """Make the next attempt wait, and write it down; for unknown addresses alike."""
    found = None
    if "\x00" not in email:  # PostgreSQL has no text with one in it
        people = User.objects.filter(email=normalize_email(email))
        found = people.values_list("id", flat=True).first()
    log.record(Action.USER_SIGN_IN_FAILED, user_id=found, outcome="refused", method="admin")
    if email:
        shield.failed(request, email)


def own_password_was_wrong(request: HttpRequest) -> None:
    """Somebody in the admin gave a wrong old password: it waits, and stands in the log."""
    user: Any = request.user
    log.record(Action.PASSWORD_CHANGED, user_id=user.id, outcome="refused", method="admin")
    shield.failed(request, user.email)


def second_factor_shown(request: HttpRequest, proof: dict[str, Any], now: datetime) -> None:
    """The second step. Raises what `second_factor.verify` raises."""
    user: Any = request.user
    method = second_factor.verify(user_id=user.id, proof=proof, now=now)
    let_in(request, method)


def with_passkey(request: HttpRequest, credential: Any, now: datetime) -> None:
    """Both steps in one. Raises SecondFactorRejected, ChallengeRejected, OutOfOrder."""
    answer = passkeys.read_answer(credential, user_id=None, now=now)
    user = User.objects.filter(id=answer.user_id).first()
    if user is None:
        raise SecondFactorRejected
    may_enter = user.is_active and user.is_staff
    if not may_enter or passkeys.accept(answer, now=now) is None:
        log.record(Action.USER_SIGN_IN_FAILED, user_id=user.id, outcome="refused", method="admin")
        raise SecondFactorRejected
    auth.login(request, user, backend=_BACKEND)
    let_in(request, second_factor.PASSKEY)


def let_in(request: HttpRequest, method: str) -> None:
    """Bind the session to the device under a new key; from here on the admin is open."""
    user: Any = request.user
    request.session.cycle_key()
    django_otp.login(request, _device(user, method))
    idle.begin(request)
    shield.succeeded(request, user.email)
    log.record(Action.USER_SIGNED_IN, user_id=user.id, method="admin", second_factor=method)


def record_leaving(request: HttpRequest) -> None:
    """Somebody signs out by hand."""
    if request.method == "POST" and request.user.is_authenticated:
        log.record(Action.USER_SIGNED_OUT, user_id=request.user.pk, method="admin")


def _device(user: Any, method: str) -> Any:
    """The device that was shown; a recovery code stands in for any of them."""
    app = TotpDevice.objects.filter(user_id=user.id, confirmed=True).first()
    used = Passkey.objects.filter(user_id=user.id).exclude(last_used_at=None)
    passkey = used.order_by("-last_used_at").first()
    if method == second_factor.PASSKEY:
        return passkey or Passkey.objects.filter(user_id=user.id).order_by("-id").first()
    return app or Passkey.objects.filter(user_id=user.id).first()
