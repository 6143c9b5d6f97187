"""Who was there and what they used: counted while requests come in, rolled up by day.

``touch`` writes at most one row per session and five minutes, and says to which features it went;
a request that finds its feature counted already writes nothing.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connection, transaction
from django.db.models import Min

from audit.models import SessionActivity
from audit.sentences import BY_ANYBODY, BY_SYSTEM
from tracker import tenancy
from tracker.logs import get_logger

log = get_logger(__name__)
BUCKET = timedelta(minutes=5)
REMEMBERED = 20_000  # sessions × features per process


@dataclass(frozen=True, slots=True)
class LastSeen:
    """When a session was last in use, to five minutes, and from where."""

    at: datetime
    ip_address: str | None


# --- counting -----------------------------------------------------------------------------------
class _Counted:
    """What this process has counted in the present five minutes; forgets the oldest first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._buckets: OrderedDict[tuple[UUID, str], datetime] = OrderedDict()
        self._lock = threading.Lock()

    def first(self, session_id: UUID, feature: str, bucket: datetime) -> bool:
        """Whether this is the first time in its five minutes; notes it."""
        key = (session_id, feature)
        with self._lock:
            if self._buckets.get(key) == bucket:
                return False
            self._buckets[key] = bucket
            self._buckets.move_to_end(key)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
            return True

    def clear(self) -> None:
        with self._lock:
            self._buckets.clear()


_counted = _Counted(REMEMBERED)

_TOUCH = """
    INSERT INTO session_activity AS known
        (session_id, bucket_at, user_id, last_at, ip_address, features)
    VALUES (%(session)s, %(bucket)s, %(user)s, %(now)s, %(address)s, ARRAY[%(feature)s])
    ON CONFLICT (session_id, bucket_at) DO UPDATE SET
        last_at = greatest(known.last_at, excluded.last_at),
        ip_address = CASE WHEN excluded.last_at >= known.last_at
                          THEN coalesce(excluded.ip_address, known.ip_address)
                          ELSE known.ip_address END,
        features = CASE WHEN known.features @> excluded.features THEN known.features
                        ELSE known.features || excluded.features END
"""


def touch(
    *, user_id: UUID, session_id: UUID, feature: str, ip_address: str | None, now: datetime
) -> None:
    """Count that a session uses a feature. Never raises: a request does not fail for a counter.

    ``session_id`` is the id of an API key where a key is used instead of a session.
    """
    bucket, feature = bucket_of(now), feature[:32]
    if not _counted.first(session_id, feature, bucket):
        return
    parameters = {
        "session": session_id, "bucket": bucket, "user": user_id, "now": now,
        "address": ip_address, "feature": feature,
    }  # fmt: skip
    try:
        # Inside an open transaction a savepoint keeps a failure from spoiling what it is for.
        with transaction.atomic() if connection.in_atomic_block else nullcontext():
            tenancy.write_as_user(user_id, _TOUCH, parameters)
    except (DatabaseError, tenancy.TenancyError) as error:
        log.warning("metrics.touch_failed", error=type(error).__name__)


def bucket_of(instant: datetime) -> datetime:
    """The beginning of the five minutes in which an instant lies."""
    return instant - timedelta(
        minutes=instant.minute % 5, seconds=instant.second, microseconds=instant.microsecond
    )


def feature_of(route: str) -> str:
    """The feature that a route belongs to: its first segment that names something.

    ``api/v1/connections/<uuid:id>`` → ``connections``. Routes are ours, so there are few.
    """
    parts = route.removeprefix("/").removeprefix("api/v1/").split("/")
    return parts[0][:32] or "api"


# --- when a session was last there --------------------------------------------------------------
_LAST_SEEN = """
    SELECT DISTINCT ON (session_id) session_id, last_at, host(ip_address)
    FROM session_activity
    WHERE user_id = %(user)s AND session_id = ANY(%(sessions)s)
    ORDER BY session_id, bucket_at DESC
"""


