"""How long the second ``make run`` takes to its first answer."""

import http.client
import tempfile
import time
from pathlib import Path

from tests.benchmarks.measure import Result
from tests.end_to_end import system as systems


def measure() -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with systems.running(folder):
            pass
        started = time.perf_counter()
        second = systems.start(folder)
        try:
            while not _answers(second.port):
                time.sleep(0.05)
            took = time.perf_counter() - started
        finally:
            second.stop()
    return [Result("second start to the first 200", took, "s", "", None, "≤ 15 s", took <= 15)]


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
