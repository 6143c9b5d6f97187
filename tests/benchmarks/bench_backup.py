"""Backup and restore drill of 2 M trades, beside a bare pg_dump and pg_restore of the same."""

import os
import subprocess
import tempfile
import time
from pathlib import Path

from django.core.files.storage import storages
from django.db import connection
from django.test.utils import override_settings

from audit import drills
from portfolios.models import Trade
from tests import factories
from tests.benchmarks import rows
from tests.benchmarks.measure import Result
from tracker import clock, files, tenancy
from tracker.backups import programs, scratch

PEOPLE, TRADES = 20, 2_000_000
_OWN = {
    "id": "gen_random_uuid()",
    "exchange_id": "'copy-' || n",
    "occurred_at": "occurred_at - n * interval '1 minute'",
}


def measure() -> list[Result]:
    _fill()
    with tempfile.TemporaryDirectory() as folder, _places(Path(folder)):
        dumped, restored = _bare(Path(folder))
        made = drills.back_up(now=clock.now())
        result = drills.run(now=clock.now())
    rows.clear()
    seconds = result.seconds or float("inf")
    spent = sum(step["seconds"] for step in result.steps)
    held = result.ok and made.tables["trades"][0] >= TRADES
    of_all = made.seconds + seconds
    return [
        Result("backup of 2 M trades, read back and counted", made.seconds, "s",
               f"bare pg_dump {dumped:.1f} s, {made.size / 1e6:.0f} MB", made.seconds / dumped,
               "no more than it takes", held),
        Result("restore of it, to the first verified query", seconds, "s",
               f"bare pg_restore {restored:.1f} s", seconds / restored, "≤ 60",
               held and seconds <= 60),
        Result("the whole drill", spent, "s", f"{len(result.steps)} steps", None, "", held),
        Result("backup and restore, to the first verified query", of_all, "s",
               f"bare {dumped + restored:.1f} s", of_all / (dumped + restored), "≤ 60",
               held and of_all <= 60),
    ]  # fmt: skip


def _fill() -> None:
    rows.clear()
    columns = [field.column for field in Trade._meta.concrete_fields]
    taken = ", ".join(_OWN.get(column, f'"{column}"') for column in columns)
    named = ", ".join(f'"{column}"' for column in columns)
    for number in range(PEOPLE):
        person = factories.person(f"p{number}@example.com")
        trade = factories.trade(person, factories.connection(person))
        with tenancy.as_system("benchmark"), connection.cursor() as cursor:
            trade.save()
            cursor.execute("SET LOCAL statement_timeout = 0")
            cursor.execute(
                f"INSERT INTO trades ({named}) SELECT {taken} FROM trades, "
                "generate_series(1, %s) AS n WHERE id = %s",
                [TRADES // PEOPLE, trade.id],
            )


def _places(root: Path):
    found = storages.backends | {"backups": files.storage_settings(str(root / "backups"))}
    (root / "files").mkdir()
    return override_settings(
        STORAGES=found, PRIVATE_FILES=str(root / "files"), ERASURE_LOG=str(root / "erasures.jsonl")
    )


def _bare(folder: Path) -> tuple[float, float]:
    """Seconds of the programs themselves, with their defaults, acting as system."""
    options = os.environ | {"PGOPTIONS": f"-c {tenancy.SYSTEM}=benchmark"}
    archive = folder / "bare"
    source = programs._place(connection.settings_dict["NAME"]).conninfo
    dump = [programs._find("pg_dump"), "-Fc", "--enable-row-security", "-f", archive]
    begun = time.perf_counter()
    subprocess.run([*dump, f"--dbname={source}"], env=options, check=True)
    dumped = time.perf_counter() - begun
    with scratch.database("bare") as name:
        restore = [programs._find("pg_restore"), "--exit-on-error", archive]
        target = programs._place(name).conninfo
        begun = time.perf_counter()
        subprocess.run([*restore, f"--dbname={target}"], env=options, check=True)
        restored = time.perf_counter() - begun
    archive.unlink()
    return dumped, restored
