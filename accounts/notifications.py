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

from accounts import events, limits, notification_settings, webhooks
from accounts.events import RULES, Event, Rule, Urgency
from accounts.models import Delivery, NotificationChoice, PushDevice, Session, User
from accounts.models.notifications import Channel
from audit import log
from audit.actions import Action
from tracker import live, tenancy
from tracker.api import InvalidInput

__all__ = ["RULES", "Event", "Rule", "choose", "notify", "table_of"]
SEND_TASK = "accounts.tasks.send_delivery"
_LONGEST_KEY = 128
State = Delivery.State


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
    """Write what one person is to be told, in the caller's transaction; returns the new rows that
    are to be sent (notices in the app are there as they are written).

    The same event with the same ``dedupe`` is told once. ``address`` is for e-mail that does not
    go to the person's own address of the moment. ``channels`` narrows what preferences allow,
    ``always`` sets them aside. ``parameters`` are stored: ids and names, never a secret.
    """
    wanted = (_wanted(user_id, event) | set(always)) & set(channels)
    rows = [
        _row(user_id, event, channel, ":".join([dedupe, *target.values()]), now,
             parameters | target, address=address if channel == Channel.EMAIL else "")
        for channel in Channel if channel in wanted
        for target in _targets(user_id, channel, now)
    ]  # fmt: skip
    if events.urgency_of(event) != Urgency.SECURITY:
        _leave_in_peace(rows, user_id, now)
    rows = limits.applied(rows, event=event, now=now)
    Delivery.objects.bulk_create(rows, ignore_conflicts=True)
    written = _those_written(rows)
    _show_at_once(written)
    waiting = [row for row in written if row.state == State.WAITING]
    enqueue_on_commit([row.id for row in waiting if row.next_attempt_at <= now])
    return [row.id for row in waiting]


def _targets(user_id: UUID, channel: Channel, now: datetime) -> list[dict[str, str]]:
    """Which phones or addresses a channel has, one message each; others have just one way."""
    if channel == Channel.PUSH:
        found = reachable_devices(user_id, now).values_list("id", flat=True)
        return [{"device_id": str(device_id)} for device_id in found]
    if channel == Channel.WEBHOOK:
        return [{"endpoint_id": str(key)} for key in webhooks.reachable(user_id, now)]
    return [{}]


def _leave_in_peace(rows: Iterable[Delivery], user_id: UUID, now: datetime) -> None:
    """What makes a sound waits until the person's quiet hours are over."""
    held = notification_settings.quiet_hours(user_id)
    for row in rows:
        if held and row.channel in (Channel.EMAIL, Channel.PUSH):
            row.next_attempt_at = held.over(now)
            row.held_back = "" if row.next_attempt_at == now else Delivery.HeldBack.QUIET_HOURS


def _show_at_once(rows: Iterable[Delivery]) -> None:
    """Tell the devices that are open now of new notices."""
    for row in rows:
        if row.channel == Channel.LIVE and row.state == State.SENT:
            announce(row)


def announce(row: Delivery) -> None:
    """Tell a person's open devices of a notice; by its id, because Redis is told no texts."""
    live.publish(user_id=row.user_id, topic=live.NOTICE, payload={"delivery": str(row.id)})


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


def is_wanted(user_id: UUID, event: Event) -> bool:
    """Whether a person is told of this at all. Call inside an identity that may read it."""
    return bool(_wanted(user_id, event))


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
    there = {"state": State.SENT, "sent_at": now} if channel == Channel.LIVE else {}
    return Delivery(
        user_id=user_id, event=event, channel=channel, address=address,
        dedupe_key=_dedupe_key(event, dedupe), created_at=now, next_attempt_at=now,
        parameters={name: _plain(value) for name, value in parameters.items()}, **there,
    )  # fmt: skip


def _those_written(rows: list[Delivery]) -> list[Delivery]:
    """Without the rows whose message had been written before."""
    keys = Delivery.objects.filter(id__in=[row.id for row in rows]).values_list("id", flat=True)
    found = set(keys)
    return [row for row in rows if row.id in found]


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


def choose(
    *, user_id: UUID, wanted: Mapping[tuple[Event, Channel], bool], reason: str = ""
) -> list[Cell]:
    """Set cells of the table; returns all of it. Raises InvalidInput for one that is locked.

    ``reason`` goes into the log: what else than the person in the app it was.
    """
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
            _store_choices(user_id, changed, reason)
        return table_of(user_id)


def _store_choices(
    user_id: UUID, changed: Mapping[tuple[Event, Channel], bool], reason: str
) -> None:
    NotificationChoice.objects.bulk_create(
        [
            NotificationChoice(user_id=user_id, event=event, channel=channel, enabled=on)
            for (event, channel), on in changed.items()
        ],
        update_conflicts=True, unique_fields=["user", "event", "channel"],
        update_fields=["enabled"],
    )  # fmt: skip
    details: dict[str, Any] = {"by": reason} if reason else {}
    details["changed"] = {f"{event} by {channel}": on for (event, channel), on in changed.items()}
    log.record(Action.NOTIFICATIONS_CHANGED, user_id=user_id, **details)
