"""A command of ours in a process of its own, on the servers and the database of the test."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO
from urllib.parse import urlsplit

from django.db import connection

from tests.servers import PROJECT

STOP_SECONDS = 30


@dataclass
class Managed:
    """A running ``manage.py`` command."""

    process: "subprocess.Popen[bytes]"
    written: IO[bytes]
    port: int = 0  # of a server, once it is known

    def stop(self) -> int:
        """End it as a platform does; returns its exit code."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)

    def output(self) -> str:
        """Everything that it wrote so far."""
        with open(self.written.name) as file:
            return file.read()


def database_url() -> str:
    """The test's own database, which only Django knows by name."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    return parts._replace(path=f"/{connection.settings_dict['NAME']}").geturl()


@contextmanager
def managed(*arguments: str, **environment: str) -> Iterator[Managed]:
    """Run a command; it is stopped at the end of the block if it still runs."""
    env = os.environ | {"DATABASE_URL": database_url(), "PYTHONUNBUFFERED": "1"} | environment
    with tempfile.NamedTemporaryFile() as written:
        process = subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT, env=env, stdout=written, stderr=subprocess.STDOUT,
        )  # fmt: skip
        running = Managed(process, written)
        try:
            yield running
        except BaseException:
            print(running.output())  # pytest shows it beside the failure
            raise
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
