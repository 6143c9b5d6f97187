"""The alerts on prices as the watcher holds them, read for the whole fleet."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from portfolios.alerting.ladders import Watched
from tracker import tenancy

_ALERTS = """
SELECT alerts.id, alerts.user_id, alerts.kind, alerts.asset_id, alerts.currency, alerts.direction,
       alerts."window", alerts.threshold, alerts.hysteresis, alerts.repeats, alerts.armed,
       alerts.state = 'active' AND users.is_active, alerts.updated_at
FROM price_alerts AS alerts JOIN users ON users.id = alerts.user_id
WHERE alerts.asset_id IS NOT NULL AND {which}
"""
_EVERYTHING = _ALERTS.format(which="alerts.state = 'active' AND users.is_active")
_CHANGED = _ALERTS.format(which="alerts.updated_at >= %(since)s")
_NAMED = _ALERTS.format(which="alerts.id = ANY(%(ids)s)")
Changes = tuple[list[Watched], list[UUID]]  # to be watched as they are now, and no longer


def everything() -> list[Watched]:
    """Every alert on a price that may come true, by one statement."""
    return [Watched(*row[:11]) for row in _read(_EVERYTHING, {})]


def changed(*, since: datetime) -> Changes:
    """Those that were changed since."""
    rows = _read(_CHANGED, {"since": since})
    return [Watched(*row[:11]) for row in rows if row[11]], [row[0] for row in rows if not row[11]]


def named(alert_ids: Collection[UUID]) -> Changes:
    """Those of some ids; one that is gone is no longer watched."""
    rows = _read(_NAMED, {"ids": list(alert_ids)})
    found = [Watched(*row[:11]) for row in rows if row[11]]
    return found, list(set(alert_ids) - {alert.id for alert in found})


def _read(sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with tenancy.as_system("watch alerts"), connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()
