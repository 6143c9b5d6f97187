"""The broker's queues, as a worker would find them; the default one when none is named."""

import base64
import json
import os
from typing import Any

import redis

QUEUE = "default"


def waiting(queue: str = QUEUE) -> list[tuple[str, dict[str, Any]]]:
    """Names of the tasks that wait and their arguments, the first to be done first."""
    with _broker() as broker:
        return [_read(text) for text in reversed(broker.lrange(queue, 0, -1))]


def work_off(task: Any, queue: str = QUEUE) -> int:
    """Run every waiting call of one task, as a worker would; the others stay where they are."""
    with _broker() as broker:
        calls = [
            text for text in reversed(broker.lrange(queue, 0, -1)) if _read(text)[0] == task.name
        ]
        for text in calls:
            broker.lrem(queue, 1, text)
    for text in calls:
        task(**_read(text)[1])
    return len(calls)


def _broker() -> redis.Redis:
    return redis.Redis.from_url(os.environ["REDIS_URL"])


def _read(text: bytes) -> tuple[str, dict[str, Any]]:
    message = json.loads(text)
    return message["headers"]["task"], json.loads(base64.b64decode(message["body"]))[1]
