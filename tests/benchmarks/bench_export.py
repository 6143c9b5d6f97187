"""A copy of everything about somebody with 100,000 trades: how long, and how much memory."""

import gc
import tempfile
import time
import zipfile

from accounts.privacy import archive
from tests.benchmarks import history, rows
from tests.benchmarks.measure import Result, peak_memory
from tracker import clock

FEW = 2_000


def measure() -> list[Result]:
    now = clock.now()
    rows.clear()
    _exported(history.somebody(now, trades=FEW)[0])  # what any export needs is in memory now
    rows.clear()
    user, _ = history.somebody(now)
    gc.collect()
    before = peak_memory()
    seconds, written, size = _exported(user)
    grown = (peak_memory() - before) / 1024**2
    return [
        Result("export of 100,000 trades", seconds, "s", f"{written:,} rows, {size / 1e6:.0f} MB",
               None, "≤ 60", seconds <= 60 and written > 4 * history.TRADES),
        Result("memory of that export over one of 2,000", grown, "MB", "", None, "≤ 16",
               grown <= 16),
    ]  # fmt: skip


def _exported(user) -> tuple[float, int, int]:
    with tempfile.TemporaryFile() as target:
        started = time.perf_counter()
        written = archive.write(target, user_id=user.id, now=clock.now(), told=lambda done: None)
        seconds = time.perf_counter() - started
        size = target.tell()
        with zipfile.ZipFile(target) as found:
            assert found.testzip() is None
    return seconds, written, size
