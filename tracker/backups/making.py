"""Making a copy: everything as it was at one instant, sealed, read back and counted.

The rows that the dump holds are counted in what was stored, and compared with what the snapshot
had. A copy that differs is removed and never counts as one.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

from tracker.backups import content, kept, keys, manifest, media, programs, rows, store
from tracker.backups.content import Cursor, Told
from tracker.backups.errors import AlreadyRunning, NotWhole
from tracker.backups.manifest import Manifest

LOCK = "tracker.backups.making"
# A dump that is not finished after so long belongs to a process that died.
GIVEN_UP = timedelta(days=2)
# Compressed once and lightly: the archive cannot be compressed any more when it is sealed.
_ARCHIVE = (
    "--format=custom", "--compress=1", "--schema=public", "--enable-row-security",
    f"--exclude-table-data=public.{keys.TABLE}", "--no-owner", "--no-privileges",
    "--lock-wait-timeout=60s",
)  # fmt: skip


def silent(text: str, done: int, total: int) -> None:
    """For who does not want to hear how far it is."""


def make(*, now: datetime, told: Told = silent) -> Manifest:
    """Make one copy. Raises BackupError, and has then left nothing behind but the lines of logs."""
    with one_at_a_time(LOCK):
        name = store.new_name(now)
        try:
            return _make(name, now, told)
        except BaseException:
            _forget(name)
            raise


def prune(*, now: datetime) -> int:
    """Remove the copies whose time is over; returns how many. Call after one was made."""
    keys.prune(now=now)
    names = store.copies()
    wanted = kept.kept(map(store.made_at, names), now=now)
    old = [name for name in names if store.made_at(name) not in wanted]
    old += [name for name in store.unfinished() if store.made_at(name) < now - GIVEN_UP]
    for name in old:
        store.remove_copy(name)
    return len(old)


@contextmanager
def one_at_a_time(lock: str) -> Iterator[None]:
    """Hold a lock in a transaction of its own, so that a dead process's is free at once.

    Raises AlreadyRunning.
    """
    with content.snapshot("one at a time") as run:
        taken = run.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [lock])
        if taken.fetchone() != (True,):
            raise AlreadyRunning("another process is at it already")
        yield


def _make(name: str, now: datetime, told: Told) -> Manifest:
    begun = time.monotonic()
    with content.snapshot("backup") as run:
        made = Manifest(
            name=name, made_at=now.isoformat(), server=programs.version(),
            migrations=content.migrations(run), policies=content.policies(run),
        )  # fmt: skip
        made.parts[manifest.KEYS] = manifest.write_part(name, manifest.KEYS, keys.lines(run))
        _dump(made, run, told)
    _pack_files(made, told)
    _read_back(made, told)
    made.seconds = round(time.monotonic() - begun, 1)
    manifest.write(made)
    return made


def _dump(made: Manifest, run: Cursor, told: Told) -> None:
    """Dump what the snapshot sees, and count it meanwhile."""
    (snapshot,) = run.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
    pieces = programs.dump(*_ARCHIVE, f"--snapshot={snapshot}")
    with ThreadPoolExecutor(1) as beside:
        counting = beside.submit(content.tables, run, silent)
        dumped = _told_of(pieces, "Dumping", told)
        made.parts[manifest.DATABASE] = manifest.write_part(made.name, manifest.DATABASE, dumped)
        made.tables = counting.result()
    if hidden := content.hidden_rows(run, made.tables):
        raise NotWhole(f"partitions do not show their rows to a dump: {', '.join(hidden)}")


def _pack_files(made: Manifest, told: Told) -> None:
    root = media.folder()
    if root is None:
        return
    found = media.paths(root)
    taken: list[Path] = []
    pieces = _told_of(media.packed(root, found, taken=taken), "Packing private files", told)
    made.parts[manifest.FILES] = manifest.write_part(made.name, manifest.FILES, pieces)
    made.files = len(taken)


def _read_back(made: Manifest, told: Told) -> None:
    """Raises NotWhole, NotReadable."""
    stored = rows.count(programs.as_sql(read_database(made, told)))
    differing = differences({t: n for t, (n, _) in made.tables.items()} | {keys.TABLE: 0}, stored)
    if differing:
        raise NotWhole(f"the dump does not hold what the database holds: {differing}")
    if made.files is not None and media.count(read_files(made)) != made.files:
        raise NotWhole("the archive of files does not hold what the folder holds")


def differences(expected: dict[str, int], found: dict[str, int]) -> str:
    """Tables whose rows differ, as a sentence; a table without rows may be missing."""
    names = sorted(name for name in expected | found if expected.get(name, 0) != found.get(name, 0))
    more = f" and {len(names) - 5} more tables" if len(names) > 5 else ""
    said = (f"{name} {found.get(name, 0)} of {expected.get(name, 0)} rows" for name in names[:5])
    return ", ".join(said) + more


def read_database(made: Manifest, told: Told = silent) -> Iterator[bytes]:
    """The archive that pg_restore reads."""
    digest = made.parts[manifest.DATABASE].digest
    pieces = manifest.read_part(made.name, manifest.DATABASE, digest=digest)
    return _told_of(pieces, "Reading back", told, total=made.parts[manifest.DATABASE].size)


def read_files(made: Manifest) -> Iterator[bytes]:
    """The archive of private files."""
    digest = made.parts[manifest.FILES].digest
    return manifest.read_part(made.name, manifest.FILES, digest=digest)


def _told_of(pieces: Iterator[bytes], text: str, told: Told, total: int = 0) -> Iterator[bytes]:
    done = 0
    for piece in pieces:
        done += len(piece)
        told(text, done, total)
        yield piece


def _forget(name: str) -> None:
    """What cannot be removed now goes with the next pruning."""
    with suppress(Exception):
        store.remove_copy(name)
        store.remove_keys(name)


def due(*, now: datetime) -> bool:
    """Whether no copy was made yet today (UTC)."""
    names = store.copies()
    return not names or store.made_at(names[-1]).date() < now.date()
