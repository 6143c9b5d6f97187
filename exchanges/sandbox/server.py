"""The sandbox over HTTP: one handler for all dialects, the controls beside it."""

import asyncio
import signal
from collections.abc import Callable, Mapping

from aiohttp import web

from exchanges.sandbox import config, control, exchange, wire
from exchanges.sandbox.binance import dialect, exchange_info, streams
from exchanges.sandbox.faults import acts, fault
from exchanges.sandbox.kraken import dialect as kraken

_JSON = "application/json;charset=UTF-8"
_BACKLOG = 1024
_GRACE_SECONDS = 1.0
_PIECES = 16

Dialects = Mapping[str, wire.Dialect]


class Gateway:
    """Puts requests before the dialect that their path belongs to, and the faults in between."""

    def __init__(
        self, served: exchange.Exchange, spoken: wire.Dialect, by_prefix: Dialects
    ) -> None:
        self._exchange = served
        self._spoken = spoken
        self._by_prefix = by_prefix

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any request that is not a control."""
        call = await _call(request)
        self._exchange.statistics.requests[call.path] += 1
        try:
            answer = await self._answer(call)
        except acts.DroppedError:
            if request.transport:
                request.transport.abort()
            answer = wire.Answer(500, b"", {})
        headers = {"Content-Type": _JSON, **answer.headers}
        if answer.seconds:
            return await _trickled(request, answer, headers)
        return web.Response(body=answer.body, status=answer.status, headers=headers)

    async def _answer(self, call: wire.Call) -> wire.Answer:
        spoken = self._dialect_of(call.path)
        if not self._exchange.switchboard:
            return spoken.answer(call, now=exchange.now())
        asked = fault.Request(call, spoken, spoken.account_of(call), exchange.now())
        met = self._exchange.switchboard.taken(asked)
        if instead := await acts.before(met, asked, self._exchange.violations):
            return instead
        now, skew, coarse = exchange.now(), acts.skew(met), acts.coarse(met)
        return await acts.after(met, spoken.answer(call, now=now, skew=skew, coarse=coarse))

    def _dialect_of(self, path: str) -> wire.Dialect:
        found = (spoken for prefix, spoken in self._by_prefix.items() if path.startswith(prefix))
        return next(found, self._spoken)


async def _trickled(
    request: web.Request, answer: wire.Answer, headers: Mapping[str, str]
) -> web.StreamResponse:
    """The body in a few pieces, with pauses between them."""
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.content_length = len(answer.body)
    await response.prepare(request)
    length = len(answer.body) // _PIECES + 1
    for first in range(0, len(answer.body), length):
        await asyncio.sleep(answer.seconds / _PIECES)
        await response.write(answer.body[first : first + length])
    await response.write_eof()
    return response


async def _call(request: web.Request) -> wire.Call:
    # The signature covers the query exactly as sent, so it is taken before anything decodes it.
    path, _, query = request.raw_path.partition("?")
    body = await request.read() if request.can_read_body else b""
    return wire.Call(
        method=request.method,
        path=path,
        query=query,
        body=body.decode(errors="replace"),
        headers={name.lower(): value for name, value in request.headers.items()},
        address=request.remote or "",
    )


def make_app(settings: config.Config) -> web.Application:
    """The application of a sandbox.

    Raises ConfigError, StateError, MarketDataError, ExchangeInfoError.
    """
    settings.check()
    listing = exchange_info.Listing()
    if settings.exchange_info:
        listing = exchange_info.read(settings.exchange_info)
    served = exchange.Exchange(settings=settings, listed=listing.symbols, now=exchange.now())
    spoken = {kraken.PREFIX: kraken.Dialect(served)}
    gateway = Gateway(served, dialect.Dialect(served, listing), spoken)
    app = web.Application()
    app.add_routes(control.Controls(served).routes())
    streaming = streams.Streams(served)
    app.add_routes(streaming.routes())
    app.on_startup.append(streaming.start)
    app.on_shutdown.append(streaming.stop)
    app.router.add_route("*", "/{path:.*}", gateway.handle)

    async def let_go(app: web.Application) -> None:
        served.switchboard.remove()

    app.on_shutdown.append(let_go)
    return app


def run_app(settings: config.Config, *, listening: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `listening` is told the address once it answers.

    Raises what make_app raises, and OSError where the port is taken.
    """
    asyncio.run(_serve(settings, listening))


async def _serve(settings: config.Config, listening: Callable[[str], None]) -> None:
    runner = web.AppRunner(
        make_app(settings),
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=_GRACE_SECONDS,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port, backlog=_BACKLOG)
        await site.start()
        listening(_address(runner))
        await _told_to_stop()
    finally:
        await runner.cleanup()


def _address(runner: web.AppRunner) -> str:
    host, port, *_ = runner.addresses[0]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _told_to_stop() -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
