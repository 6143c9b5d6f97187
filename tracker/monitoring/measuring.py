"""Measures each part of the service, each minute, from what we store ourselves.

What counts as works, works in part, does not work:

- **API**: the share of its calls that ended in an error of ours; from 5 % in part, from half not.
  A minute without calls counts as good when a web process said that it is alive, else not at all.
- **an exchange**: its circuit, then the share of visits that failed in five minutes; from 10 % in
  part, from half not; also in part when a fifth of its accounts are late (``exchanges.lateness``).
- **prices**: in how many of the sources asked the freshest price is younger than 15 minutes.
- **billing**: how long the oldest message of Stripe's has waited, and when all was last compared.

Fewer than three of anything prove nothing.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import redis
from django.conf import settings
from django.db import connection
from django.db.models import Min

from audit import measurements, status_copy
from audit.actions import Action
from audit.measurements import MINUTE, Reading
from audit.models import ActivityLog, Health
from audit.service_levels import API, BILLING, PRICES, SYNC
from billing.models import StripeEvent
from exchanges import circuits, lateness
from exchanges.circuits import Circuit
from exchanges.gateway.errors import (
    AddressNotAllowed,
    KeyTooPowerful,
    MissingPermission,
    WrongKey,
)
from portfolios.models import SyncState
from tracker import tenancy
from tracker.monitoring import requests
from tracker.monitoring.requests import Minute

FEW = 3
SETTLED = timedelta(seconds=5)  # after which what processes counted in a minute is written
MADE_UP_FOR = 1440  # minutes that are measured afterwards, when nobody could
VISITS = timedelta(minutes=5)
EVENT_LATE, EVENT_LOST = timedelta(minutes=10), timedelta(hours=2)
COMPARED_LATE = timedelta(hours=3)  # reconciling runs hourly


def measure(*, now: datetime) -> int:
    """Measure the last whole minute, keep it, and make the public copy anew. Idempotent."""
    minute = measurements.minute_of(now - SETTLED) - MINUTE
    counted = _counted(minute)  # asks Redis: no transaction is open
    with tenancy.as_system("measure the service"):
        found = [*api(counted), *syncs(minute, now), *prices(minute, now), *billing(minute, now)]
        kept = measurements.record(found, now=now)
    status_copy.publish(now=now)
    return kept


# --- API ----------------------------------------------------------------------------------------
def _counted(minute: datetime) -> dict[datetime, Minute]:
    """What was counted in this minute, and in those before it that nobody measured. Without Redis
    nothing: it is made up for later."""
    with tenancy.as_system("measure the service"):
        known = measurements.measured_minutes(API, since=minute - MADE_UP_FOR * MINUTE)
    lately = (minute - n * MINUTE for n in range(MADE_UP_FOR))
    try:
        return requests.of_minutes(at for at in lately if at not in known)
    except (redis.RedisError, OSError):
        return {}


def api(counted: Mapping[datetime, Minute]) -> list[Reading]:
    """The API in each minute of which anything is known."""
    return [
        Reading(
            API, "API", at, _of_share(row.failed, row.total, partly=20),
            good=row.total - row.failed, total=row.total,
        )
        for at, row in counted.items() if row.alive
    ]  # fmt: skip


def _of_share(failed: int, total: int, *, partly: int) -> Health:
    """Down from a half, degraded from one in ``partly``, and only when at least three failed."""
    if failed < FEW:
        return Health.UP
    if failed * 2 >= total:
        return Health.DOWN
    return Health.DEGRADED if failed * partly >= total else Health.UP


# --- accounts of each exchange ------------------------------------------------------------------
_OF_KEYS = (WrongKey, MissingPermission, KeyTooPowerful, AddressNotAllowed)
# Ids grow with time, so those of the last minutes are the end of the primary key's index.
_VISITS = """
SELECT c.exchange_id, count(*), count(*) FILTER (WHERE r.state = %(failed)s)
FROM sync_runs r JOIN exchange_connections c ON c.id = r.connection_id AND c.user_id = r.user_id
WHERE r.id >= %(first)s AND r.requested_at >= %(since)s AND r.finished_at IS NOT NULL
  AND r.error <> ALL (%(of_keys)s)
