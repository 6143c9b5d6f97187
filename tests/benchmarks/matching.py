"""One engine, one method, one number of trades, in a process of its own: time, memory, gain.

``python -m tests.benchmarks.matching ours fifo 100000 3`` prints them as JSON.
"""

import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Matched:
    """Seconds of the processor in the fastest round, bytes at the peak, and the gain in all."""

    seconds: float
    memory: int
    gain: Decimal


def run(engine: str, method: str, count: int, *, rounds: int = 3) -> Matched:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.matching", engine, method, str(count),
             str(rounds)],
            check=True, capture_output=True, text=True, cwd=folder,
            env=os.environ | {"PYTHONPATH": str(PROJECT)},
        )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    return Matched(found["seconds"], found["memory"], Decimal(found["gain"]))


def main(engine: str, method: str, count: int, rounds: int) -> None:
    module = importlib.import_module(f"tests.benchmarks.lots_by_{engine}")
    match = module.prepare(count, method)
    times = []
    for _ in range(rounds):
        matched = None  # gone before the next one is made
        gc.collect()
        started = time.process_time()
        matched = match()
        times.append(time.process_time() - started)
    memory = _peak_memory()
    gain = str(module.gain(matched))
    print(json.dumps({"seconds": min(times), "memory": memory, "gain": gain}))


def _peak_memory() -> int:
    """Bytes held at most since this program began; what its parent held would count elsewhere."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not tell")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
