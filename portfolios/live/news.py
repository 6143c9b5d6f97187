"""What comes over Redis: ticks for everybody, and news for those people who are connected here.

Redis may go at any time. Listening then begins again by itself, and whoever was to be told is
told to read anew, because what was published meanwhile is lost.
"""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import orjson
import redis.asyncio
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from exchanges import ticks
from exchanges.prices import Quote
from tracker import live
from tracker.logs import get_logger

log = get_logger(__name__)

_LOOK_SECONDS = 5.0
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0
_AWAY = (RedisError, OSError)


class News:
    """One subscription of this process, with the channels of whoever is connected."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        *,
        on_ticks: Callable[[list[Quote]], None],
        on_news: Callable[[UUID, str, Any], None],
        on_back: Callable[[], None],
    ) -> None:
        self._redis, self._pubsub = client, client.pubsub()
        self._on_ticks, self._on_news, self._on_back = on_ticks, on_news, on_back
        self._people: dict[str, UUID] = {}
        self._prices = ticks.channel()

    async def listen(self) -> None:
        """Hand on what is published, for ever."""
        wait = _FIRST_WAIT
        while True:
            try:
                await self._subscribe()
                wait = _FIRST_WAIT
                await self._hand_on()
            except _AWAY as error:
                log.warning("live.redis_unavailable", error=type(error).__name__)
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    async def follow(self, user_id: UUID) -> None:
        """Listen for one person's news."""
        name = live.user_channel(user_id)
        if name not in self._people:
            self._people[name] = user_id
            await self._try(self._pubsub.subscribe(name))

    async def leave(self, user_id: UUID) -> None:
        """Listen for them no longer."""
        name = live.user_channel(user_id)
        if self._people.pop(name, None):
            await self._try(self._pubsub.unsubscribe(name))

    async def _subscribe(self) -> None:
        old, self._pubsub = self._pubsub, self._redis.pubsub()
        await self._try(old.aclose())
        await self._pubsub.subscribe(self._prices, *self._people)

    async def _try(self, request: Any) -> None:
        """What fails here fails in ``listen`` too, which subscribes to everything again."""
        try:
            await request
        except _AWAY:
            return

    async def _hand_on(self) -> None:
        pubsub: PubSub = self._pubsub
        while True:
            message = await pubsub.get_message(timeout=_LOOK_SECONDS)
            if message is None:
                continue
            channel = message["channel"].decode()
            if message["type"] == "message":
                self._dispatch(channel, message["data"])
            elif message["type"] == "subscribe" and channel == self._prices:
                self._on_back()  # not earlier: what is read before could change unheard

    def _dispatch(self, channel: str, data: bytes) -> None:
        try:
            if channel == self._prices:
                self._on_ticks(ticks.read_message(data))
            elif user_id := self._people.get(channel):
                told = orjson.loads(data)
                self._on_news(user_id, told["topic"], told["payload"])
        except (ValueError, KeyError, TypeError, ArithmeticError) as error:
            log.error("live.unreadable_news", error=type(error).__name__)
