"""News for whoever looks at the app right now: published over Redis, kept nowhere.

Nobody may depend on one arriving. A publisher loses nothing when Redis is away, and whoever
listens reads anew when it comes back. What is published names ids and holds numbers and states,
no text of a person's.
"""

import time
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import orjson
import redis
from django.conf import settings
from django.db import transaction

from tracker.logs import get_logger

log = get_logger(__name__)

SYNC, SESSIONS, PORTFOLIO = "sync", "sessions", "portfolio"
JOB, NOTICE = "job", "notice"
TOPICS = (SYNC, SESSIONS, PORTFOLIO, JOB, NOTICE)
_SECONDS = 0.5  # live news are worth no longer wait
_PAUSE_SECONDS = 5.0  # without Redis, until it is tried again


def publish(*, user_id: UUID, topic: str, payload: Mapping[str, Any] | None = None) -> None:
    """Tell the devices of one person; inside a transaction, once it has committed. Never raises.

    ``topic`` is one of ``TOPICS``. Of ``sync``: the payload has ``connection``, ``state`` and,
    where known, ``done`` and ``planned`` calls, ``phase`` and ``seconds_left``. Of ``job``: its
    ``kind``, ``id``, ``state``, and ``done`` of ``total``. Of ``notice``: ``delivery``, by which it
    is read. The others have none: they say that sessions ended, or that what a person owns has
    changed.
    """
    message = orjson.dumps({"topic": topic, "payload": payload or {}}, default=str)
    name = user_channel(user_id)
    transaction.on_commit(lambda: _send(name, message), robust=True)


def user_channel(user_id: UUID) -> str:
    """Where one person's news go."""
    return channel(f"user:{user_id}")


def channel(name: str) -> str:
    """A channel's full name: pub/sub spans all databases of a server, so ours is part of it."""
    database = urlsplit(settings.REDIS_URL).path.strip("/")
    return f"live:{database if database.isdigit() else 0}:{name}"


_no_redis_until = 0.0


def _send(name: str, message: bytes) -> None:
    global _no_redis_until
    if time.monotonic() < _no_redis_until:
        return
    try:
        _redis(settings.REDIS_URL).publish(name, message)
    except (redis.RedisError, OSError):
        _no_redis_until = time.monotonic() + _PAUSE_SECONDS
        log.warning("live.redis_unavailable")


@cache
def _redis(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS)
