"""Where copies lie: ``BACKUPS``, a folder or ``s3://bucket/prefix?…``, as for private files.

``copies/`` holds what is kept for up to twelve months, ``keys/`` the wrapped data keys, which are
kept for days. A copy exists once its manifest does; that is written last.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, Any

from django.core.files import File
from storages.backends.s3 import S3Storage

from tracker import ids
from tracker.backups import buckets
from tracker.backups.errors import BackupError, NothingThere

ALIAS = "backups"
COPIES, KEYS = "copies", "keys"
_STAMP = "%Y%m%dT%H%M%SZ"
_MANIFEST = ".manifest"
_UNFINISHED = ".unfinished"


def new_name(now: datetime) -> str:
    """The name of a copy: when it was made, and a few characters that tell twins apart."""
    return f"{now.astimezone(UTC):{_STAMP}}-{ids.new_id().hex[-8:]}"


def made_at(name: str) -> datetime:
    """When the copy of this name was begun. Raises ValueError for what is no such name."""
    return datetime.strptime(name.partition("-")[0], _STAMP).replace(tzinfo=UTC)


def path_of(name: str, part: str) -> str:
    """The file of one part of a copy."""
    return f"{KEYS if part == KEYS else COPIES}/{name}.{part}"


def save(path: str, content: Any) -> None:
    """Write a file as it is read. It stands under its name only once it is whole."""
    storage = _storage()
    if storage.exists(path):
        raise BackupError(f"{path} is there already")
    if isinstance(storage, S3Storage):
        buckets.save(storage, path, content)
        return
    try:
        _write(storage, path, content)
    except BaseException:
        with suppress(Exception):
            storage.delete(path + _UNFINISHED)
        raise


def _write(storage: Any, path: str, content: Any) -> None:
    """Into a folder: on the disk under another name first, so that a kill leaves no half file."""
    begun = storage.path(storage.save(path + _UNFINISHED, File(content, name=path)))
    with open(begun, "rb") as file:
        os.fsync(file.fileno())
    os.replace(begun, storage.path(path))


def read(path: str) -> IO[bytes]:
    """A file to be read in pieces. Raises NothingThere."""
    storage = _storage()
    try:
        if isinstance(storage, S3Storage):
            return buckets.read(storage, path)
        opened: IO[bytes] = storage.open(path)
    except FileNotFoundError:
        raise NothingThere(f"{path} is not there") from None
    return opened


def copies() -> list[str]:
    """Names of the copies that are whole, oldest first."""
    names = set(_names(COPIES))
    whole = (name.removesuffix(_MANIFEST) for name in names if name.endswith(_MANIFEST))
    return sorted(name for name in _dated(whole) if f"{name}.database" in names)


def unfinished() -> list[str]:
    """Names of copies that have no manifest (yet)."""
    begun = {name.partition(".")[0] for name in _names(COPIES)}
    return sorted(_dated(begun - set(copies())))


def key_copies() -> list[str]:
    """Names of the copies of keys that are whole, oldest first."""
    found = (name for name in _names(KEYS) if name.endswith(f".{KEYS}"))
    return sorted(_dated(name.removesuffix(f".{KEYS}") for name in found))


def begun_key_copies() -> list[str]:
    """As ``key_copies``, with those that were never finished."""
    return sorted(_dated({name.partition(".")[0] for name in _names(KEYS)}))


def remove_copy(name: str) -> None:
    """Remove all parts but the keys; the manifest first, so that no half copy looks whole."""
    parts = [path for path in _names(COPIES) if path.partition(".")[0] == name]
    for path in sorted(parts, key=lambda path: not path.endswith(_MANIFEST)):
        _storage().delete(f"{COPIES}/{path}")


def remove_keys(name: str) -> None:
    for path in _names(KEYS):
        if path.partition(".")[0] == name:
            _storage().delete(f"{KEYS}/{path}")


def _names(folder: str) -> list[str]:
    try:
        return list(_storage().listdir(folder)[1])
    except FileNotFoundError:
        return []


def _dated(names: Any) -> Iterator[str]:
    for name in names:
        with suppress(ValueError):
            made_at(name)
            yield name


def _storage() -> Any:
    from django.core.files.storage import storages

    return storages[ALIAS]
