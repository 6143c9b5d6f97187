"""S47: what is sealed opens whole under its own name and key, and in no other way."""

import io
import os

import pytest

from tracker.backups import sealed
from tracker.backups.errors import NotReadable
from tracker.vault import Keyring

HEADER, STEP = 56, sealed.CHUNK + 16
RING = Keyring((os.urandom(32),))
OTHER = Keyring((os.urandom(32),))


def made(content: bytes, *, ring: Keyring = RING, name: str = "a") -> bytes:
    pieces = (content[at : at + 100_003] for at in range(0, len(content), 100_003))
    return sealed.Sealed(pieces, keyring=ring, name=name).read()


def read(file: bytes, *, ring: Keyring = RING, name: str = "a", digest: str = "") -> bytes:
    return b"".join(sealed.opened(io.BytesIO(file), keyring=ring, name=name, digest=digest))


def chunks(file: bytes) -> list[bytes]:
    return [file[at : at + STEP] for at in range(HEADER, len(file), STEP)]


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(2 * sealed.CHUNK + 12_345)


@pytest.mark.parametrize("size", [0, 1, -1, sealed.CHUNK, sealed.CHUNK + 1, 2 * sealed.CHUNK])
def test_what_was_sealed_comes_back(content, size):
    """S47"""
    part = content[:size]
    assert read(made(part)) == part


def test_nothing_of_the_content_shows(content):
    """S47"""
    assert b"correct horse" not in made(b"correct horse battery staple" * 1000)


def test_size_and_digest_are_those_of_the_file(content):
    import hashlib

    file = sealed.Sealed(iter([content]), keyring=RING, name="a")
    written = file.read()
    assert (file.size, file.digest) == (len(written), hashlib.sha256(written).hexdigest())
    assert read(written, digest=file.digest) == content


DAMAGE = {
    "a bit of the first chunk": lambda f: f[:HEADER] + bytes([f[HEADER] ^ 1]) + f[HEADER + 1 :],
    "a bit of the last tag": lambda f: f[:-1] + bytes([f[-1] ^ 1]),
    "a bit of the salt": lambda f: f[:30] + bytes([f[30] ^ 1]) + f[31:],
    "the last byte is gone": lambda f: f[:-1],
    "the last chunk is gone": lambda f: f[: HEADER + 2 * STEP],
    "all chunks are gone": lambda f: f[:HEADER],
    "half of the header is gone": lambda f: f[:20],
    "nothing is left": lambda f: b"",
    "the first chunk is gone": lambda f: f[:HEADER] + f[HEADER + STEP :],
    "two chunks are swapped": lambda f: (
        f[:HEADER] + chunks(f)[1] + chunks(f)[0] + chunks(f)[2]
    ),
    "the last chunk stands twice": lambda f: f + chunks(f)[2],
    "a chunk of another file": lambda f: (
        f[:HEADER] + chunks(made(bytes(2 * sealed.CHUNK)))[0] + f[HEADER + STEP :]
    ),
    "something is added": lambda f: f + b"x",
    "it is another kind of file": lambda f: b"PGDMP" + f[5:],
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_changed_file_does_not_open(content, damage):
    """S47"""
    with pytest.raises(NotReadable):
        read(DAMAGE[damage](made(content)))


def test_a_file_under_the_name_of_another_does_not_open():
    """S47"""
    with pytest.raises(NotReadable):
        read(made(b"x"), name="b")


def test_another_key_does_not_open_it_and_an_older_one_in_the_list_does():
    """S47: a key that was rotated opens what it sealed as long as it is listed."""
    file = made(b"x", ring=RING)
    with pytest.raises(NotReadable, match="not listed"):
        read(file, ring=OTHER)
    assert read(file, ring=Keyring((*OTHER.keys, *RING.keys))) == b"x"


def test_another_file_that_opens_is_told_by_its_checksum():
    """S47: an older file of the same name, put in the place of the newer one."""
    with pytest.raises(NotReadable, match="checksum"):
        read(made(b"x"), digest="00" * 32)
