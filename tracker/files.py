"""Files that belong to one person each: a folder of ours, or a bucket. Never served by the web.

``PRIVATE_FILES`` is a folder, or ``s3://bucket/prefix?region_name=…&endpoint_url=…`` (keys from the
usual AWS_… variables). A leaf: the settings read ``storage_settings``.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any
from urllib.parse import parse_qsl, urlsplit

ALIAS = "private"


def storage_settings(place: str) -> dict[str, Any]:
    """The entry of ``STORAGES`` for a place."""
    if not place.startswith("s3://"):
        options: dict[str, Any] = {
            "location": place, "base_url": None,
            "file_permissions_mode": 0o600, "directory_permissions_mode": 0o700,
        }  # fmt: skip
        return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": options}
    parts = urlsplit(place)
    options = {
        "bucket_name": parts.netloc, "location": parts.path.strip("/"),
        "default_acl": None, "file_overwrite": True, "querystring_auth": True,
        **dict(parse_qsl(parts.query)),
    }  # fmt: skip
    return {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}


def save(name: str, content: IO[bytes]) -> str:
    """Keep a file, read in pieces from where ``content`` stands; returns the name it got."""
    from django.core.files import File

    return _storage().save(name, File(content))


def read(name: str) -> IO[bytes]:
    """A file to be read in pieces. Raises FileNotFoundError."""
    return _storage().open(name)


def remove(name: str) -> None:
    """Remove a file; one that is gone is no error."""
    if name:
        _storage().delete(name)


def remove_folder(folder: str) -> None:
    """Remove a folder with the files in it; what is being written there now stays."""
    for name in list(names(folder)):
        remove(name)
    with suppress(OSError):
        _storage().delete(folder)


def names(folder: str) -> Iterator[str]:
    """Names of the files in a folder, without those in folders inside."""
    with suppress(FileNotFoundError):
        _, found = _storage().listdir(folder)
        yield from (f"{folder}/{name}" for name in found)


def _storage() -> Any:
    from django.core.files.storage import storages

    return storages[ALIAS]