GROUP BY c.exchange_id
"""


def visits(*, now: datetime) -> dict[str, tuple[int, int]]:
    """Visits that ended, of those begun in the last five minutes, and how many of them failed.

    What a person's own key made impossible says nothing of the exchange, and is left out.
    """
    since = now - VISITS
    parameters = {
        "since": since, "first": UUID(int=int(since.timestamp() * 1000) << 80),
        "failed": SyncState.FAILED, "of_keys": [error.code for error in _OF_KEYS],
    }  # fmt: skip
    return {exchange: (ended, failed) for exchange, ended, failed in _rows(_VISITS, parameters)}


def syncs(minute: datetime, now: datetime) -> list[Reading]:
    """One reading for each exchange of which accounts are read."""
    standing, ended = circuits.standing(now=now), visits(now=now)
    return [
        Reading(
            f"{SYNC}{pace.exchange}", pace.name, minute,
            _of_exchange(pace, standing.get(pace.exchange), ended.get(pace.exchange, (0, 0))),
            good=pace.in_time, total=pace.accounts, position=30,
        )
        for pace in lateness.counts(now=now)
    ]  # fmt: skip


def _of_exchange(pace: lateness.Count, circuit: Circuit | None, ended: tuple[int, int]) -> Health:
    if circuit == Circuit.OPEN:
        return Health.DOWN
    total, failed = ended
    found = _of_share(failed, total, partly=10)
    late = pace.accounts - pace.in_time
    partly = circuit == Circuit.HALF_OPEN or (late >= FEW and late * 5 >= pace.accounts)
    return Health.DEGRADED if found == Health.UP and partly else found


# --- prices -------------------------------------------------------------------------------------
_FRESHEST = """
SELECT split_part(source, ':', 1), max(fetched_at) FROM prices
WHERE split_part(source, ':', 1) = ANY(%(sources)s) GROUP BY 1
"""


def price_ages(*, now: datetime) -> dict[str, timedelta]:
    """How old the freshest price of each source is; a source that never gave one is left out."""
    found = _rows(_FRESHEST, {"sources": list(settings.PRICE_EXCHANGES)})
    return {source: now - at for source, at in found}


def prices(minute: datetime, now: datetime) -> list[Reading]:
    """Of the sources that ever gave a price, those whose freshest is fresh; none before the
    first."""
    ages = price_ages(now=now)
    fresh = sum(age <= settings.PRICE_STALE_AFTER for age in ages.values())
    if not ages:
        return []
    health = Health.UP if fresh == len(ages) else Health.DEGRADED if fresh else Health.DOWN
    return [Reading(PRICES, "Prices", minute, health, fresh, len(ages), position=10)]


# --- billing ------------------------------------------------------------------------------------
def oldest_event(*, now: datetime) -> timedelta | None:
    """For how long the oldest message of Stripe's waits to be processed; none when none waits."""
    waiting = StripeEvent.objects.filter(next_attempt_at__isnull=False)
    at = waiting.aggregate(oldest=Min("received_at"))["oldest"]
    return now - at if at else None


def _compared_lately(now: datetime) -> bool:
    since = ActivityLog.objects.filter(created_at__gte=now - COMPARED_LATE)
    return since.filter(action=Action.BILLING_RECONCILED).exists()


def billing(minute: datetime, now: datetime) -> Iterable[Reading]:
    """Nothing where nothing is sold."""
    if not settings.STRIPE_API_KEY:
        return []
    age = oldest_event(now=now) or timedelta(0)
    health = Health.UP
    if age > EVENT_LOST:
        health = Health.DOWN
    elif age > EVENT_LATE or not _compared_lately(now):
        health = Health.DEGRADED
    good = int(health == Health.UP)
    return [Reading(BILLING, "Payments", minute, health, good, 1, position=20)]


def _rows(statement: str, parameters: dict[str, Any]) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()
