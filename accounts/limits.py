"""How much somebody is told within an hour; the rest is gathered into one message and not lost.

Of every clock hour the first so many messages go out by themselves, for each channel and each
phone or address. Those beyond are written as well, so that each is known and told once, but not
sent: at the end of the hour one message names them all. Two transactions at the same moment do
not see each other's messages and may send one or two more than that.

What quiet hours hold back is due all at once when they end, so of all that the same so many go out
then, and one message names the others.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from accounts import events
from accounts.events import Event, Urgency
from accounts.models import Delivery
from accounts.models.notifications import Channel

HOUR = timedelta(hours=1)
# Transactions that began before the hour was over have ended by then.
GRACE = timedelta(minutes=1)
MOST: Mapping[Urgency, Mapping[str, int]] = {
    Urgency.ALERT: {Channel.EMAIL: 6, Channel.PUSH: 12, Channel.LIVE: 120, Channel.WEBHOOK: 600},
    Urgency.SERVICE: {Channel.EMAIL: 10, Channel.PUSH: 20, Channel.LIVE: 120, Channel.WEBHOOK: 600},
}
TARGETS = ("device_id", "endpoint_id")  # of several phones or addresses, which one
HELD = Delivery.HeldBack.GATHERED
_FROM, _DUE = "gathered_from", "gathered_due"
_NIGHT = timedelta(days=1)  # the longest that quiet hours hold something back
QUIET = Delivery.HeldBack.QUIET_HOURS


def applied(rows: Sequence[Delivery], *, event: Event, now: datetime) -> list[Delivery]:
    """The rows to write instead of these, which are of one person and event."""
    most = MOST.get(events.urgency_of(event))
    if most is None or not rows:
        return list(rows)
    told = _told(rows[0], event, now)
    return [
        written
        for row in rows
        for written in ([row] if told[_way(row)] < most[row.channel] else _held(row, now))
    ]


def is_gathering(row: Delivery) -> bool:
    """Whether a message stands for others."""
    return _FROM in row.parameters


def gathered(row: Delivery) -> list[Delivery]:
    """The messages that this one stands for, in their order. Call inside ``as_user``."""
    since = datetime.fromisoformat(row.parameters[_FROM])
    found = Delivery.objects.filter(
        user_id=row.user_id, event=row.event, channel=row.channel, held_back=HELD
    ).order_by("id")
    if due := row.parameters.get(_DUE):
        found = found.filter(created_at__gte=since - _NIGHT, next_attempt_at=due)
    else:
        found = found.filter(created_at__gte=since, created_at__lt=since + HOUR)
    return [other for other in found if not is_gathering(other) and _way(other) == _way(row)]


def _told(row: Delivery, event: Event, now: datetime) -> Counter[tuple[str, ...]]:
    """How many messages went each way within this hour, of all events that share the limit."""
    since = _hour(now)
    found = Delivery.objects.filter(user_id=row.user_id, event__in=events.alike(event)).exclude(
        held_back=HELD
    )
    if row.held_back == QUIET:
        found = found.filter(
            created_at__gte=now - _NIGHT, held_back=QUIET, next_attempt_at=row.next_attempt_at
        )
    else:
        found = found.filter(created_at__gte=since, created_at__lt=since + HOUR)
    columns = ("channel", *(f"parameters__{name}" for name in TARGETS))
    return Counter(tuple(map(_text, way)) for way in found.values_list(*columns))


def _held(row: Delivery, now: datetime) -> Iterable[Delivery]:
    """The message, written and not sent, and the one that will name it."""
    is_quiet, since = row.held_back == QUIET, _hour(now)
    row.state, row.held_back = Delivery.State.DROPPED, HELD
    row.sent_at = None
    target = {name: row.parameters[name] for name in TARGETS if name in row.parameters}
    due = max(since + HOUR + GRACE, row.next_attempt_at)
    facts = {_FROM: since.isoformat()} | target
    if is_quiet:
        due = row.next_attempt_at + GRACE
        facts |= {_FROM: row.next_attempt_at.isoformat(), _DUE: row.next_attempt_at.isoformat()}
    when = f"{row.next_attempt_at:%Y-%m-%dT%H:%M}" if is_quiet else f"{since:%Y-%m-%dT%H}"
    key = ":".join(["gathered", row.event, when, *target.values()])
    yield row
    yield Delivery(
        user_id=row.user_id, event=row.event, channel=row.channel, dedupe_key=key, created_at=now,
        next_attempt_at=due, held_back=HELD, parameters=facts,
    )  # fmt: skip


def _way(row: Delivery) -> tuple[str, ...]:
    return (row.channel, *(_text(row.parameters.get(name)) for name in TARGETS))


def _text(value: Any) -> str:
    return str(value or "")


def _hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)
