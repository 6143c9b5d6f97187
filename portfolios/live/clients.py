"""One live connection: who it is, what it watches, and how far it has fallen behind.

What is written to a client is bounded: once its buffer is full nothing is added, only noted which
news it missed. When it reads again it gets the latest of each; when it reads nothing for too long
it is dropped.
"""

import asyncio
from collections.abc import Callable
from uuid import UUID, uuid4

from django.conf import settings
from websockets.asyncio.server import ServerConnection, broadcast

from accounts.watching import Watcher
from portfolios.live.messages import Channel, Refused, write_error

BUFFER_BYTES = 64 * 1024  # written and not yet taken by the system; above that a client is behind


class Connection(ServerConnection):
    """A WebSocket that says when it takes news again after its buffer was full."""

    on_resumed: Callable[[], None] | None = None

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.on_resumed:
            self.loop.call_soon(self.on_resumed)


class Client:
    """One authenticated connection."""

    def __init__(
        self, connection: Connection, watcher: Watcher, on_resumed: Callable[["Client"], None]
    ) -> None:
        self.id = uuid4().hex
        self.connection, self.watcher = connection, watcher
        self.chosen: set[UUID] = set()
        self.own = False  # whatever the person owns is watched as well
        self.watched: frozenset[UUID] = frozenset()
        self.channels: set[Channel] = set()
        self.missed: set[UUID] = set()
        self.missed_portfolio = False
        self.mistakes, self.allowed_at = 0, 0.0
        self.expiry: asyncio.TimerHandle | None = None
        self._unsent, self._stuck_since = 0, 0.0
        connection.on_resumed = lambda: on_resumed(self)

    @property
    def user_id(self) -> UUID:
        return self.watcher.user_id

    @property
    def is_behind(self) -> bool:
        """Whether nothing more may be written now."""
        return self.connection.paused

    def tell(self, message: bytes) -> bool:
        """Write unless the client is behind; returns whether it was written."""
        if self.is_behind:
            return False
        broadcast([self.connection], message, text=True)
        return True

    async def answer(self, message: bytes) -> None:
        """Write, and wait until there is room again: who asks much must read the answers."""
        await self.connection.send(message, text=True)

    async def refuse(self, refused: Refused) -> None:
        self.mistakes += 1
        await self.answer(write_error(refused))

    def is_stuck(self, now: float) -> bool:
        """Whether it is behind and took not a byte for too long; asked every few seconds."""
        unsent = self.connection.transport.get_write_buffer_size()
        if not self.is_behind or unsent < self._unsent or not self._stuck_since:
            self._stuck_since = now
        self._unsent = unsent
        return now - self._stuck_since > settings.LIVE_PATIENCE_SECONDS

    def drop(self) -> None:
        """End a connection that reads nothing: a close frame would only join the queue."""
        self.connection.transport.abort()
