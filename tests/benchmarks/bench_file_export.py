"""A person's files of data: a million entries as CSV beside a bare COPY, and the other formats."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from uuid import UUID

from django.db import connection

from accounts.models import User
from tests.benchmarks import history, rows
from tests.benchmarks.measure import Result
from tests.servers import PROJECT
from tracker import clock, tenancy

ENTRIES, FEW = 1_000_000, 100_000
OTHERS = ("jsonl", "parquet", "xlsx")
ROUNDS = 3


def measure() -> list[Result]:
    rows.clear()
    user = _somebody()
    count = _entries(user.id)
    since = _instant_before(user.id, FEW)
    bare = statistics.median(_bare_copy(user.id) for _ in range(ROUNDS))
    runs = [_child(user.id, "csv") for _ in range(ROUNDS)]
    seconds = statistics.median(run["seconds"] for run in runs)
    grown = (max(run["peak"] for run in runs) - _child(user.id, "csv", since)["peak"]) / 1024**2
    whole = all(run["rows"] == count >= ENTRIES for run in runs)
    return [
        Result(f"{count:,} ledger entries as CSV, zipped", seconds, "s",
               f"{bare:.2f} s: bare COPY to a file", seconds / bare, "≤ 30 s, ≤ 3×",
               whole and seconds <= 30 and seconds <= 3 * bare),
        Result("memory of that over 100,000 entries", grown, "MB", "", None, "≤ 8", grown <= 8),
        *(_other(user.id, format, since) for format in OTHERS),
    ]  # fmt: skip


def _somebody() -> User:
    """Making so many rows takes longer than a statement usually may."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        user, _ = history.somebody(clock.now(), trades=ENTRIES // 3)
        cursor.execute("RESET statement_timeout")
    return user


def _other(user_id: UUID, format: str, since: str) -> Result:
    found = _child(user_id, format, since)
    return Result(
        f"{found['rows']:,} entries as {format}", found["seconds"], "s",
        f"{found['bytes'] / 1e6:.0f} MB, peak {found['peak'] / 1024**2:.0f} MB", None,
        "printed only", found["rows"] > 0,
    )  # fmt: skip


def _entries(user_id: UUID) -> int:
    with tenancy.as_user(user_id), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM ledger_entries WHERE user_id = %s", [user_id])
        return cursor.fetchone()[0]


def _instant_before(user_id: UUID, count: int) -> str:
    """Since when the newest so many entries are."""
    with tenancy.as_user(user_id), connection.cursor() as cursor:
        cursor.execute(
            "SELECT occurred_at FROM ledger_entries WHERE user_id = %s "
            "ORDER BY occurred_at DESC OFFSET %s LIMIT 1",
            [user_id, count],
        )
        return cursor.fetchone()[0].isoformat()


def _bare_copy(user_id: UUID) -> float:
    """Seconds that the table itself takes: no other table, nothing escaped, nothing packed."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as out, tenancy.as_user(user_id), connection.cursor() as cursor:
        copy = "COPY (SELECT * FROM ledger_entries WHERE user_id = %s) TO STDOUT (FORMAT csv)"
        with cursor.copy(copy, [user_id]) as found:
            for piece in found:
                out.write(piece)
    return time.perf_counter() - started


def _child(user_id: UUID, format: str, since: str = "") -> dict[str, float]:
    """One file made in a process of its own, whose memory is nobody else's."""
    command = [
        sys.executable, "-m", "tests.benchmarks.one_file_export", str(user_id), format, since,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])
