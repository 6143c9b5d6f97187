"""Processes that are started again when they die, as systemd or honcho's container would do it."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.servers import PROJECT

RESTART_AFTER = 1.0  # seconds from a death to the next start


@dataclass
class Supervised:
    """One process of the system; its environment is asked for anew with each start."""

    name: str
    command: Sequence[str]
    environment: Callable[[], Mapping[str, str]]
    log: Path
    user: str | None = None
    process: "subprocess.Popen[bytes] | None" = None
    wanted: bool = False
    died_at: float | None = None
    started_at: float = 0.0
    starts: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it now; it counts as wanted from here on."""
        with self.lock, self.log.open("ab") as log:
            self.process = subprocess.Popen(
                list(self.command), cwd=PROJECT, env=dict(self.environment()), stdout=log,
                stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, user=self.user,
            )  # fmt: skip
            self.wanted, self.died_at = True, None
            self.started_at = time.monotonic()
            self.starts += 1

    def hold_down(self) -> None:
        """Leave it dead, should it die now."""
        with self.lock:
            self.wanted = False

    def stop(self, seconds: float = 30) -> None:
        """End it as a deployment does, and leave it down."""
        self.hold_down()
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGINT if self.name == "postgresql" else signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        self.kill_family()

    def kill_family(self) -> None:
        """SIGKILL for it and for everything that it started."""
        if self.process is None:
            return
        family = self.family()
        for member in family:
            with suppress(psutil.Error):
                member.kill()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def family(self) -> list[psutil.Process]:
        """The process and all of its descendants."""
        if self.process is None:
            return []
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def children(self) -> list[psutil.Process]:
        return self.family()[1:]

    def watch(self) -> None:
        """Start it again a second after it died, and clear away what it left running."""
        with self.lock:
            if not self.wanted or self.alive:
                return
            if self.died_at is None:
                self.died_at = time.monotonic()
                self.kill_family()
            elif time.monotonic() - self.died_at >= RESTART_AFTER:
                self.start()


class Supervisor:
    """Looks after all processes in a thread of its own."""

    def __init__(self) -> None:
        self.all: list[Supervised] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def add(self, process: Supervised) -> Supervised:
        self.all.append(process)
        return process

    def end(self) -> None:
        """Stop everything, what was started last first."""
        for process in self.all:
            process.hold_down()
        self._done.set()
        self._thread.join()
        for process in reversed(self.all):
            process.stop()

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            for process in self.all:
                process.watch()
