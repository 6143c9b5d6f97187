"""A task that kills its worker, for a worker of the tests."""

import os
import signal
from pathlib import Path

from tracker.celery import app

QUEUE = "poison"


@app.task(name="tests.kill_the_worker", ignore_result=True)
def kill_the_worker(*, trace: str) -> None:
    with Path(trace).open("a") as file:
        file.write("begun\n")
    os.kill(os.getpid(), signal.SIGKILL)
