"""What people are told, by which channels, and that it will be told.

``notify`` writes rows in the transaction of the act itself, so that no message is lost and none
goes out for what did not happen; ``accounts.delivery`` sends them.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from celery import current_app
from django.db import transaction

from accounts.models import Delivery, NotificationChoice, PushDevice, Session, User
from accounts.models.notifications import Channel
from audit import log
from audit.actions import Action
from tracker import tenancy
from tracker.api import InvalidInput

SEND_TASK = "accounts.tasks.send_delivery"
_LONGEST_KEY = 128


class Event(StrEnum):
    """Something that a person is told. A name is that of its templates, too."""

    CONFIRM_EMAIL = "confirm_email"
    ALREADY_REGISTERED = "already_registered"
    WELCOME = "welcome"
    CONFIRM_NEW_EMAIL = "confirm_new_email"
    EMAIL_CHANGE_ANNOUNCED = "email_change_announced"
    PASSWORD_RESET = "password_reset"  # noqa: S105
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    SECOND_FACTOR_CHANGED = "second_factor_changed"
    SECURITY_ALERT = "security_alert"
    EXPORT_READY = "export_ready"
    ACCOUNT_CLOSING = "account_closing"
    ACCOUNT_CLOSED = "account_closed"
    API_KEY_CREATED = "api_key_created"
    CONNECTION_STOPPED = "connection_stopped"
    SYNC_INCOMPLETE = "sync_incomplete"
    PLAN_CHANGED = "plan_changed"
    PAYMENT_FAILED = "payment_failed"
    PAYMENT_WITHDRAWN = "payment_withdrawn"
    USAGE_WARNING = "usage_warning"
    FILE_EXPORT_READY = "file_export_ready"
    FILE_EXPORT_FAILED = "file_export_failed"


class Rule(StrEnum):
    """Whether an event goes by a channel."""

    ALWAYS = "always"
    ON = "on"
    OFF = "off"
    NEVER = "never"

    @property
    def locked(self) -> bool:
        return self in (Rule.ALWAYS, Rule.NEVER)

    @property
    def default(self) -> bool:
        return self in (Rule.ALWAYS, Rule.ON)


# Who took an account over must not be able to silence what says so: these e-mails always go.
_BY_EMAIL_ALONE = {Channel.EMAIL: Rule.ALWAYS, Channel.PUSH: Rule.NEVER}
_PUSH_AS_WELL = {Channel.EMAIL: Rule.ALWAYS, Channel.PUSH: Rule.ON}
_BOTH_BY_CHOICE = {Channel.EMAIL: Rule.ON, Channel.PUSH: Rule.ON}
RULES: Mapping[Event, Mapping[Channel, Rule]] = {
    Event.CONFIRM_EMAIL: _BY_EMAIL_ALONE,
    Event.ALREADY_REGISTERED: _BY_EMAIL_ALONE,
    Event.WELCOME: _BY_EMAIL_ALONE,
    Event.CONFIRM_NEW_EMAIL: _BY_EMAIL_ALONE,
    Event.EMAIL_CHANGE_ANNOUNCED: _PUSH_AS_WELL,
    Event.PASSWORD_RESET: _BY_EMAIL_ALONE,
    Event.PASSWORD_CHANGED: _PUSH_AS_WELL,
    Event.SECOND_FACTOR_CHANGED: _PUSH_AS_WELL,
    Event.SECURITY_ALERT: _BOTH_BY_CHOICE,
    Event.EXPORT_READY: _BOTH_BY_CHOICE,
    Event.ACCOUNT_CLOSING: _PUSH_AS_WELL,
    Event.ACCOUNT_CLOSED: _BY_EMAIL_ALONE,
    Event.API_KEY_CREATED: _PUSH_AS_WELL,
    Event.CONNECTION_STOPPED: _BOTH_BY_CHOICE,
    Event.SYNC_INCOMPLETE: _BOTH_BY_CHOICE,
    Event.PLAN_CHANGED: _PUSH_AS_WELL,
    Event.PAYMENT_FAILED: _PUSH_AS_WELL,
    Event.PAYMENT_WITHDRAWN: _PUSH_AS_WELL,
    Event.USAGE_WARNING: _BOTH_BY_CHOICE,
    Event.FILE_EXPORT_READY: _BOTH_BY_CHOICE,
    Event.FILE_EXPORT_FAILED: _BOTH_BY_CHOICE,
}


# --- telling ------------------------------------------------------------------------------------
def notify(
    *,
    user_id: UUID,
    event: Event,
    dedupe: str,
    now: datetime,
    address: str = "",
    channels: Iterable[Channel] = tuple(Channel),
    always: Iterable[Channel] = (),
    **parameters: Any,
) -> list[UUID]:
    """Write what one person is to be told, in the caller's transaction; returns the new rows.

    The same event with the same ``dedupe`` is told once. ``address`` is for e-mail that does not
    go to the person's own address of the moment. ``channels`` narrows what preferences allow,
    ``always`` sets them aside. ``parameters`` are stored: ids and names, never a secret.
    """
    wanted = _wanted(user_id, event) | set(always)
    rows = []
    if Channel.EMAIL in wanted & set(channels):
        rows.append(_row(user_id, event, Channel.EMAIL, dedupe, now, parameters, address=address))
    if Channel.PUSH in wanted & set(channels):
        rows += [
            _row(user_id, event, Channel.PUSH, f"{dedupe}:{device_id}", now,
                 parameters | {"device_id": device_id})
            for device_id in reachable_devices(user_id, now).values_list("id", flat=True)
        ]  # fmt: skip
    Delivery.objects.bulk_create(rows, ignore_conflicts=True)
    written = _those_written(rows)
    enqueue_on_commit(written)
    return written


def enqueue_on_commit(delivery_ids: Sequence[UUID]) -> None:
    """Have them sent as soon as the caller's transaction stands; the sweeper finds the others."""
    if delivery_ids:
        transaction.on_commit(lambda: enqueue(delivery_ids), robust=True)


