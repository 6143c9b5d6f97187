"""Private files as one archive (tar), when they lie in a folder of ours.

In a bucket they are not copied: the bucket's own replication does that better.
"""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from tracker.backups.errors import NotReadable
from tracker.backups.sealed import Pieces

_BLOCK = tarfile.BLOCKSIZE
_PIECE = 1 << 20


def folder() -> Path | None:
    """Where the files lie; None when that is a bucket."""
    return None if settings.PRIVATE_FILES.startswith("s3://") else Path(settings.PRIVATE_FILES)


def paths(root: Path) -> list[Path]:
    """All files now; who works on them may remove some before they are read."""
    return sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())


def packed(root: Path, found: list[Path], *, taken: list[Path]) -> Iterator[bytes]:
    """The archive in pieces; ``taken`` gets the files that were still there."""
    for path in found:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            continue
        taken.append(path)
        with file:
            info = tarfile.TarInfo(str(path.relative_to(root)))
            info.size = os.fstat(file.fileno()).st_size
            info.mtime, info.mode = int(os.fstat(file.fileno()).st_mtime), 0o600
            yield info.tobuf(tarfile.PAX_FORMAT)
            yield from _exactly(file, info.size)
            yield bytes(-info.size % _BLOCK)
    yield bytes(2 * _BLOCK)


def count(pieces: Iterator[bytes]) -> int:
    """How many files an archive holds, each read to its end."""
    return sum(1 for _ in _members(pieces, into=None))


def unpack(pieces: Iterator[bytes], *, into: Path) -> int:
    """Write the files of an archive into a folder; returns how many."""
    into.mkdir(parents=True, exist_ok=True, mode=0o700)
    return sum(1 for _ in _members(pieces, into=into))


def _members(pieces: Iterator[bytes], *, into: Path | None) -> Iterator[str]:
    try:
        with tarfile.open(fileobj=Pieces(pieces), mode="r|", bufsize=_PIECE) as archive:
            for member in archive:
                if into is not None:
                    archive.extract(member, into, filter="data")
                yield member.name
    except tarfile.TarError as error:
        raise NotReadable(f"the archive of files cannot be read: {error}") from None
    for _ in pieces:  # to the end, where it shows whether something is missing
        pass


def _exactly(file, size: int) -> Iterator[bytes]:
    """So many bytes; a file that has become shorter meanwhile is filled up."""
    while size and (piece := file.read(min(size, _PIECE))):
        size -= len(piece)
        yield piece
    yield bytes(size)
