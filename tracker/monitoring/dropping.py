"""Taking messages out of the broker: for a queue that runs away.

What is due stands in PostgreSQL; dropped messages of sweeps and syncs come up again by themselves.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import redis
from django.conf import settings

from audit import log
from audit.actions import Action
from tracker import ids, tenancy
from tracker.monitoring import queues

_PAGE = 1_000


class NoSuchQueue(Exception):
    """No task is sent there."""


def counts(queue: str) -> dict[str, int]:
    """How many messages of which task wait in a queue, most first. Raises NoSuchQueue."""
    _require(queue)
    with _broker() as broker:
        return dict(Counter(map(_task, _messages(broker, queue))).most_common())


def drop(queue: str, *, task: str = "") -> int:
    """Take out what waits in a queue, of one task if named; returns how many there were.

    What comes in meanwhile stays, as does what a worker has in its hands. Raises NoSuchQueue.
    """
    _require(queue)
    with _broker() as broker:
        dropped = _remove(broker, queue, task) if task else _empty(broker, queue)
    with tenancy.as_system("drop a queue"):
        log.record(Action.QUEUE_DROPPED, user_id=None, queue=queue, task=task, dropped=dropped)
    return dropped


def _empty(broker: Any, queue: str) -> int:
    """At once, however many there are."""
    aside = f"{queue}:dropped:{ids.new_id()}"
    try:
        broker.rename(queue, aside)
    except redis.ResponseError:  # there is nothing, or workers have taken the last meanwhile
        if broker.exists(queue):
            raise
        return 0
    dropped = int(broker.llen(aside))
    broker.unlink(aside)
    return dropped


def _remove(broker: Any, queue: str, task: str) -> int:
    """From the end that workers take from, where the oldest stand and are found at once."""
    doomed = [text for text in _messages(broker, queue) if _task(text) == task]
    dropped = 0
    for start in range(0, len(doomed), _PAGE):
        pipe = broker.pipeline(transaction=False)
        for text in doomed[start : start + _PAGE]:
            pipe.lrem(queue, -1, text)
        dropped += sum(pipe.execute())
    return dropped


def _messages(broker: Any, queue: str) -> Iterator[bytes]:
    """Oldest first. Workers take from the end meanwhile, so some may be told that have gone."""
    for start in range(0, broker.llen(queue), _PAGE):
        yield from reversed(broker.lrange(queue, -start - _PAGE, -start - 1))


def _task(text: bytes) -> str:
    return str((orjson.loads(text).get("headers") or {}).get("task", ""))


def _broker() -> redis.Redis:
    return redis.Redis.from_url(settings.CELERY_BROKER_URL, socket_timeout=10)


def _require(queue: str) -> None:
    if queue not in queues.names():
        raise NoSuchQueue(f"There is no queue {queue}; there are {', '.join(queues.names())}.")