def last_seen(user_id: UUID, session_ids: Iterable[UUID]) -> dict[UUID, LastSeen]:
    """When and from where a person's sessions (or API keys) were last used; absent if never.

    Under the identity in force, or the person's own where there is none.
    """
    known = nullcontext() if tenancy.current().system else tenancy.as_user(user_id)
    with known, connection.cursor() as cursor:
        cursor.execute(_LAST_SEEN, {"user": user_id, "sessions": list(session_ids)})
        return {session: LastSeen(at, address) for session, at, address in cursor.fetchall()}


# --- the day ------------------------------------------------------------------------------------
_ROLL_UP = """
    WITH seen AS (
        SELECT user_id, bucket_at, unnest(features) AS feature FROM session_activity
        WHERE bucket_at >= %(start)s AND bucket_at < %(end)s
    ), acts AS (
        SELECT user_id, split_part(action, '.', 1) AS feature, count(*) AS times,
               (ip_address IS NOT NULL OR session_id IS NOT NULL)
               AND (actor_id IS NULL OR actor_id = user_id)
               AND outcome = 'ok' AND action <> ALL (%(not_theirs)s) AS own
        FROM activity_logs
        WHERE created_at >= %(start)s AND created_at < %(end)s AND user_id IS NOT NULL
        GROUP BY 1, 2, 4
    ), uses AS (
        SELECT user_id, feature, count(DISTINCT bucket_at) AS times FROM seen GROUP BY 1, 2
        UNION ALL
        SELECT user_id, feature, times FROM acts WHERE own
    ), features AS (
        SELECT user_id, jsonb_object_agg(feature, times) AS used
        FROM (SELECT user_id, feature, sum(times) AS times FROM uses GROUP BY 1, 2) AS added
        GROUP BY user_id
    ), spans AS (
        SELECT user_id, count(DISTINCT bucket_at) * %(span)s AS present FROM seen GROUP BY user_id
    ), people AS (
        SELECT user_id FROM seen UNION SELECT user_id FROM acts
    )
    INSERT INTO user_metrics
        (user_id, date, daily_active, features_used, session_duration, rolled_up_at)
    SELECT people.user_id, %(day)s, used IS NOT NULL, coalesce(used, '{}'),
           coalesce(present, interval '0'), %(now)s
    FROM people
    JOIN users ON users.id = people.user_id
    LEFT JOIN features ON features.user_id = people.user_id
    LEFT JOIN spans ON spans.user_id = people.user_id
    ON CONFLICT (user_id, date) DO UPDATE SET
        daily_active = excluded.daily_active, features_used = excluded.features_used,
        session_duration = excluded.session_duration, rolled_up_at = excluded.rolled_up_at
"""


def roll_up(day: date, *, now: datetime) -> int:
    """Write everybody's day (UTC) by one statement; returns how many people. Safe to run again.

    Somebody is active who used a session or a key, or did something themselves; what the program
    or support did for them makes a row, but nobody active. A feature counts once for each five
    minutes in which it was read, and once for each act. Time in the app is the number of five
    minutes in which any of a person's devices was used, times five minutes; two devices at once
    count once.
    """
    start = datetime.combine(day, time.min, UTC)
    parameters: dict[str, Any] = {
        "start": start, "end": start + timedelta(days=1), "day": day, "now": now, "span": BUCKET,
        "not_theirs": [str(action) for action in BY_ANYBODY | BY_SYSTEM],
    }  # fmt: skip
    with tenancy.as_system("roll up metrics"), connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64MB'")
        cursor.execute(_ROLL_UP, parameters)
        return cursor.rowcount


def roll_up_recent(*, now: datetime) -> int:
    """The running day, and yesterday too: an outage may have lasted over midnight."""
    return sum(roll_up(now.date() - timedelta(days=ago), now=now) for ago in (1, 0))


def oldest_day() -> date | None:
    """The first day whose counters are all still there; earlier days cannot be rolled up anew."""
    with tenancy.as_system("metrics"):
        oldest = SessionActivity.objects.aggregate(first=Min("bucket_at"))["first"]
    return oldest.date() if oldest else None
