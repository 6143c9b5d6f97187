"""Noticing that an exchange has begun to answer in another shape: counted, and told once.

What is counted stands in the quarantine itself; nothing is kept beside it that could disagree.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import log10
from typing import Any

from django.conf import settings
from django.db import connection as database

from audit import alerts
from audit.models import SecurityAlert
from audit.models.alerts import Severity
from tracker import tenancy

KIND = "exchange.schema_drift"
QUIET = timedelta(days=1)  # what was told is told again after this …
GROWTH = 10  # … or when so many times as many accounts are struck
_REASONS = 3  # named in an alarm


@dataclass(frozen=True, slots=True)
class Count:
    """What waits in quarantine for one reason: how much, of how many accounts, since when."""

    exchange: str
    feed: str
    reason: str
    ccxt_version: str
    rows: int
    accounts: int
    too_large: int
    first_at: datetime
    last_at: datetime


_COUNTS = """
    SELECT c.exchange_id, q.feed, q.reason, q.ccxt_version, sum(q.rows)::bigint, count(*),
           sum(q.too_large)::bigint, min(q.first_at), max(q.last_at)
    FROM (
        -- by account first: counting different accounts needs no sort of all rows then
        SELECT connection_id, feed, reason, ccxt_version, count(*) AS rows,
               count(*) FILTER (WHERE NOT is_whole) AS too_large,
               min(created_at) AS first_at, max(created_at) AS last_at
        FROM quarantined_pages GROUP BY 1, 2, 3, 4
    ) q JOIN exchange_connections c ON c.id = q.connection_id
    GROUP BY 1, 2, 3, 4 ORDER BY 6 DESC, 5 DESC, 1, 2, 3, 4
"""


def counts() -> list[Count]:
    """Everything that waits, by exchange, feed, reason and ccxt's release; the widest first.

    Call inside ``as_system``.
    """
    with database.cursor() as cursor:
        cursor.execute(_COUNTS)
        return [Count(*row) for row in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Drift:
    """A feed of an exchange whose rows began to fail for several accounts."""

    exchange: str
    feed: str
    accounts: int
    rows: int
    reasons: tuple[str, ...]


_FRESH = """
    SELECT c.exchange_id, q.feed, count(DISTINCT q.connection_id), count(*),
           array_agg(DISTINCT q.reason)
    FROM quarantined_pages q JOIN exchange_connections c ON c.id = q.connection_id
    WHERE q.created_at > %s GROUP BY 1, 2 HAVING count(DISTINCT q.connection_id) >= %s
    ORDER BY 1, 2
"""


def watch(*, now: datetime) -> int:
    """Tell operators of every feed that began to fail; returns how many alarms that made.

    Told once: again when ten times as many accounts are struck, or after a day. Two at once tell
    it once.
    """
    with tenancy.as_system("watch the quarantine"):
        return sum(_tell(drift, now) for drift in _drifts(now))


def _drifts(now: datetime) -> Iterable[Drift]:
    since = now - settings.QUARANTINE_ALARM_WITHIN
    with database.cursor() as cursor:
        cursor.execute(_FRESH, [since, settings.QUARANTINE_ALARM_ACCOUNTS])
        for exchange, feed, accounts, rows, reasons in cursor.fetchall():
            yield Drift(exchange, feed, accounts, rows, tuple(sorted(reasons)[:_REASONS]))


def _tell(drift: Drift, now: datetime) -> bool:
    if drift.accounts < _told_of(drift, now) * GROWTH:
        return False
    magnitude = int(log10(drift.accounts))
    alert = alerts.raise_alert(
        kind=KIND, severity=_severity(drift), user_id=None, evidence=_evidence(drift), now=now,
        dedupe=f"{drift.exchange}:{drift.feed}:{now:%Y-%m-%dT%H}:{magnitude}",
    )  # fmt: skip
    return alert is not None


def _told_of(drift: Drift, now: datetime) -> int:
    """The most accounts that operators were told of within a day; 0 when of none."""
    told = SecurityAlert.objects.filter(
        kind=KIND, created_at__gt=now - QUIET, user=None, evidence__exchange=drift.exchange,
        evidence__feed=drift.feed,
    )  # fmt: skip
    return max((row["accounts"] for row in told.values_list("evidence", flat=True)), default=0)


def _severity(drift: Drift) -> str:
    wide = drift.accounts >= GROWTH * settings.QUARANTINE_ALARM_ACCOUNTS
    return Severity.HIGH if wide else Severity.MEDIUM


def _evidence(drift: Drift) -> dict[str, Any]:
    return {
        "exchange": drift.exchange, "feed": drift.feed, "accounts": drift.accounts,
        "rows": drift.rows, "reasons": list(drift.reasons),
        "minutes": int(settings.QUARANTINE_ALARM_WITHIN.total_seconds() // 60),
    }  # fmt: skip
