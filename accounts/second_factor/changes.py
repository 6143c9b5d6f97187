"""Adding and removing second factors, by the person, by staff for themself, and by operators.

Every change is written to the activity log, announced by mail, and ends the other sessions of the
person at their next call: whoever else was signed in has to prove themself anew.

The person's row is locked first, so that two changes at once come one after the other.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts import notifications, sessions, shield
from accounts.models import Passkey, TotpDevice, User
from accounts.notifications import Event
from accounts.second_factor import acting_for, methods, passkeys, record_failure, recovery, totp
from accounts.second_factor.errors import (
    CodeRejected,
    SecondFactorMissing,
    SecondFactorUnreadable,
)
from accounts.second_factor.totp import Enrolment
from audit import log
from audit.actions import Action
from tracker import ids, tenancy
from tracker.errors import DomainError, NotFound

# The reason under which a caller may act as the system already.
RESETTING = "reset second factor"


class SecondFactorExists(DomainError):
    code = "second_factor_exists"
    status = 409
    message = "This account has a second factor already. Please sign in with it."


@dataclass(frozen=True, slots=True)
class State:
    """What a person has, without anything secret."""

    methods: list[str]
    totp_confirmed_at: datetime | None
    recovery_codes_left: int
    passkeys: list[Passkey]


def state(*, user_id: UUID) -> State:
    """For the page on which a person looks at their second factors."""
    with acting_for(user_id):
        app = TotpDevice.objects.filter(user_id=user_id, confirmed=True).first()
        return State(
            methods=methods(user_id),
            totp_confirmed_at=app and app.confirmed_at,
            recovery_codes_left=recovery.left(user_id=user_id),
            passkeys=list(Passkey.objects.filter(user_id=user_id).order_by("-id")),
        )


# --- authenticator app --------------------------------------------------------------------------
def begin_totp(*, user_id: UUID, email: str, now: datetime) -> Enrolment:
    """A fresh seed; it counts once `confirm_totp` has seen a code of it."""
    with acting_for(user_id):
        _lock(user_id)
        return totp.begin(user_id=user_id, email=email, now=now)


def waiting_totp(*, user_id: UUID, device_id: UUID | None, email: str, now: datetime) -> Enrolment:
    """The seed that was begun as ``device_id``, or a fresh one.

    So a page that is loaded again shows the same. Only who began it knows the id: a seed that
    somebody has seen is shown to nobody else, who would take it for a secret of their own.
    """
    with acting_for(user_id):
        _lock(user_id)
        try:
            begun = device_id and totp.waiting(
                user_id=user_id, device_id=device_id, email=email, now=now
            )
        except SecondFactorUnreadable:
            begun = None
        return begun or totp.begin(user_id=user_id, email=email, now=now)


@dataclass(frozen=True, slots=True)
class Added:
    """A new second factor; with the first one come recovery codes, shown this once."""

    recovery_codes: list[str] = field(repr=False)
    device: Any = None


def confirm_totp(
    *, user_id: UUID, code: str, now: datetime, keep: UUID | None, only_first: bool = False
) -> Added:
    """Have the app count that shows this code, instead of the one before.

    ``keep`` is the session that stays. With ``only_first`` there may be no second factor yet.
    Raises CodeRejected, SecondFactorExists, SecondFactorUnreadable, TooManyAttempts, OutOfOrder.
    """
    shield.check_code(user_id)
    with acting_for(user_id):
        _lock(user_id, only_first=only_first)
        try:
            device = totp.confirm(user_id=user_id, code=code, now=now)
        except CodeRejected:
            device = None
            record_failure(user_id, "totp_enrolment")
        else:
            log.record(Action.TOTP_ENROLLED, user_id=user_id, session_id=keep)
            codes = _first_codes(user_id, keep, now)
            _changed(user_id, "totp_added", keep, now)
    if device is None:
        shield.code_failed(user_id)
        raise CodeRejected
    shield.code_succeeded(user_id)
    return Added(codes, device)


def remove_totp(*, user_id: UUID, keep: UUID | None, now: datetime) -> None:
    """The app counts no longer. Raises NotFound when there is none."""
    with acting_for(user_id):
        _lock(user_id)
        removed, _ = TotpDevice.objects.filter(user_id=user_id, confirmed=True).delete()
        if not removed:
            raise NotFound
        log.record(Action.TOTP_REMOVED, user_id=user_id, session_id=keep)
        _forget_useless_codes(user_id)
        _changed(user_id, "totp_removed", keep, now)


# --- recovery codes -----------------------------------------------------------------------------
def make_recovery_codes(*, user_id: UUID, keep: UUID | None, now: datetime) -> list[str]:
    """Ten fresh ones, shown this once; the old are void. Raises SecondFactorMissing."""
    with acting_for(user_id):
        _lock(user_id)
        if not methods(user_id):
            raise SecondFactorMissing
        codes = _make_codes(user_id, keep, now)
        _changed(user_id, "recovery_codes_made", keep, now)
    return codes


# --- passkeys -----------------------------------------------------------------------------------
def passkey_options(*, user: User, now: datetime) -> dict[str, Any]:
    """What an authenticator needs to make a passkey."""
    with acting_for(user.id):
        return passkeys.registration_options(user=user, now=now)


def add_passkey(
    *, user_id: UUID, credential: dict[str, Any], name: str, now: datetime, keep: UUID | None,
    only_first: bool = False,
) -> Added:  # fmt: skip
    """Keep a new passkey. ``keep`` and ``only_first`` as in `confirm_totp`.

    Raises PasskeyRejected, PasskeyKnown, TooManyPasskeys, ChallengeRejected, SecondFactorExists.
    """
    key = passkeys.read_new(credential, user_id=user_id, now=now)
    with acting_for(user_id):
        _lock(user_id, only_first=only_first)
        passkey = passkeys.store(key, user_id=user_id, name=name, now=now)
        log.record(
            Action.PASSKEY_ADDED, user_id=user_id, session_id=keep, passkey_id=str(passkey.id)
        )
        codes = _first_codes(user_id, keep, now)
        _changed(user_id, "passkey_added", keep, now)
    return Added(codes, passkey)


def remove_passkey(*, user_id: UUID, passkey_id: UUID, keep: UUID | None, now: datetime) -> None:
    """Remove one. Raises NotFound."""
    with acting_for(user_id):
        _lock(user_id)
        removed, _ = Passkey.objects.filter(user_id=user_id, id=passkey_id).delete()
        if not removed:
            raise NotFound
        log.record(
            Action.PASSKEY_REMOVED, user_id=user_id, session_id=keep, passkey_id=str(passkey_id)
        )
        _forget_useless_codes(user_id)
        _changed(user_id, "passkey_removed", keep, now)


# --- operators ----------------------------------------------------------------------------------
def reset(*, user_id: UUID, now: datetime, actor_id: UUID | None = None) -> dict[str, int]:
    """Remove every second factor of somebody who lost them all; says how many of each there were.

    ``actor_id`` is the member of staff who asked for it; none where an operator did by a command.
    Ends all sessions. The password stays, and staff are led through enrolment when they come back.
    """
    with tenancy.as_system(RESETTING):
        _lock(user_id)
        removed: dict[str, Any] = {
            "totp": TotpDevice.objects.filter(user_id=user_id, confirmed=True).count(),
            "passkeys": Passkey.objects.filter(user_id=user_id).count(),
            "recovery_codes": recovery.left(user_id=user_id),
        }
        TotpDevice.objects.filter(user_id=user_id).delete()
        Passkey.objects.filter(user_id=user_id).delete()
        recovery.clear(user_id=user_id)
        log.record(
            Action.STAFF_ACTED, user_id=user_id, actor_id=actor_id, did="reset_second_factor",
            model=User._meta.label_lower, object_id=str(user_id), **removed,
        )  # fmt: skip
        _changed(user_id, "reset", None, now)
    return removed


# --- parts --------------------------------------------------------------------------------------
def _lock(user_id: UUID, *, only_first: bool = False) -> None:
    if not User.objects.select_for_update(no_key=True).filter(id=user_id).exists():
        raise NotFound
    if only_first and methods(user_id):
        raise SecondFactorExists


def _first_codes(user_id: UUID, keep: UUID | None, now: datetime) -> list[str]:
    """Fresh codes for whoever has none that can be used."""
    return [] if recovery.left(user_id=user_id) else _make_codes(user_id, keep, now)


def _make_codes(user_id: UUID, keep: UUID | None, now: datetime) -> list[str]:
    codes = recovery.make(user_id=user_id, now=now)
    log.record(Action.RECOVERY_CODES_MADE, user_id=user_id, session_id=keep, count=len(codes))
    return codes


def _forget_useless_codes(user_id: UUID) -> None:
    """With the last device go the codes that stood in for it."""
    if not methods(user_id):
        recovery.clear(user_id=user_id)


def _changed(user_id: UUID, what: str, keep: UUID | None, now: datetime) -> None:
    """S09: end the other sessions; and tell the person."""
    ended = sessions.end(sessions.others(user_id, keep), reason="second_factor_changed", now=now)
    if ended:
        log.record(Action.SESSIONS_ENDED, user_id=user_id, session_id=keep, ended=ended)
    notifications.notify(
        user_id=user_id, event=Event.SECOND_FACTOR_CHANGED, dedupe=str(ids.new_id()), now=now,
        what=what,
    )  # fmt: skip
