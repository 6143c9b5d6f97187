"""Who was erased and when, outside the database: one JSON line each, only ever added to.

A restored backup brings erased people back; these lines say whom to erase again. A line holds the
user's id and the time and nothing else.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from django.conf import settings


class ErasureLogUnusable(Exception):
    """Without the log nobody is erased: a restore would bring them back unnoticed."""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One line."""

    user_id: UUID
    erased_at: datetime


def check() -> None:
    """Raises ErasureLogUnusable unless lines can be added."""
    with _log():
        pass


def add(user_id: UUID, *, now: datetime) -> None:
    """Add a line unless there is one; on the disk when this returns. Raises ErasureLogUnusable."""
    line = json.dumps({"user_id": str(user_id), "erased_at": now.isoformat()}) + "\n"
    with _log() as descriptor:
        if any(stone.user_id == user_id for stone in read()):
            return
        if not _ends_a_line(descriptor):  # a write that was cut off must not take this one along
            line = "\n" + line
        os.write(descriptor, line.encode())
        os.fsync(descriptor)


def read() -> Iterator[Tombstone]:
    """Every line, oldest first; what cannot be read, such as one that was cut off, is left out."""
    path = Path(settings.ERASURE_LOG)
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with suppress(ValueError, KeyError, TypeError):
                entry = json.loads(line)
                yield Tombstone(
                    UUID(entry["user_id"]), datetime.fromisoformat(entry["erased_at"])
                )  # fmt: skip


@contextmanager
def _log() -> Iterator[int]:
    """The log, locked against other writers. Raises ErasureLogUnusable."""
    path = Path(settings.ERASURE_LOG)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        is_new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as error:
        raise ErasureLogUnusable(f"ERASURE_LOG cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if is_new:
            _sync_folder(path.parent)
        yield descriptor
    finally:
        os.close(descriptor)  # takes the lock along


def _ends_a_line(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"


def _sync_folder(folder: Path) -> None:
    """Make the new file's name as lasting as its content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
