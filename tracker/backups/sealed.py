"""Files under AES-256-GCM in chunks, so that any size is written and read in constant memory.

A file is a header (magic, id of the master key, salt) and chunks of 1 MiB, each with its tag. The
file's own key is derived by HKDF-SHA-256 from a master key, the salt and the file's name, so a
file under another's name does not open. A chunk's nonce is its number and whether it is the last
one (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015): chunks that were
left out, swapped, added or cut off at the end do not open either.
"""

import hashlib
import io
import os
from collections.abc import Iterator
from typing import IO, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tracker.backups.errors import NotReadable
from tracker.vault import Keyring

CHUNK = 1 << 20
_MAGIC = b"TRKBKUP1"
_ID, _SALT, _TAG = 16, 32, 16
_HEADER = len(_MAGIC) + _ID + _SALT


class Pieces(io.RawIOBase):
    """A file to read from, made of what an iterator gives.

    A read is short only at the end: who uploads takes a short one for the whole file.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        wanted, done = memoryview(buffer), 0
        while done < len(wanted) and self._have_rest():
            size = min(len(self._rest), len(wanted) - done)
            wanted[done : done + size] = self._rest[:size]
            self._rest = self._rest[size:]
            done += size
        return done

    def _have_rest(self) -> bool:
        while not self._rest:
            following = next(self._pieces, None)
            if following is None:
                return False
            self._rest = memoryview(following)
        return True


class Sealed(Pieces):
    """What is read from here is the sealed form of what ``pieces`` gives, made as it is read.

    Once read to the end, ``size`` and ``digest`` (SHA-256, hex) are those of the whole file.
    """

    def __init__(self, pieces: Iterator[bytes], *, keyring: Keyring, name: str) -> None:
        super().__init__(_seal(pieces, keyring, name))
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def readinto(self, buffer: Any) -> int:
        size = super().readinto(buffer)
        self._hash.update(memoryview(buffer)[:size])
        self.size += size
        return size


def opened(file: IO[bytes], *, keyring: Keyring, name: str, digest: str = "") -> Iterator[bytes]:
    """The content of a sealed file, each piece authenticated. Raises NotReadable.

    Who reads it must not trust what came before an error: only at the end is it known that
    nothing is missing. ``digest`` is what the whole file's SHA-256 should be.
    """
    seen = hashlib.sha256()
    header = _exactly(file, _HEADER)
    seen.update(header)
    cipher = _cipher_of(header, keyring, name)
    number, chunk = 0, _exactly(file, CHUNK + _TAG)
    while True:
        following = _exactly(file, CHUNK + _TAG)
        seen.update(chunk)
        yield _open(cipher, chunk, number, last=not following, name=name)
        if not following:
            break
        number, chunk = number + 1, following
    if digest and seen.hexdigest() != digest:
        raise NotReadable(f"{name} is another file than the one that was made: checksum differs")


def _seal(pieces: Iterator[bytes], keyring: Keyring, name: str) -> Iterator[bytes]:
    salt = os.urandom(_SALT)
    yield _MAGIC + keyring.current_id.encode() + salt
    cipher = _cipher(keyring.keys[0], salt, name)
    number, held = 0, bytearray()
    for piece in pieces:
        held += piece
        while len(held) > CHUNK:  # the last chunk is never empty unless the file is
            yield cipher.encrypt(_nonce(number, last=False), bytes(held[:CHUNK]), None)
            del held[:CHUNK]
            number += 1
    yield cipher.encrypt(_nonce(number, last=True), bytes(held), None)


def _open(cipher: AESGCM, chunk: bytes, number: int, *, last: bool, name: str) -> bytes:
    try:
        return cipher.decrypt(_nonce(number, last=last), chunk, None)
    except (InvalidTag, ValueError):
        raise NotReadable(f"{name} was changed, cut off or is sealed by another key") from None


def _cipher_of(header: bytes, keyring: Keyring, name: str) -> AESGCM:
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        raise NotReadable(f"{name} is not a sealed file")
    key_id = header[len(_MAGIC) : len(_MAGIC) + _ID].decode("ascii", "replace")
    master = keyring.by_id.get(key_id)
    if master is None:
        raise NotReadable(f"{name} is sealed by a key that is not listed (its id is {key_id!a})")
    return _cipher(master, header[-_SALT:], name)


def _cipher(master: bytes, salt: bytes, name: str) -> AESGCM:
    info = b"tracker/v1\0backup\0" + name.encode()
    return AESGCM(HKDF(hashes.SHA256(), 32, salt=salt, info=info).derive(master))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _exactly(file: IO[bytes], size: int) -> bytes:
    """So many bytes, fewer only at the end: a network gives what it has."""
    parts: list[bytes] = []
    while size and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
