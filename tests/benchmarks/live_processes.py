"""The processes that the benchmarks of live connections start."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from accounts.models import User
from tests import factories
from tests.benchmarks import rows
from tests.end_to_end.system import free_port
from tests.servers import PROJECT
from tracker import clock


class Crowd:
    """Connected clients: `crowd.ask("rounds 60")`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, command: str) -> list[float]:
        assert self._process.stdin
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())


@contextmanager
def crowd(port: int, count: int, **setup: Any) -> Iterator[Crowd]:
    """So many clients, once all of them watch."""
    command = ["-m", "tests.benchmarks.watchers", str(port), str(count)]
    with _python(*command, stdin=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.write(json.dumps(setup) + "\n")
        process.stdin.flush()
        connected = Crowd(process)
        assert connected.answer() == "ready"
        yield connected


@contextmanager
def live_server() -> Iterator[int]:
    """``manage.py serve_stream`` as production runs it; its port."""
    port = free_port()
    with _python("manage.py", "serve_stream", "--port", str(port)) as process:
        _await_line(process)
        yield port


@contextmanager
def bare_server(channel: str) -> Iterator[int]:
    """``websockets.broadcast`` and nothing else; its port."""
    port = free_port()
    with _python("-m", "tests.benchmarks.bare_broadcast", str(port), channel) as process:
        _await_line(process)
        yield port


@contextmanager
def streamer(**environment: str) -> Iterator[None]:
    """``manage.py stream_prices``."""
    with _python("manage.py", "stream_prices", "binance", env=environment):
        yield


def tokens(count: int) -> tuple[list[User], list[str]]:
    """So many people on the largest plan, and an access token of each."""
    people = rows.people(count)
    for user in people:
        factories.put_on_plan(user, "enterprise")
    return people, [rows.access_token(user, clock.now()) for user in people]


@contextmanager
def _python(
    *arguments: str, env: dict[str, str] | None = None, **options: Any
) -> Iterator["subprocess.Popen[str]"]:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings"} | (env or {})
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=PROJECT, env=environment, text=True,
        stdout=subprocess.PIPE, **options,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _await_line(process: "subprocess.Popen[str]") -> None:
    assert process.stdout
    assert process.stdout.readline(), "it did not start"
