"""One file of ledger entries, made in this process: its time, its size, and the most memory held.

``python -m tests.benchmarks.one_file_export USER FORMAT [SINCE]`` prints them as JSON.
"""

import json
import resource
import sys
import time
from datetime import datetime
from uuid import UUID

import django


def make(user_id: UUID, format: str, since: str) -> dict[str, float]:
    """Ask for a file as the app does, make it as the worker does, and leave nothing behind."""
    from portfolios.exporting import asking, making
    from tracker import clock

    now = clock.now()
    asked = asking.request(
        user_id=user_id, contents=["ledger"], format=format, now=now,
        since=datetime.fromisoformat(since) if since else None,
    )  # fmt: skip
    started = time.perf_counter()
    if not making.make(export_id=asked["id"], clock=clock.now):
        raise RuntimeError("the file was not made")
    seconds = time.perf_counter() - started
    told = asking.detail(user_id=user_id, export_id=asked["id"], now=clock.now())
    asking.remove(user_id=user_id, export_id=asked["id"], now=clock.now())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "rows": told["rows_done"], "bytes": told["bytes"], "peak": peak}


if __name__ == "__main__":
    django.setup()
    print(json.dumps(make(UUID(sys.argv[1]), sys.argv[2], sys.argv[3])))
