"""How many connections a person has at once, over all processes: counted in Redis.

A place is renewed while its connection lives and lapses by itself after a process died. Without
Redis each process counts its own.
"""

import time
from collections import defaultdict
from uuid import UUID

import redis.asyncio
from redis.exceptions import RedisError

LAPSE_SECONDS = 60.0
RENEW_SECONDS = 20.0
_AT_ONCE = 100  # people whose places are renewed together: nobody else waits longer for it

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
        if len(self._here.get(user_id, ())) >= most or not await self._take(user_id, place, most):
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
        people = list(self._here)
        try:
            for start in range(0, len(people), _AT_ONCE):
                await self._renew(people[start : start + _AT_ONCE])
        except (RedisError, OSError):
            return  # the next time is soon enough

    async def _renew(self, people: list[UUID]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for user_id in people:
            if places := self._here.get(user_id):
                pipeline.zadd(_key(user_id), dict.fromkeys(places, time.time()))
                pipeline.expire(_key(user_id), int(LAPSE_SECONDS))
        await pipeline.execute()

    async def _take(self, user_id: UUID, place: str, most: int) -> bool:
        now = time.time()
        arguments: list[float | str] = [now - LAPSE_SECONDS, now, place, most, int(LAPSE_SECONDS)]
        try:
            return bool(await self._script(keys=[_key(user_id)], args=arguments))
        except (RedisError, OSError):
            return True


def _key(user_id: UUID) -> str:
    return f"live:places:{user_id}"
