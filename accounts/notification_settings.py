"""When somebody wants to be told: quiet hours, and the day of the weekly summary."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from uuid import UUID

from accounts import suppressions
from accounts.models import NotificationSettings, User
from accounts.quiet_hours import QuietHours, zone_of
from audit import log
from audit.actions import Action
from tracker import tenancy
from tracker.api import InvalidInput


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds for a person."""

    quiet_from: time | None
    quiet_until: time | None
    weekly_summary_day: int
    time_zone: str
    email_undeliverable_since: datetime | None


def quiet_hours(user_id: UUID) -> QuietHours | None:
    """Somebody's quiet hours, if they have any. Call inside an identity that may read them."""
    rows = NotificationSettings.objects.filter(user_id=user_id)
    found = rows.values_list("quiet_from", "quiet_until", "user__time_zone").first()
    if found is None or found[0] is None or found[1] is None:
        return None
    return QuietHours(found[0], found[1], zone_of(found[2]))


def of(user: User) -> Standing:
    """What holds for a person, by default too. Call inside ``as_user``."""
    row = NotificationSettings.objects.filter(user_id=user.id).first()
    row = row or NotificationSettings(user_id=user.id)
    return Standing(
        row.quiet_from, row.quiet_until, row.weekly_summary_day, user.time_zone,
        suppressions.since(user.id, user.email),
    )  # fmt: skip


def change(*, user_id: UUID, changes: Mapping[str, Any]) -> Standing:
    """Apply what is named; returns what holds then. Raises InvalidInput."""
    with tenancy.as_user(user_id):
        # The person's row orders two changes at once.
        user = User.objects.select_for_update(no_key=True).get(id=user_id)
        row, _ = NotificationSettings.objects.get_or_create(user_id=user_id)
        changed = {name for name, value in changes.items() if getattr(row, name) != value}
        for name in changed:
            setattr(row, name, changes[name])
        _check(row)
        if changed:
            if "weekly_summary_day" in changed:
                row.summary_due_at = None  # the summary's own task works it out anew
            row.save()
            log.record(
                Action.NOTIFICATION_SETTINGS_CHANGED, user_id=user_id, changed=sorted(changed)
            )
        return of(user)


def _check(row: NotificationSettings) -> None:
    if (row.quiet_from is None) != (row.quiet_until is None):
        missing = "quiet_from" if row.quiet_from is None else "quiet_until"
        raise InvalidInput.of(missing, "Quiet hours have a beginning and an end.", code="required")
    if row.quiet_from is not None and row.quiet_from == row.quiet_until:
        text = "Quiet hours cannot end when they begin. Leave both out to have none."
        raise InvalidInput.of("quiet_until", text, code="invalid")
