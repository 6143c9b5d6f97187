"""How many connections a person has at once, over all processes: counted in Redis.

A place is renewed while its connection lives and lapses by itself after a process died. Without
Redis each process counts its own.
"""

import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import redis.asyncio
from redis.exceptions import RedisError

LAPSE_SECONDS = 60.0
RENEW_SECONDS = 20.0

_TAKE = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 1
"""


class Places:
    """The places that this process's connections have taken."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis, self._script = client, client.register_script(_TAKE)
        self._here: defaultdict[UUID, set[str]] = defaultdict(set)

    async def take(self, user_id: UUID, place: str, *, most: int) -> bool:
        """Whether a person may have one connection more; it then counts."""
        if len(self._here[user_id]) >= most or not await self._take(user_id, place, most):
            return False
        self._here[user_id].add(place)
        return True

    async def give_back(self, user_id: UUID, place: str) -> None:
        """A connection has ended."""
        self._here[user_id].discard(place)
        if not self._here[user_id]:
            del self._here[user_id]
        try:
            await self._redis.zrem(_key(user_id), place)
        except (RedisError, OSError):
            return  # it lapses by itself

    async def renew(self) -> None:
        """Keep the places of all connections of this process."""
        pipeline = self._redis.pipeline(transaction=False)
        for user_id, places in self._here.items():
            _renew(pipeline, user_id, places)
        try:
            await pipeline.execute()
        except (RedisError, OSError):
            return  # the next time is soon enough

    async def _take(self, user_id: UUID, place: str, most: int) -> bool:
        now = time.time()
        arguments: list[float | str] = [now - LAPSE_SECONDS, now, place, most, int(LAPSE_SECONDS)]
        try:
            return bool(await self._script(keys=[_key(user_id)], args=arguments))
        except (RedisError, OSError):
            return True


def _renew(pipeline: Any, user_id: UUID, places: Iterable[str]) -> None:
    pipeline.zadd(_key(user_id), dict.fromkeys(places, time.time()))
    pipeline.expire(_key(user_id), int(LAPSE_SECONDS))


def _key(user_id: UUID) -> str:
    return f"live:places:{user_id}"
