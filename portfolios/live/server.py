"""The live server: who may connect, what they may ask, and when their connection ends."""

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID

import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from accounts import watching
from accounts.tokens import InvalidToken
from accounts.watching import Standing, Watcher
from portfolios.live import messages, reads
from portfolios.live.clients import BUFFER_BYTES, Client, Connection
from portfolios.live.fanout import Fanout
from portfolios.live.messages import Channel, Close, Refused
from portfolios.live.news import News
from portfolios.live.people import People
from portfolios.live.places import RENEW_SECONDS, Places
from tracker import clock, live
from tracker.logs import get_logger

log = get_logger(__name__)

AUTHENTICATE_SECONDS = 10.0
HEARTBEAT_SECONDS = 20.0
SESSIONS_SECONDS = 15.0
STUCK_SECONDS = 5.0
COUNT_SECONDS = 60.0
MOST_MISTAKES = 50
# Messages of one client: so many a second on average, and so many at once.
MESSAGES_PER_SECOND, MESSAGES_AT_ONCE = 10.0, 30.0
_AT_ONCE = 50  # heartbeats
_REDIS_SECONDS = 2.0
_LISTEN_SECONDS = 15.0


class Server:
    """Everything that one process does; ``run`` it once."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._clients: set[Client] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        # A connection that was lost while it rested is made anew once.
        self._redis = _redis(_REDIS_SECONDS, retries=1)
        self._places = Places(self._redis)
        self._fanout = Fanout(counts=self.counts, on_sent=self._on_sent)
        self._people = People(fanout=self._fanout, redis=self._redis, counts=self.counts)
        self._news = News(
            _redis(_LISTEN_SECONDS, retries=0), on_ticks=self._fanout.take, on_news=self._on_news,
            on_back=lambda: self._start(self._people.refresh()),
        )  # fmt: skip

    async def run(
        self, host: str, port: int, *, stop: asyncio.Event, listening: Callable[[int], None]
    ) -> None:
        """Serve until ``stop`` is set; then every connection is closed with 1001."""
        server = await serve(
            self._handle, sock=_listening_socket(host, port),
            create_connection=Connection, process_request=self._at_the_door, compression=None,
            max_size=messages.MOST_BYTES, max_queue=4, write_limit=BUFFER_BYTES,
            ping_interval=HEARTBEAT_SECONDS, ping_timeout=HEARTBEAT_SECONDS, close_timeout=5,
            server_header=None,
        )  # fmt: skip
        for work in self._for_ever():
            self._start(work)
        listening(server.sockets[0].getsockname()[1])
        await stop.wait()
        server.close(code=Close.GOING_AWAY)
        await server.wait_closed()
        for task in list(self._tasks):
            task.cancel()
        self._log_counts()

    def _for_ever(self) -> Iterable[Awaitable[None]]:
        yield self._news.listen()
        yield self._people.work()
        yield _every(HEARTBEAT_SECONDS, self._heartbeat)
        yield _every(RENEW_SECONDS, self._places.renew)
        yield _every(SESSIONS_SECONDS, lambda: self._check_sessions(self._clients))
        yield _every(STUCK_SECONDS, self._look_around)
        yield _every(COUNT_SECONDS, self._count)

    def _at_the_door(self, connection: ServerConnection, request: Request) -> Response | None:
        """Other paths, health checks and too many. Any page may open a connection: it proves who
        it is by a token and not by a cookie, so its origin says nothing."""
        path = urlsplit(request.path).path
        if path == "/healthz":
            return connection.respond(HTTPStatus.OK, "ok\n")
        if path != messages.PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, "There is nothing here.\n")
        if len(connection.server.connections) >= settings.LIVE_MAX_CONNECTIONS:
            self.counts["turned_away"] += 1
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "Too busy just now.\n")
        return None

    # --- one connection -------------------------------------------------------------------------
    async def _handle(self, accepted: ServerConnection) -> None:
        connection = cast(Connection, accepted)
        try:
            client = await self._admit(connection)
            if client is None:
                return
            try:
                await self._converse(client)
            finally:
                await self._leave(client)
        except ConnectionClosed:
            return

    async def _admit(self, connection: Connection) -> Client | None:
        """The client behind a connection that authenticates in time; others are closed."""
        try:
            async with asyncio.timeout(AUTHENTICATE_SECONDS):
                raw = await connection.recv()
        except TimeoutError:
            await connection.close(Close.TOO_LATE)
            return None
        try:
            sent = messages.read(raw)
            if sent["type"] != "authenticate":
                raise Refused("not_authenticated", request=sent.get("id"))
            watcher = await _watcher(sent)
            client = Client(connection, watcher, self._on_resumed)
            await self._join(client, sent.get("id"))
        except Refused as refused:
            self.counts["refused"] += 1
            await connection.send(messages.write_error(refused), text=True)
            await connection.close(_CLOSED_FOR.get(refused.code, Close.UNAUTHENTICATED))
            return None
        return client

    async def _join(self, client: Client, request: str | None) -> None:
        standing = client.watcher.standing
        await self._people.know_base(standing.currency)
        most = standing.plan.live_connections
        if not await self._places.take(client.user_id, client.id, most=most):
            raise Refused("too_many_connections", request=request)
        self._clients.add(client)
        self.counts["joined"] += 1
        if self._people.join(client):
            await self._news.follow(client.user_id)
        self._set_expiry(client)
        try:
            await client.answer(_authenticated(client.watcher, request))
        except BaseException:
            await self._leave(client)
            raise

    async def _leave(self, client: Client) -> None:
        self._clients.discard(client)
        if client.expiry:
            client.expiry.cancel()
        if self._people.leave(client):
            await self._news.leave(client.user_id)
        await self._places.give_back(client.user_id, client.id)

    async def _converse(self, client: Client) -> None:
        async for raw in client.connection:
            await self._pace(client)
            try:
                await self._receive(client, messages.read(raw))
            except Refused as refused:
                self.counts["refused"] += 1
                await client.refuse(refused)
                if client.mistakes > MOST_MISTAKES:
                    await client.connection.close(Close.TOO_MANY_MISTAKES)

    async def _pace(self, client: Client) -> None:
        """Hold back who sends too much: what they send waits in their own connection."""
        now = asyncio.get_running_loop().time()
        earliest = now - MESSAGES_AT_ONCE / MESSAGES_PER_SECOND
        client.allowed_at = max(client.allowed_at, earliest) + 1 / MESSAGES_PER_SECOND
        if client.allowed_at > now:
            await asyncio.sleep(client.allowed_at - now)

    async def _receive(self, client: Client, sent: dict[str, Any]) -> None:
        request = sent.get("id")
        if sent["type"] == "authenticate":
            await self._renew(client, sent, request)
            return
        channel, assets = Channel(sent["channel"]), sent.get("assets")
        try:
            if sent["type"] == "subscribe":
                await self._subscribe(client, channel, assets, request)
            elif channel == Channel.PRICES:
                await self._people.unwatch_prices(client, assets, request)
            else:
                await self._people.unwatch(client, channel, request)
        except Refused as refused:
            raise Refused(refused.code, request=request) from None

    async def _subscribe(
        self, client: Client, channel: Channel, assets: Any, request: str | None
    ) -> None:
        if channel in _FREE:
            await self._people.watch_news(client, channel, request)
            return
        if not client.watcher.standing.plan.live_prices:
            raise Refused("live_prices_not_in_plan", request=request)
        if channel == Channel.PRICES:
            await self._people.watch_prices(client, assets, request)
        else:
            await self._people.watch_portfolio(client, request)

    async def _renew(self, client: Client, sent: dict[str, Any], request: str | None) -> None:
        """A fresh token of the same person; one that is refused ends nothing by itself."""
        watcher = await _watcher(sent)
        if watcher.user_id != client.user_id:
            raise Refused("other_person", request=request)
        self._apply(client, watcher.standing)
        client.watcher = watcher
        self._set_expiry(client)
        await client.answer(_authenticated(watcher, request))

    # --- how connections end --------------------------------------------------------------------
    def _set_expiry(self, client: Client) -> None:
        if client.expiry:
            client.expiry.cancel()
        left = (client.watcher.expires_at - clock.now()).total_seconds()
        loop = asyncio.get_running_loop()
        client.expiry = loop.call_later(max(left, 0), self._end, client, Close.TOKEN_EXPIRED)

    def _end(self, client: Client, code: int) -> None:
        self.counts[f"closed_{code}"] += 1
        self._start(client.connection.close(code))

    async def _check_sessions(self, clients: Iterable[Client]) -> None:
        """End the connections whose sessions have ended, and follow changed plans."""
        checked = {client: client.watcher.session_id for client in clients}
        if not checked:
            return
        try:
            standings = await reads.in_thread(
                watching.still_running, set(checked.values()), now=clock.now()
            )
        except reads.UNAVAILABLE:
            log.warning("live.database_unavailable")
            return
        for client, session_id in checked.items():
            if session_id not in standings:
                self._end(client, Close.SESSION_ENDED)
            elif client in self._clients:
                self._apply(client, standings[session_id])

    def _apply(self, client: Client, standing: Standing) -> None:
        before = client.watcher.standing
        client.watcher = _with(client.watcher, standing)
        if not standing.plan.live_prices and client.channels - _FREE:
            self._people.stop_prices(client)
            client.tell(messages.write_error(Refused("live_prices_not_in_plan")))
        if standing.currency != before.currency:
            self._start(self._change_currency(client))

    async def _change_currency(self, client: Client) -> None:
        currency = client.watcher.standing.currency
        await self._people.know_base(currency)
        if client in self._clients:
            self._people.change_currency(client, currency)

    # --- what happens ---------------------------------------------------------------------------
    def _on_news(self, user_id: UUID, topic: str, payload: Any) -> None:
        if topic == live.SESSIONS:
            self._start(self._check_sessions(self._people.clients_of(user_id)))
        else:
            self._people.hear(user_id, topic, payload)

    def _on_sent(self, assets: Any) -> None:
        self._people.moved(assets)

    def _on_resumed(self, client: Client) -> None:
        if client in self._clients and not client.is_behind:
            self._fanout.catch_up(client)
            self._people.catch_up(client)

    async def _heartbeat(self) -> None:
        message = messages.write("heartbeat", at=clock.now())
        for number, client in enumerate(list(self._clients)):
            client.tell(message)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)  # prices go first
        self._people.all_moved()  # what stands still grows old

    async def _look_around(self) -> None:
        now = asyncio.get_running_loop().time()
        for client in [client for client in self._clients if client.is_stuck(now)]:
            self.counts["dropped"] += 1
            client.drop()
        self._fanout.tell_stale(clock.now())

    async def _count(self) -> None:
        self._log_counts()

    def _log_counts(self) -> None:
        now = {"connections": len(self._clients), "people": len(self._people)}
        log.info("live.counts", **now, **self.counts)

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


# What every plan may watch.
_FREE = frozenset({Channel.SYNC, Channel.JOBS})
_CLOSED_FOR = {
    "too_many_connections": Close.TOO_MANY_CONNECTIONS,
    "unavailable": Close.TRY_AGAIN_LATER,
}


async def _watcher(sent: dict[str, Any]) -> Watcher:
    """Whoever presents this token. Raises Refused."""
    try:
        return await reads.in_thread(watching.admit, sent["token"], now=clock.now())
    except InvalidToken:
        raise Refused("token_invalid", request=sent.get("id")) from None
    except reads.UNAVAILABLE:
        raise Refused("unavailable", request=sent.get("id")) from None


def _authenticated(watcher: Watcher, request: str | None) -> bytes:
    return messages.write("authenticated", expires_at=watcher.expires_at, request=request)


def _with(watcher: Watcher, standing: Standing) -> Watcher:
    return Watcher(watcher.user_id, watcher.session_id, watcher.expires_at, standing)


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await _logged(work())


async def _logged(work: Awaitable[Any]) -> None:
    """One fault must not end the process, and must not pass unseen."""
    try:
        await work
    except (Refused, ConnectionClosed):
        return  # the connection has gone, or its next message says so again
    except Exception:
        log.exception("live.failed")


def _listening_socket(host: str, port: int) -> socket.socket:
    """Its connections inherit a small send buffer: what lies there is as old as the reader is
    slow, and the system would let it grow to megabytes for each."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=2048)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    return listening


def _redis(seconds: float, *, retries: int) -> redis.asyncio.Redis:
    """Without waits of its own: who needs Redis here decides how long."""
    return redis.asyncio.Redis.from_url(
        settings.REDIS_URL, socket_timeout=seconds, socket_connect_timeout=_REDIS_SECONDS,
        health_check_interval=10, retry=Retry(NoBackoff(), retries),
    )  # fmt: skip
