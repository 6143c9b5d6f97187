"""The whole system as ``make run`` starts it, in processes of its own, for the tests here."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.servers import PROJECT

START_SECONDS = 120
_OWN = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "JWT_SECRET_KEY", "JWT_REFRESH_SECRET_KEY",
        "ENCRYPTION_KEY", "PYTEST_XDIST_WORKER")  # fmt: skip


@dataclass
class System:
    """A running system: `system.call("GET", "/portfolio")` speaks to its API."""

    process: "subprocess.Popen[str]"
    port: int
    sandbox_port: int
    output: Path
    live_port: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON answer of one API call."""
        return _http(f"http://127.0.0.1:{self.port}/api/v1{path}", method, body, self.headers)

    def sandbox(self, path: str, method: str = "GET", body: Any = None) -> Any:
        return _http(f"http://127.0.0.1:{self.sandbox_port}/sandbox/{path}", method, body, {})[1]

    def sign_up(self, email: str) -> None:
        """Register, and sign in as the app does."""
        body = {"email": email, "password": "correct horse battery staple"}
        status, answer = self.call("POST", "/auth/register", body)
        assert status == 202, answer
        status, answer = self.call("POST", "/auth/login", body)
        assert status == 200, answer
        self.headers = {"Authorization": f"Bearer {answer['access']}"}

    def printed(self, label: str) -> str:
        """What stands behind a label that ``make run`` prints."""
        for line in self.output.read_text().splitlines():
            if line.startswith(label):
                return line.removeprefix(label).strip()
        raise AssertionError(f"{label} was not printed")

    def await_sync(self, connection_id: str, *, seconds: float = 90) -> dict[str, Any]:
        """The newest sync run once it has finished."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            _, answer = self.call("GET", f"/connections/{connection_id}/sync-runs")
            runs = answer["results"]
            if runs and runs[0]["finished_at"]:
                return runs[0]
            time.sleep(0.2)
        raise AssertionError(f"no sync finished: {runs}; {self.output.read_text()[-3000:]}")

    def processes(self, name: str) -> list[psutil.Process]:
        """Our processes whose command line holds a word."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in family if name in " ".join(_command(child))]

    def stop(self) -> int:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@contextmanager
def running(folder: Path, **environment: str) -> Iterator[System]:
    """Start everything on data in ``folder``; returns once all addresses were printed."""
    system = start(folder, **environment)
    try:
        await_line(system, "API secret:")
        yield system
    finally:
        if system.process.poll() is None:
            system.stop()


def start(folder: Path, **environment: str) -> System:
    port, sandbox_port, live_port = free_port(), free_port(), free_port()
    output = folder / f"output-{port}.txt"
    env = {name: value for name, value in os.environ.items() if name not in _OWN}
    env |= {
        "DATA_DIR": str(folder / "data"), "PORT": str(port), "SANDBOX_PORT": str(sandbox_port),
        "LIVE_PORT": str(live_port), "STRIPE_PORT": str(free_port()), **environment,
    }  # fmt: skip
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "run_local"], cwd=PROJECT, env=env,
            stdout=file, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
    return System(process, port, sandbox_port, output, live_port)


def await_line(system: System, text: str, *, seconds: float = START_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if any(line.startswith(text) for line in system.output.read_text().splitlines()):
            return
        assert system.process.poll() is None, system.output.read_text()[-4000:]
        time.sleep(0.1)
    raise AssertionError(f"{text!r} was not printed: {system.output.read_text()[-4000:]}")


def free_port() -> int:
    """A port that nobody has and that nobody else is given before it is used.

    Below those that the system hands out by itself, and in a range of this test process alone:
    several of them start whole systems at once.
    """
    first = 20_000 + 1_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for port in random.sample(range(first, first + 1_000), 1_000):
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise AssertionError("no port is free")


_given: set[int] = set()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def _http(url: str, method: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
    request = urllib.request.Request(  # noqa: S310  (loopback)
        url, method=method, data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **headers},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")