def enqueue(delivery_ids: Iterable[UUID]) -> None:
    """Have them sent now. By name: the task calls this module, which cannot import it."""
    for key in delivery_ids:
        current_app.send_task(SEND_TASK, kwargs={"delivery_id": str(key)})


def reachable_devices(user_id: UUID, now: datetime) -> Any:
    """A person's devices that may be pushed to: of running sessions, and not refused by Expo."""
    running = Session.objects.filter(user_id=user_id, ended_at=None, expires_at__gt=now)
    return PushDevice.objects.filter(
        user_id=user_id, refused_at=None, session_id__in=running.values("id")
    )


def _wanted(user_id: UUID, event: Event) -> set[Channel]:
    chosen = dict(
        NotificationChoice.objects.filter(user_id=user_id, event=event).values_list(
            "channel", "enabled"
        )
    )
    return {
        channel
        for channel, rule in RULES[event].items()
        if (rule.default if rule.locked else chosen.get(channel, rule.default))
    }


def _row(
    user_id: UUID, event: Event, channel: Channel, dedupe: str, now: datetime,
    parameters: Mapping[str, Any], *, address: str = "",
) -> Delivery:  # fmt: skip
    return Delivery(
        user_id=user_id, event=event, channel=channel, address=address,
        dedupe_key=_dedupe_key(event, dedupe), created_at=now, next_attempt_at=now,
        parameters={name: _plain(value) for name, value in parameters.items()},
    )  # fmt: skip


def _those_written(rows: list[Delivery]) -> list[UUID]:
    """Without the rows whose message had been written before."""
    keys = [row.id for row in rows]
    return list(Delivery.objects.filter(id__in=keys).order_by("id").values_list("id", flat=True))


def _dedupe_key(event: Event, dedupe: str) -> str:
    key = f"{event}:{dedupe}"
    return key if len(key) <= _LONGEST_KEY else hashlib.sha256(key.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return str(value) if isinstance(value, (UUID, StrEnum)) else value


# --- choosing -----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Cell:
    """One place of the table event × channel."""

    event: Event
    channel: Channel
    enabled: bool
    locked: bool


def table_of(user_id: UUID) -> list[Cell]:
    """Every event by every channel, as it stands for a person. Call inside ``as_user``."""
    rows = NotificationChoice.objects.filter(user_id=user_id)
    chosen = {(row.event, row.channel): row.enabled for row in rows}
    return [
        Cell(
            event, channel, locked=rule.locked,
            enabled=rule.default if rule.locked else chosen.get((event, channel), rule.default),
        )
        for event, rules in RULES.items()
        for channel, rule in rules.items()
    ]  # fmt: skip


def choose(*, user_id: UUID, wanted: Mapping[tuple[Event, Channel], bool]) -> list[Cell]:
    """Set cells of the table; returns all of it. Raises InvalidInput for one that is locked."""
    with tenancy.as_user(user_id):
        # The person's row orders two changes at once.
        User.objects.select_for_update(no_key=True).get(id=user_id)
        now_set = {(cell.event, cell.channel): cell for cell in table_of(user_id)}
        changed = {key: on for key, on in wanted.items() if now_set[key].enabled != on}
        for event, channel in changed:
            if now_set[event, channel].locked:
                text = f"“{event}” by {channel} cannot be changed."
                raise InvalidInput.of("choices", text, code="locked")
        if changed:
            _store_choices(user_id, changed)
        return table_of(user_id)


def _store_choices(user_id: UUID, changed: Mapping[tuple[Event, Channel], bool]) -> None:
    NotificationChoice.objects.bulk_create(
        [
            NotificationChoice(user_id=user_id, event=event, channel=channel, enabled=on)
            for (event, channel), on in changed.items()
        ],
        update_conflicts=True, unique_fields=["user", "event", "channel"],
        update_fields=["enabled"],
    )  # fmt: skip
    log.record(
        Action.NOTIFICATIONS_CHANGED, user_id=user_id,
        changed={f"{event} by {channel}": on for (event, channel), on in changed.items()},
    )  # fmt: skip
