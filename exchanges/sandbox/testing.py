"""A sandbox in a process of its own, for tests and benchmarks."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO

from exchanges.sandbox import config, keys

_ROOT = Path(__file__).resolve().parents[2]
_STOP_SECONDS = 10


class SandboxError(Exception):
    """The sandbox did not start; the message is what it wrote."""


@dataclass(slots=True)
class SandboxProcess:
    """A running sandbox; as a context manager it stops at the end of the block."""

    url: str
    settings: config.Config
    process: "subprocess.Popen[str]"
    written: IO[str]

    def api_key(self, account: int, role: str = "read", house: str = keys.BINANCE) -> str:
        """The public half of an account's key."""
        return keys.api_key(self.settings.seed, account, role, house)

    def api_secret(self, account: int, role: str = "read", house: str = keys.BINANCE) -> str:
        """The secret half of an account's key."""
        return keys.api_secret(self.settings.seed, account, role, house)

    def stop(self) -> int:
        """End it as SIGTERM does; returns its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        _close(self.process, self.written)
        return code

    def __enter__(self) -> "SandboxProcess":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def start(settings: config.Config | None = None, *, port: int = 0) -> SandboxProcess:
    """Start a sandbox and wait until it listens; on a free port unless one is given.

    Raises SandboxError.
    """
    settings = replace(settings or config.Config(), port=port)
    # A file, since a pipe that nobody reads would stop the process once it is full.
    written = tempfile.TemporaryFile("w+")  # noqa: SIM115
    process = subprocess.Popen(
        [sys.executable, "-m", "exchanges.sandbox", *settings.flags()],
        stdout=subprocess.PIPE,
        stderr=written,
        text=True,
        env=os.environ | {"PYTHONPATH": str(_ROOT)},
    )
    # The first line says that it listens and where, so nothing has to be polled.
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise SandboxError(_failure(process, written))
    return SandboxProcess(line.split()[-1], settings, process, written)


def _failure(process: "subprocess.Popen[str]", written: IO[str]) -> str:
    process.wait()
    written.seek(0)
    message = written.read()
    _close(process, written)
    return message


def _close(process: "subprocess.Popen[str]", written: IO[str]) -> None:
    written.close()
    if process.stdout:
        process.stdout.close()
