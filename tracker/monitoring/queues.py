"""How many tasks wait in each of the broker's queues, and for how long the next one has."""

from dataclasses import dataclass
from datetime import datetime

import orjson
import redis
from django.conf import settings

from portfolios.sync import dispatch

SENT_AT = "sent_at"  # header of a task: seconds since 1970, given as it is sent
_TIMEOUT = 1.0


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue; ``age`` in seconds is that of the task which is taken next."""

    name: str
    waiting: int
    age: float


def names() -> list[str]:
    """Every queue that tasks are sent to."""
    routed = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()}
    return sorted({settings.CELERY_TASK_DEFAULT_QUEUE, dispatch.IMPORTS, dispatch.UPDATES, *routed})


def standing(*, now: datetime) -> list[Queue]:
    """Every queue as it is now. Raises redis.RedisError."""
    asked = names()
    with redis.Redis.from_url(
        settings.CELERY_BROKER_URL, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT
    ) as broker:
        pipe = broker.pipeline(transaction=False)
        for name in asked:
            pipe.llen(name)
            pipe.lindex(name, -1)
        found = pipe.execute()
    return [
        Queue(name, waiting, _age(message, now))
        for name, waiting, message in zip(asked, found[::2], found[1::2], strict=True)
    ]


def _age(message: bytes | None, now: datetime) -> float:
    """0 for an empty queue, and for a task that was sent before they said when."""
    sent = (orjson.loads(message).get("headers") or {}).get(SENT_AT) if message else None
    return max(now.timestamp() - float(sent), 0.0) if sent else 0.0
