"""The sandbox over HTTP: one handler for all dialects, the controls beside it."""

import asyncio
import signal
from collections.abc import Callable

from aiohttp import web

from exchanges.sandbox import config, control, exchange, faults
from exchanges.sandbox.binance import dialect, endpoint, exchange_info, streams

_JSON = "application/json;charset=UTF-8"
_BACKLOG = 1024
_GRACE_SECONDS = 1.0


class Gateway:
    """Puts requests before the dialect and the faults in between."""

    def __init__(self, served: exchange.Exchange, spoken: dialect.Dialect) -> None:
        self._exchange = served
        self._dialect = spoken

    async def handle(self, request: web.Request) -> web.Response:
        """Answer any request that is not a control."""
        call = await _call(request)
        self._exchange.statistics.requests[call.path] += 1
        try:
            answer = await self._answer(call)
        except faults.DroppedError:
            if request.transport:
                request.transport.abort()
            answer = faults.Answer(500, b"", {})
        return web.Response(
            body=answer.body,
            status=answer.status,
            headers={"Content-Type": _JSON} | answer.headers,
        )

    async def _answer(self, call: endpoint.Call) -> faults.Answer:
        if not self._exchange.switchboard:
            return self._dialect.answer(call, now=exchange.now())
        account = self._dialect.account_of(call.api_key)
        met = self._exchange.switchboard.taken(call.path, account)
        if instead := await faults.before(met):
            return instead
        answer = self._dialect.answer(call, now=exchange.now(), skew=faults.skew(met))
        return faults.after(met, answer) if answer.status == 200 else answer


async def _call(request: web.Request) -> endpoint.Call:
    # The signature covers the query exactly as sent, so it is taken before anything decodes it.
    path, _, query = request.raw_path.partition("?")
    body = await request.read() if request.can_read_body else b""
    return endpoint.Call(
        method=request.method,
        path=path,
        query=query,
        body=body.decode(errors="replace"),
        api_key=request.headers.get("X-MBX-APIKEY", ""),
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
    gateway = Gateway(served, dialect.Dialect(served, listing))
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
