import asyncio
import gc
import os
import resource
import signal
from argparse import ArgumentParser
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core.management.base import BaseCommand

from portfolios.live.server import Server
from tracker import gunicorn

DATABASE_THREADS = 8


class Command(BaseCommand):
    help = "Serve live prices, portfolio values and sync progress over WebSocket, until stopped."

    def add_arguments(self, parser: ArgumentParser) -> None:
        port = int(os.environ.get("LIVE_PORT") or os.environ.get("PORT") or 8020)
        parser.add_argument("--port", type=int, default=port, help="0 takes a free one.")
        parser.add_argument("--host", default=gunicorn.HOST)

    def handle(self, *args: Any, **options: Any) -> None:
        _allow_many_files()
        _collect_seldom()
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(self._serve(options["host"], options["port"]))

    async def _serve(self, host: str, port: int) -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(DATABASE_THREADS))
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await Server().run(host, port, stop=stop, listening=self._announce)

    def _announce(self, port: int) -> None:
        self.stdout.write(f"Live connections on port {port}")
        self.stdout.flush()


def _allow_many_files() -> None:
    """Each connection is an open file, and systems begin with few."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _collect_seldom() -> None:
    """What is loaded by now lives as long as the process: looking through it again and again for
    garbage would hold up every client. A message makes objects, and no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it exists; asyncio's own loop does the same, slower."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
