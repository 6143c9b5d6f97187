"""What staff does for or against a person's account, offered on the person's page."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import Exists, OuterRef, Q

from accounts import confirmation, support, support_access
from accounts.models import SecondFactorReset, SupportViewing, User, normalize_email
from accounts.privacy import closing, export
from accounts.second_factor import resets
from accounts.serializers.auth import MeSerializer
from tracker import desk, tenancy
from tracker.api import InvalidInput
from tracker.desk import PersonAct, PersonForm, Screen


class ReasonForm(PersonForm):
    """Why, for the log and the person."""

    reason = forms.CharField(
        max_length=500, help_text="The ticket, and how you know that it is them. They can read it."
    )


class ErasureForm(ReasonForm):
    """Why, and for whom, typed by hand."""

    email = forms.EmailField(
        label="E-mail address of the person", help_text="Type it, to be sure whom it will be."
    )


def _resend(*, person_id: UUID, actor_id: UUID, now: datetime) -> str:
    with tenancy.narrowed_to(person_id):
        sent = confirmation.send_again(user_id=person_id, now=now, actor_id=actor_id)
    return "A new link is on its way." if sent else "A link went out less than a minute ago."


def _end_sessions(*, person_id: UUID, actor_id: UUID, now: datetime) -> str:
    ended = support.end_sessions(users=_people(person_id), actor_id=actor_id, now=now)
    return f"Signed out everywhere; sessions that ran: {ended}."


def _lock_out(*, person_id: UUID, actor_id: UUID, now: datetime) -> str:
    support.deactivate(users=_people(person_id), actor_id=actor_id, now=now)
    return "Locked out, and signed out everywhere."


def _let_in(*, person_id: UUID, actor_id: UUID, now: datetime) -> str:
    support.reactivate(users=_people(person_id), actor_id=actor_id)
    return "They can sign in again."


def _ask_reset(*, person_id: UUID, actor_id: UUID, now: datetime, reason: str) -> str:
    row = resets.ask(user_id=person_id, actor_id=actor_id, reason=reason, now=now)
    return f"They were told. It will be done on {_instant(row.due_at)}, unless it is cancelled."


def _cancel_reset(*, person_id: UUID, actor_id: UUID, now: datetime) -> str:
    resets.cancel(user_id=person_id, now=now, by_staff=actor_id)
    return "Cancelled; every second factor stays."


def _export(*, person_id: UUID, actor_id: UUID, now: datetime) -> str:
    with tenancy.narrowed_to(person_id):
        export.request(user_id=person_id, now=now, actor_id=actor_id)
    return "The copy is being made; they get an e-mail when it is ready."


def _erase(*, person_id: UUID, actor_id: UUID, now: datetime, reason: str, email: str) -> str:
    if normalize_email(email) != User.objects.values_list("email", flat=True).get(id=person_id):
        raise InvalidInput.of("email", "This is not the address of this person.")
    with tenancy.narrowed_to(person_id):
        found = closing.request(
            user_id=person_id, ip_address=None, now=now, actor_id=actor_id, reason=reason
        )
    when = f"Everything will be deleted on {_instant(found.closes_at)}"
    if User.objects.filter(id=person_id, is_active=False).exists():
        return f"{when}. They are locked out, so they cannot cancel it by signing in."
    return f"{when}, unless they sign in."


def _view(*, person_id: UUID, actor_id: UUID, now: datetime, reason: str) -> str:
    row = support_access.begin(user_id=person_id, actor_id=actor_id, reason=reason, now=now)
    return f"They were told. You can look until {_instant(row.ends_at)}."


def _stop_viewing(*, person_id: UUID, actor_id: UUID, now: datetime) -> str:
    support_access.stop(user_id=person_id, actor_id=actor_id, now=now)
    return "You no longer see what they see."


def _people(person_id: UUID) -> list[User]:
    return list(User.objects.select_for_update(no_key=True).filter(id=person_id))


def _instant(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M} UTC"


def _settings(*, person_id: UUID, now: datetime) -> dict[str, Any]:
    return dict(MeSerializer(User.objects.get(id=person_id)).data)


# --- when there is anything to do -----------------------------------------------------------------
def _is_not_confirmed(*, actor_id: UUID, now: datetime) -> Q:
    return Q(email_confirmed_at=None)


def _is_let_in(*, actor_id: UUID, now: datetime) -> Q:
    return Q(is_active=True)


def _is_locked_out(*, actor_id: UUID, now: datetime) -> Q:
    return Q(is_active=False)


def _is_to_be_reset(*, actor_id: UUID, now: datetime) -> Exists:
    waiting = SecondFactorReset.State.WAITING
    return Exists(SecondFactorReset.objects.filter(user=OuterRef("pk"), state=waiting))


def _is_looked_at(*, actor_id: UUID, now: datetime) -> Exists:
    running = SupportViewing.objects.filter(actor_id=actor_id, ended_at=None, ends_at__gt=now)
    return Exists(running.filter(user=OuterRef("pk")))


# --- what is offered ------------------------------------------------------------------------------
_ACTS = (
    PersonAct(
        "resend-confirmation", "Send the confirmation again",
        "Sends another link to confirm the address, at most one a minute.",
        "accounts.resend_confirmation", _resend, applies=_is_not_confirmed,
    ),
    PersonAct(
        "end-sessions", "End all sessions",
        "Signs the person out on every device. They sign in anew.",
        "accounts.end_sessions", _end_sessions,
    ),
    PersonAct(
        "lock-out", "Lock out",
        "Deactivates the account and signs it out everywhere. Nothing is deleted.",
        "accounts.lock_out", _lock_out, applies=_is_let_in,
    ),
    PersonAct(
        "let-in", "Let in again", "Ends a lock-out.", "accounts.lock_out", _let_in,
        applies=_is_locked_out,
    ),
    PersonAct(
        "reset-second-factor", "Reset second factor",
        "Removes every second factor after 24 hours and signs the person out everywhere. They are "
        "told at once and can cancel it; when they show or add a second factor meanwhile, nothing "
        "is removed.",
        "accounts.ask_reset_second_factor", _ask_reset, ReasonForm,
    ),
    PersonAct(
        "keep-second-factor", "Cancel the reset of the second factor",
        "Every second factor stays. The person is told.",
        "accounts.ask_reset_second_factor", _cancel_reset, applies=_is_to_be_reset,
    ),
    PersonAct(
        "start-export", "Make a copy of their data",
        "Has a copy of everything made. Only the person can download it; they get an e-mail.",
        "accounts.start_export", _export,
    ),
    PersonAct(
        "start-erasure", "Close the account",
        "Signs the person out everywhere, and deletes everything after the days of grace. They "
        "are told, and signing in before then cancels it. Who is locked out cannot sign in: let "
        "them in again if they are to have that choice.",
        "accounts.start_erasure", _erase, ErasureForm,
    ),
    PersonAct(
        "view-as", "See what they see",
        "Shows what the app shows the person, for 30 minutes at most, where they allowed it in the "
        "app. Nothing can be changed. They are told, and every page is written down.",
        "accounts.view_as", _view, ReasonForm, "admin:person_viewing",
    ),
    PersonAct(
        "stop-viewing", "Stop seeing what they see", "Ends your viewing before its time.",
        "accounts.view_as", _stop_viewing, applies=_is_looked_at,
    ),
)  # fmt: skip
for _act in _ACTS:
    desk.add_act(_act)
desk.add_screen(Screen("settings", "Settings", _settings, rank=90))
