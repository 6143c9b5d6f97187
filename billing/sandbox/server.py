"""The sandbox over HTTP, and localstripe beside it."""

import asyncio
import signal
from collections.abc import Callable

from aiohttp import web

from billing.sandbox import control, gateway, pages
from billing.sandbox.events import Events, Hook
from billing.sandbox.inner import Inner
from billing.sandbox.world import World

_HOST = "127.0.0.1"
_GRACE_SECONDS = 0.5


def make_app(world: World, hook: Hook | None) -> web.Application:
    """The application over a world whose localstripe runs."""
    served = gateway.Gateway(world)
    app = web.Application()
    app.add_routes(control.Controls(world, served, hook).routes())
    app.add_routes(pages.Pages(world, served).routes())
    app.add_routes(served.routes())
    return app


def run(*, port: int, hook: Hook | None, listening: Callable[[int], None]) -> None:
    """Serve until SIGINT or SIGTERM; `listening` is told the port once it answers.

    Raises OSError where the port is taken, StripeError where the hook is not of this machine.
    """
    asyncio.run(_serve(port, hook, listening))


async def _serve(port: int, hook: Hook | None, listening: Callable[[int], None]) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    world = World(Inner(), Events())
    if hook:
        world.events.register(hook.url, hook.secret)
    runner = web.AppRunner(make_app(world, hook), access_log=None, shutdown_timeout=_GRACE_SECONDS)
    await world.inner.start()
    try:
        await runner.setup()
        await web.TCPSite(runner, _HOST, port).start()
        bound = runner.addresses[0][1]
        world.url = f"http://{_HOST}:{bound}"
        listening(bound)
        await stop.wait()
    finally:
        await world.events.forget()
        await runner.cleanup()
        await world.inner.stop()
