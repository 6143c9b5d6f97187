"""Bringing a copy back into an empty database."""

from pathlib import Path
from typing import Any

from django.db import DatabaseError, connection

from tracker.backups import keys, making, manifest, media, programs, store
from tracker.backups.content import Told
from tracker.backups.errors import BackupError, NothingThere
from tracker.backups.manifest import Manifest


def find(name: str = "") -> Manifest:
    """The manifest of a copy, of the newest one without a name. Raises NothingThere."""
    names = store.copies()
    if not names or (name and name not in names):
        raise NothingThere(f"there is no copy named {name}" if name else "there is no copy yet")
    return manifest.read(name or names[-1])


def restore(
    made: Manifest, *, told: Told = making.silent, without_keys: bool = False
) -> tuple[str, int]:
    """Fill the database that this thread works on, which must be empty.

    Returns where the data keys came from (nowhere, without them) and how many there were; without
    them nothing that was sealed can be read any more. Raises BackupError.
    """
    refuse_unless_empty()
    # before the hours that the rest may take
    source, wrapped = ("", []) if without_keys else _newest_keys()
    database = str(connection.settings_dict["NAME"])
    programs.restore(making.read_database(made, told), database=database)
    return source, _bring_back(wrapped)


def restore_keys() -> tuple[str, int]:
    """Only the data keys, into a database that was restored; may be run again. As ``restore``."""
    source, wrapped = keys.newest()
    return source, _bring_back(wrapped)


def _newest_keys() -> tuple[str, list[Any]]:
    try:
        return keys.newest()
    except NothingThere as error:
        raise NothingThere(f"{error}; to restore all else: --without-keys") from None


def _bring_back(wrapped: list[Any]) -> int:
    try:
        return keys.bring_back(wrapped)
    except DatabaseError as error:  # its text may quote a row
        raise BackupError(
            f"the rows are restored, their data keys are not ({type(error).__name__}); "
            "try again with --only-keys"
        ) from None


def restore_files(made: Manifest, *, into: Path) -> int:
    """Write the private files into an empty folder; returns how many."""
    if made.files is None:
        raise NothingThere("this copy holds no private files: they lay in a bucket")
    if into.exists() and any(into.iterdir()):
        raise BackupError(f"the folder {into} is not empty")
    return media.unpack(making.read_files(made), into=into)


def refuse_unless_empty() -> None:
    """Raises BackupError: what is there must not be mixed with what comes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'S') "
            "AND relnamespace = 'public'::regnamespace"
        )
        found: Any = cursor.fetchone()
    if found[0]:
        raise BackupError("the database is not empty; restore into a new one")
