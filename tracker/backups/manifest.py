"""What a copy is said to hold, itself sealed, so that nobody can say otherwise."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings

from tracker.backups import sealed, store
from tracker.backups.content import Table
from tracker.backups.errors import NotReadable

DATABASE, FILES, KEYS, MANIFEST = "database", "files", store.KEYS, "manifest"


@dataclass(frozen=True, slots=True)
class Part:
    """One sealed file as it was written."""

    size: int
    digest: str


@dataclass(slots=True)
class Manifest:
    """One copy. ``tables`` are counted in the snapshot that was dumped; ``seconds`` is how long
    all of it took, the reading back included."""

    name: str
    made_at: str
    server: int
    migrations: dict[str, str]
    policies: list[list[Any]]
    tables: dict[str, Table] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    files: int | None = None  # how many private files; None when they are not in the copy
    seconds: float = 0.0

    @property
    def rows(self) -> int:
        return sum(rows for rows, _ in self.tables.values())

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts.values())

    @property
    def begun_at(self) -> datetime:
        return datetime.fromisoformat(self.made_at)


def write_part(name: str, part: str, pieces: Iterator[bytes]) -> Part:
    """Seal a part of a copy into the store, as it is read."""
    path = store.path_of(name, part)
    content = sealed.Sealed(pieces, keyring=settings.BACKUP_KEYRING, name=path)
    store.save(path, content)
    return Part(content.size, content.digest)


def read_part(name: str, part: str, *, digest: str = "") -> Iterator[bytes]:
    """A part in the clear, piece by piece. Raises NothingThere, NotReadable."""
    path = store.path_of(name, part)
    with store.read(path) as file:
        yield from sealed.opened(file, keyring=settings.BACKUP_KEYRING, name=path, digest=digest)


def write(manifest: Manifest) -> None:
    """From here on the copy exists."""
    text = json.dumps(asdict(manifest)).encode()
    write_part(manifest.name, MANIFEST, iter([text]))


def read(name: str) -> Manifest:
    """The manifest of a copy. Raises NothingThere, NotReadable."""
    told = json.loads(b"".join(read_part(name, MANIFEST)))
    try:
        parts = {part: Part(**facts) for part, facts in told.pop("parts").items()}
        tables = {table: (rows, checksum) for table, (rows, checksum) in told.pop("tables").items()}
        return Manifest(**told, parts=parts, tables=tables)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise NotReadable(f"the manifest of {name} is of another version of this program") from None
