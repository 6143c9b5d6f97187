"""What a benchmark reports, and how it is shown."""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.end_to_end.system import free_port
from tests.servers import PROJECT


@dataclass(frozen=True, slots=True)
class Result:
    """One measured figure. ``ratio`` is value over reference where there is a reference."""

    name: str
    value: float
    unit: str
    reference: str
    ratio: float | None
    target: str
    met: bool


def show(results: list[Result]) -> None:
    table = Table("benchmark", "value", "reference", "ratio", "target", "met")
    for item in results:
        ratio = "" if item.ratio is None else f"{item.ratio:.2f}"
        met = "yes" if item.met else "NO"
        value = f"{item.value:,.2f} {item.unit}"
        table.add_row(item.name, value, item.reference, ratio, item.target, met)
    Console(width=160).print(table)


def write(results: list[Result], path: Path) -> None:
    path.write_text(json.dumps([asdict(item) for item in results], indent=2) + "\n")


def seconds(work: Callable[[], object], *, rounds: int = 1) -> float:
    """The median time of a few rounds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def peak_memory() -> int:
    """Bytes that this process held at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def web_server(**environment: str) -> Iterator[int]:
    """gunicorn as production runs it, on a free port, with the reference views."""
    port = free_port()
    env = os.environ | {
        "PORT": str(port), "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings", **environment
    }  # fmt: skip
    command = [sys.executable, "-m", "gunicorn", "tracker.wsgi", "-c", "python:tracker.gunicorn"]
    process = subprocess.Popen(command, cwd=PROJECT, env=env)
    try:
        _await(f"http://127.0.0.1:{port}/readyz")
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _await(url: str) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  (loopback)
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer")
