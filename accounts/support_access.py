"""Support looks at what the app shows a person: by their consent, announced, for a short time.

The person lets support see for some hours, and can end it at any time. A member of staff then
begins a viewing of half an hour at most, of which the person is told at once. Nothing can be
changed in one, and each page that is looked at stands in the activity log.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, Value
from django.db.models.functions import Least

from accounts import notifications
from accounts.models import SupportAccess, SupportViewing, User
from accounts.notifications import Event
from audit import log
from audit.actions import Action
from tracker import tenancy
from tracker.api import InvalidInput
from tracker.errors import DomainError, NotFound

MOST_HOURS = 72
LONGEST = timedelta(minutes=30)
LISTED = 50


class NoSupportAccess(DomainError):
    code = "no_support_access"
    status = 409
    message = "This person does not let support see their app. They can allow it in the app."


class ViewingOver(DomainError):
    code = "viewing_over"
    status = 403
    message = "This viewing is over. Begin another one, while the person allows it."


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person lets support see at present, and what was made of it."""

    access: SupportAccess | None
    viewings: list[SupportViewing]

    @property
    def is_allowed(self) -> bool:
        """Whether support may look just now."""
        return self.access is not None

    @property
    def given_at(self) -> datetime | None:
        """Since when, if at all."""
        return self.access.given_at if self.access else None

    @property
    def until(self) -> datetime | None:
        """Until when, if at all."""
        return self.access.until if self.access else None


# --- the person ---------------------------------------------------------------------------------
def give(*, user_id: UUID, hours: int, now: datetime) -> Standing:
    """Let support see for so many hours from now; given anew, that holds. Raises InvalidInput."""
    if not 1 <= hours <= MOST_HOURS:
        raise InvalidInput.of("hours", f"From 1 to {MOST_HOURS} hours.")
    with tenancy.as_user(user_id):
        _lock(user_id)
        _end_access(user_id, now)
        row = SupportAccess.objects.create(
            user_id=user_id, given_at=now, until=now + timedelta(hours=hours)
        )
        log.record(
            Action.SUPPORT_ACCESS_GIVEN, user_id=user_id, access_id=str(row.id),
            until=row.until.isoformat(),
        )  # fmt: skip
        _tell(user_id, "given", row.id, ends_at=row.until, now=now)
        return _standing(user_id, now)


def end(*, user_id: UUID, now: datetime) -> None:
    """Support sees nothing any more, at the next page that is asked for."""
    with tenancy.as_user(user_id):
        _lock(user_id)
        was_allowed = in_force(user_id=user_id, now=now) is not None
        _end_access(user_id, now)
        _end_viewings(now, user_id=user_id)
        if was_allowed:
            log.record(Action.SUPPORT_ACCESS_ENDED, user_id=user_id)


def standing(*, user_id: UUID, now: datetime) -> Standing:
    """What is allowed at present, and the newest viewings."""
    with tenancy.as_user(user_id):
        return _standing(user_id, now)


def _standing(user_id: UUID, now: datetime) -> Standing:
    rows = SupportViewing.objects.filter(user_id=user_id).order_by("-id")
    return Standing(in_force(user_id=user_id, now=now), list(rows[:LISTED]))


def in_force(*, user_id: UUID, now: datetime) -> SupportAccess | None:
    """The consent that holds now, if any. Call inside a tenancy context."""
    rows = SupportAccess.objects.filter(user_id=user_id, ended_at=None, until__gt=now)
    return rows.first()


# --- staff --------------------------------------------------------------------------------------
def begin(*, user_id: UUID, actor_id: UUID, reason: str, now: datetime) -> SupportViewing:
    """Look on, and tell the person; begun twice, the first goes on. Call inside ``as_system``.

    Raises NoSupportAccess, InvalidInput without a reason.
    """
    if not reason.strip():
        raise InvalidInput.of("reason", "Say why.", code="required")
    _lock(user_id)
    access = in_force(user_id=user_id, now=now)
    if access is None:
        raise NoSupportAccess
    if found := running(user_id=user_id, actor_id=actor_id, now=now):
        return found
    _end_viewings(now, user_id=user_id, actor_id=actor_id)
    row = SupportViewing.objects.create(
        user_id=user_id, access=access, actor_id=actor_id, reason=reason.strip(), began_at=now,
        ends_at=min(now + LONGEST, access.until),
    )  # fmt: skip
    log.record(
        Action.SUPPORT_VIEWING_BEGAN, user_id=user_id, actor_id=actor_id, viewing_id=str(row.id),
        reason=row.reason, ends_at=row.ends_at.isoformat(),
    )  # fmt: skip
    _tell(user_id, "viewing", row.id, ends_at=row.ends_at, now=now)
    return row


def running(*, user_id: UUID, actor_id: UUID, now: datetime) -> SupportViewing | None:
    """The viewing in which this member of staff is, if any. Call inside ``as_system``."""
    if in_force(user_id=user_id, now=now) is None:
        return None
    mine = SupportViewing.objects.filter(user_id=user_id, actor_id=actor_id, ended_at=None)
    return mine.filter(ends_at__gt=now, user__is_active=True).first()


def note_page(*, user_id: UUID, actor_id: UUID, page: str, now: datetime) -> SupportViewing:
    """One page is about to be shown: count it and write it down. Call inside ``as_system``.

    Raises ViewingOver.
    """
    row = running(user_id=user_id, actor_id=actor_id, now=now)
    if row is None:
        raise ViewingOver
    SupportViewing.objects.filter(id=row.id).update(pages=F("pages") + 1)
    log.record(
        Action.SUPPORT_VIEWED, user_id=user_id, actor_id=actor_id, viewing_id=str(row.id),
        page=page,
    )  # fmt: skip
    return row


def stop(*, user_id: UUID, actor_id: UUID, now: datetime) -> None:
    """This member of staff looks on no longer. Call inside ``as_system``. Raises ViewingOver."""
    if running(user_id=user_id, actor_id=actor_id, now=now) is None:
        raise ViewingOver
    _end_viewings(now, user_id=user_id, actor_id=actor_id)
    log.record(Action.SUPPORT_VIEWING_ENDED, user_id=user_id, actor_id=actor_id)


# --- parts --------------------------------------------------------------------------------------
def _lock(user_id: UUID) -> None:
    """The person's row orders what two do at once."""
    if not User.objects.select_for_update(no_key=True).filter(id=user_id).exists():
        raise NotFound


def _end_access(user_id: UUID, now: datetime) -> None:
    """Now, or when it ran out by itself; so that there is one at most."""
    rows = SupportAccess.objects.filter(user_id=user_id, ended_at=None)
    rows.update(ended_at=Least("until", Value(now)))


def _end_viewings(now: datetime, **whose: UUID) -> None:
    """Now, or when they ran out by themselves; so that another can begin."""
    rows = SupportViewing.objects.filter(**whose, ended_at=None)
    rows.update(ended_at=Least("ends_at", Value(now)))


def _tell(user_id: UUID, what: str, key: UUID, *, ends_at: datetime, now: datetime) -> None:
    notifications.notify(
        user_id=user_id, event=Event.SUPPORT_ACCESS, dedupe=f"{what}:{key}", now=now, what=what,
        ends_at=ends_at,
    )  # fmt: skip
