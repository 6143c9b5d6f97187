"""Binance's market streams over WebSocket, on the sandbox's own port.

`/ws` sends events as they are, `/stream` each in a frame with its stream's name. Streams are named
in the path or subscribed to by message. `/sandbox/stream` sets how fast prices move, and makes
the streams fail: silent, refused, or cut.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from exchanges.sandbox import exchange as exchanges
from exchanges.sandbox import symbols
from exchanges.sandbox.binance import tickers

_PING_SECONDS = 20.0
_SEND_SECONDS = 2.0  # a reader that takes none for so long is cut off
_MOST_BEHIND = 0.05  # seconds
_MOST_STREAMS = 1024
_MOST_BYTES = 64 * 1024
_FASTEST = 200.0  # ticks a second
_ALL = {"!ticker@arr": "ticker", "!miniTicker@arr": "miniTicker"}
_SHORT = {"ticker": "24hrTicker", "miniTicker": "24hrMiniTicker"}


class StreamError(ValueError):
    """A setting of the streams that cannot be; the message says why."""


@dataclass(slots=True, kw_only=True)
class Pace:
    """How the streams behave. `symbols_per_tick` of 0 moves every symbol at each tick."""

    ticks_per_second: float = 1.0
    symbols_per_tick: int = 0
    paused: bool = False  # prices stand still, connections live
    silent: bool = False  # connections live, and nothing is said on them
    refusing: bool = False  # no new connections

    def changed(self, plain: dict[str, Any]) -> "Pace":
        """These settings with some of them changed. Raises StreamError."""
        known = {item.name: type(getattr(self, item.name)) for item in fields(self)}
        for name, value in plain.items():
            wanted = (int, float) if known.get(name) is float else known.get(name, ())
            if not isinstance(value, wanted) or isinstance(value, bool) is not (wanted is bool):
                raise StreamError(f"{name} is unknown or of the wrong type")
        changed = Pace(**{name: getattr(self, name) for name in known} | plain)
        if not 0 < changed.ticks_per_second <= _FASTEST or changed.symbols_per_tick < 0:
            raise StreamError(f"ticks_per_second must be above 0 and at most {_FASTEST:g}")
        return changed


@dataclass(eq=False, slots=True)
class _Reader:
    """One connection: its socket, what it subscribed to, and how it wants its events."""

    socket: web.WebSocketResponse
    framed: bool
    streams: dict[str, None] = field(default_factory=dict)
    closing: asyncio.Task[Any] | None = None


class Streams:
    """The streams of one exchange."""

    def __init__(self, exchange: exchanges.Exchange) -> None:
        self._tickers = tickers.Tickers(exchange.world)
        self._readers: set[_Reader] = set()
        self._pace, self._ticks, self._next = Pace(), 0, 0
        self._woken = asyncio.Event()
        self._ticking: asyncio.Task[None] | None = None

    def routes(self) -> list[web.RouteDef]:
        """The paths and what answers them."""
        control = "/sandbox/stream"
        return [
            web.get("/ws", self.plain),
            web.get("/ws/{streams:.*}", self.plain),
            web.get("/stream", self.framed),
            web.get("/stream/{streams:.*}", self.framed),
            web.get(control, self.show),
            web.post(control, self.control),
        ]

    async def start(self, app: web.Application) -> None:
        """Begin to tick; prices move only while somebody listens."""
        self._ticking = asyncio.create_task(self._tick())

    async def stop(self, app: web.Application) -> None:
        """End every connection."""
        if self._ticking:
            self._ticking.cancel()
        self._cut(code=1001)

    async def plain(self, request: web.Request) -> web.StreamResponse:
        """`/ws`: events as they are."""
        return await self._serve(request, framed=False, named=request.match_info.get("streams", ""))

    async def framed(self, request: web.Request) -> web.StreamResponse:
        """`/stream`: events with the name of their stream."""
        return await self._serve(request, framed=True, named=request.query.get("streams", ""))

    async def show(self, request: web.Request) -> web.Response:
        """How the streams behave, and who listens."""
        settings = {item.name: getattr(self._pace, item.name) for item in fields(self._pace)}
        names = sorted({name for reader in self._readers for name in reader.streams})
        counted = {"connections": len(self._readers), "ticks": self._ticks, "streams": names}
        return web.json_response(settings | counted)

    async def control(self, request: web.Request) -> web.Response:
        """Change how the streams behave; `"close": true` ends all connections as well."""
        if not (request.remote or "").startswith(("127.", "::1")):
            return web.json_response({"error": "controls answer this machine only"}, status=403)
        try:
            wanted = orjson.loads(await request.read())
            close = bool(wanted.pop("close", False))
            self._pace = self._pace.changed(wanted)
        except (orjson.JSONDecodeError, AttributeError, TypeError, StreamError) as error:
            return web.json_response({"error": str(error)}, status=400)
        self._woken.set()
        if close:
            self._cut(code=1012)
        return await self.show(request)

    # --- one connection -------------------------------------------------------------------------
    async def _serve(self, request: web.Request, *, framed: bool, named: str) -> web.StreamResponse:
        if self._pace.refusing:
            return web.Response(status=503)
        socket = web.WebSocketResponse(heartbeat=_PING_SECONDS, max_msg_size=_MOST_BYTES)
        if not socket.can_prepare(request).ok:
            return web.Response(status=426)
        await socket.prepare(request)
        reader = _Reader(socket, framed, dict.fromkeys(n for n in named.split("/") if "@" in n))
        self._readers.add(reader)
        self._woken.set()
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT and not self._pace.silent:
                    await socket.send_str(orjson.dumps(_answer(reader, message.data)).decode())
        finally:
            self._readers.discard(reader)
            if reader.closing:  # or the connection ends before its close frame is out
                await reader.closing
        return socket

    def _cut(self, *, code: int) -> None:
        readers, self._readers = list(self._readers), set()
        for reader in readers:
            reader.closing = asyncio.create_task(reader.socket.close(code=code))

    # --- ticking --------------------------------------------------------------------------------
    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if not self._readers or self._pace.paused or self._pace.silent:
                self._woken.clear()
                await self._woken.wait()
                due = loop.time()
                continue
            await self._send_tick()
            # What was missed while the machine was busy is not made up for all at once.
            due = max(due + 1 / self._pace.ticks_per_second, loop.time() - _MOST_BEHIND)
            await asyncio.sleep(max(due - loop.time(), 0))

    async def _send_tick(self) -> None:
        now = exchanges.now()
        moved = [self._tickers.moved(symbol, now=now) for symbol in self._moving()]
        self._ticks += 1
        for reader in list(self._readers):
            for name, event in _events(reader.streams, moved):
                await self._send(
                    reader, {"stream": name, "data": event} if reader.framed else event
                )

    def _moving(self) -> list[symbols.Symbol]:
        """Every symbol, or the next few of them in turn."""
        listed, count = self._tickers.symbols, self._pace.symbols_per_tick
        if not 0 < count < len(listed):
            return listed
        chosen = [listed[(self._next + offset) % len(listed)] for offset in range(count)]
        self._next = (self._next + count) % len(listed)
        return chosen

    async def _send(self, reader: _Reader, event: Any) -> None:
        try:
            text = orjson.dumps(event).decode()
            await asyncio.wait_for(reader.socket.send_str(text), _SEND_SECONDS)
        except (TimeoutError, ConnectionError, RuntimeError):
            self._readers.discard(reader)


def _events(wanted: Iterable[str], moved: list[dict[str, Any]]) -> Iterable[tuple[str, Any]]:
    """What each stream says of a tick, in its own form."""
    by_name = {ticker["s"].lower(): ticker for ticker in moved}
    for name in wanted:
        symbol, _, kind = name.partition("@")
        if name in _ALL:
            yield name, [_as(_ALL[name], ticker) for ticker in moved]
        elif kind in _SHORT and symbol in by_name:
            yield name, _as(kind, by_name[symbol])


def _as(kind: str, ticker: dict[str, Any]) -> dict[str, Any]:
    return tickers.mini(ticker) if kind == "miniTicker" else ticker


def _answer(reader: _Reader, text: str) -> dict[str, Any]:
    """What a message is answered with, as Binance words it."""
    try:
        sent = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _refusal(3, "Invalid JSON: expected value at line 1 column 1")
    if not isinstance(sent, dict) or "method" not in sent:
        return _refusal(2, "Invalid request: missing field `method`")
    number, names = sent.get("id"), sent.get("params", [])
    if not isinstance(number, int | str | None) or isinstance(number, bool):
        return _refusal(2, "Invalid request: request ID must be an unsigned integer")
    if sent["method"] == "LIST_SUBSCRIPTIONS":
        return {"result": list(reader.streams), "id": number}
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return _refusal(2, "Invalid request: params must be an array of strings", number)
    if sent["method"] == "SUBSCRIBE":
        return _subscribe(reader, names, number)
    if sent["method"] == "UNSUBSCRIBE":
        for name in names:
            reader.streams.pop(name, None)
        return {"result": None, "id": number}
    return _refusal(2, "Invalid request: unknown variant", number)


def _subscribe(reader: _Reader, names: list[str], number: Any) -> dict[str, Any]:
    wanted = reader.streams | dict.fromkeys(names)
    if len(wanted) > _MOST_STREAMS:
        return _refusal(4, "Too many streams", number)
    reader.streams = wanted
    return {"result": None, "id": number}


def _refusal(code: int, message: str, number: Any = None) -> dict[str, Any]:
    return {"error": {"code": code, "msg": message}, "id": number}
