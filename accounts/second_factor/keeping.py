"""A reset that waits is not needed any more once any second factor is shown or added.

It ends in the same transaction, so the fact outlives the row that it was seen by: an app that is
replaced takes with it when it was last used, and so do codes that are made anew.

Whoever is about to accept a second factor locks the waiting reset first, before the rows of the
factor: doing a reset (`resets`) takes them in the same order.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from accounts import notifications
from accounts.models import SecondFactorReset
from accounts.notifications import Event
from audit import log
from audit.actions import Action

State = SecondFactorReset.State


def lock(*, user_id: UUID) -> SecondFactorReset | None:
    """The reset that waits for its day to be over, if any. Call inside a tenancy context."""
    waits = SecondFactorReset.objects.select_for_update()
    return waits.filter(user_id=user_id, state=State.WAITING).first()


def shown(waits: SecondFactorReset | None, *, now: datetime) -> None:
    """A second factor was accepted or added: what `lock` found is not needed."""
    if waits is not None:
        not_needed(waits, "not_needed", now=now)


def not_needed(row: SecondFactorReset, why: str, *, now: datetime) -> None:
    """Nothing is removed; the person is told why: "not_needed", or "locked_out"."""
    end(row, State.NOT_NEEDED, now)
    log.record(
        Action.SECOND_FACTOR_RESET_NOT_NEEDED, user_id=row.user_id, reset_id=str(row.id)
    )  # fmt: skip
    tell(row, why, now)


def end(row: SecondFactorReset, state: str, now: datetime, **fields: Any) -> None:
    """It waits no longer."""
    row.state, row.ended_at = State(state), now
    for name, value in fields.items():
        setattr(row, name, value)
    row.save(update_fields=["state", "ended_at", *fields])


def tell(row: SecondFactorReset, what: str, now: datetime) -> None:
    """By e-mail and in the app, once for each that happens to it."""
    notifications.notify(
        user_id=row.user_id, event=Event.SECOND_FACTOR_RESET, dedupe=f"{row.id}:{what}", now=now,
        what=what, reset_id=row.id, due_at=row.due_at,
    )  # fmt: skip
