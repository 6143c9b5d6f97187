"""Saying over Redis that an alert was made, changed or removed, so that watchers look at once.

Nobody depends on it: watchers also read what changed every few seconds, and everything every few
minutes.
"""

from uuid import UUID

import redis
from django.conf import settings
from django.db import transaction

from portfolios.alerting import newest
from tracker import live
from tracker.logs import get_logger

log = get_logger(__name__)


def channel() -> str:
    """Where ids of alerts are told."""
    return live.channel("alerts")


def changed(alert_id: UUID) -> None:
    """Tell watchers, once the caller's transaction stands. Never raises."""
    transaction.on_commit(lambda: _tell(alert_id), robust=True)


def _tell(alert_id: UUID) -> None:
    try:
        newest.client(settings.REDIS_URL).publish(channel(), str(alert_id))
    except (redis.RedisError, OSError):
        log.warning("alerts.redis_unavailable")
