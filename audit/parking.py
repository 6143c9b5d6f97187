"""Tasks that kill their workers are put aside after the third time (S42).

A task whose process dies is handed out again, and what stands behind it comes up again by itself
under another id; so what is counted is the work: a task's name and arguments. Each start leaves a
mark in Redis that its end takes away. A start that finds the mark of the same delivery knows that
its process died. After three deaths without a clean end in between the work is not begun any more
for a day (a sweep for ten minutes), operators are alerted, and the room that sent it is told
through the log.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django_redis import get_redis_connection
from redis import RedisError

from audit import alerts, log
from audit.actions import Action
from tracker import clock, tenancy
from tracker.logs import get_logger

logger = get_logger(__name__)
MOST_DEATHS = 3
REMEMBERED = timedelta(days=1)
# What has no arguments is a sweep for everybody: without it much more would lie still.
SWEEPS_REMEMBERED = timedelta(minutes=10)
KIND = "task.parked"

# A delivery that comes again while its mark is there has lost its process. What rests does not
# rest longer because it was asked for again.
_BEGIN = """
local died = redis.call('HDEL', KEYS[1], ARGV[1])
local deaths = tonumber(redis.call('HGET', KEYS[1], 'deaths') or '0')
if died == 1 then deaths = redis.call('HINCRBY', KEYS[1], 'deaths', 1) end
if deaths < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], ARGV[1], '1') end
if deaths < tonumber(ARGV[2]) or died == 1 then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
return {deaths, died}
"""


@contextmanager
def counted(*, task_id: str, name: str, arguments: Mapping[str, Any]) -> Iterator[bool]:
    """Around one run of a task: whether it may begin. Without Redis it may, uncounted."""
    work = _work(name, arguments)
    deaths, again = _begin(work, task_id, REMEMBERED if arguments else SWEEPS_REMEMBERED)
    if deaths >= MOST_DEATHS:
        if again:
            _park(work, name, arguments, deaths)
        yield False
        return
    try:
        yield True
    finally:
        _end(work, task_id, clean=not again)


def forgive(*, name: str, arguments: Mapping[str, Any]) -> None:
    """Let this work begin again; for whoever has stopped what sent it."""
    try:
        get_redis_connection("limits").delete(_key(_work(name, arguments)))
    except RedisError:
        logger.warning("parking.not_forgiven")


def _work(name: str, arguments: Mapping[str, Any]) -> str:
    told = json.dumps([name, arguments], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _begin(work: str, task_id: str, lifetime: timedelta) -> tuple[int, bool]:
    """How often this work has killed its process, and whether it has just done so."""
    seconds = int(lifetime.total_seconds())
    try:
        redis = get_redis_connection("limits")
        deaths, died = redis.eval(_BEGIN, 1, _key(work), task_id, MOST_DEATHS, seconds)
    except RedisError:
        return 0, False
    return int(deaths), bool(died)


def _end(work: str, task_id: str, *, clean: bool) -> None:
    """A run that ended, by whatever error, has not killed its process.

    One that was handed out again may have found nothing to do, so it proves nothing.
    """
    try:
        gone = (task_id, "deaths") if clean else (task_id,)
        get_redis_connection("limits").hdel(_key(work), *gone)
    except RedisError:
        logger.warning("parking.not_noted")


def _park(work: str, name: str, arguments: Mapping[str, Any], deaths: int) -> None:
    """Told once: what comes later finds the count and does not raise it."""
    logger.error("task.parked", task=name, arguments=dict(arguments), deaths=deaths)
    # Who it concerns stays out of what an erasure of that person would not find.
    told = {key: value for key, value in arguments.items() if key != "user_id"}
    with tenancy.as_system("park a task"):
        log.record(
            Action.TASK_PARKED, user_id=None, outcome="failed", task=name, arguments=told,
            deaths=deaths,
        )  # fmt: skip
        alerts.raise_alert(
            kind=KIND, severity="high", user_id=None, dedupe=work, now=clock.now(),
            evidence={"task": name, "arguments": told, "deaths": deaths},
        )  # fmt: skip


def _key(work: str) -> str:
    return f"task-deaths:{work}"
