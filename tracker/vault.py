"""Authenticated AES-256 envelopes, bound to the place where they are stored.

Three layers of keys:

- **master keys** come from ``ENCRYPTION_KEY`` (32 bytes each, the first one is current). They
  wrap data keys and nothing else. A master key is named by its *key id*, a digest of the key, so
  that a stored row says which key opens it without saying anything about the key.
- **data keys**, one per user, random, stored only wrapped. Destroying a user's data key makes
  everything sealed for that user unreadable, in every copy of the database.
- **field keys**, derived from a data key by HKDF over (user, row, field), never stored. A
  ciphertext that is moved to another row, field or user therefore fails to open.

The cipher is ``FernetBytes`` of django-cryptography with explicit keys: AES-256-CBC with a random
IV, then HMAC-SHA-256 over version, time, IV and ciphertext (encrypt-then-MAC).
"""

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import UUID

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.core.signing import BadSignature

if TYPE_CHECKING:
    from django_cryptography.utils.crypto import FernetBytes

KEY_BYTES = 32
_HEX_KEY = re.compile(r"[0-9a-fA-F]{64}")


class VaultError(Exception):
    """Base of what can go wrong here; the text never holds key material or plaintext."""


class WeakKey(VaultError):
    """A master key is not 32 bytes in hex or base64, or is plainly not random."""


class UnknownKey(VaultError):
    """The data key was wrapped by a master key that is no longer in ``ENCRYPTION_KEY``."""


class Tampered(VaultError):
    """The ciphertext was changed, or belongs to another user, row or field."""


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key as it is stored: the id of the master key that wrapped it, and the bytes."""

    key_id: str
    ciphertext: bytes = field(repr=False)


@dataclass(frozen=True)
class Keyring:
    """The master keys in force, current first."""

    keys: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Keyring":
        """Read ``ENCRYPTION_KEY``: one key or several separated by commas, hex or base64.

        Raises WeakKey, naming the position of the faulty key and never its text.
        """
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if not parts:
            raise WeakKey("ENCRYPTION_KEY holds no key")
        return cls(tuple(_parse_key(part, position) for position, part in enumerate(parts, 1)))

    @cached_property
    def by_id(self) -> Mapping[str, bytes]:
        return {key_id(key): key for key in self.keys}

    @cached_property
    def current_id(self) -> str:
        return key_id(self.keys[0])

    def wrap(self, data_key: bytes, *, user_id: UUID) -> WrappedKey:
        """Encrypt a user's data key with the current master key."""
        cipher = _cipher(self.keys[0], context=("data-key", user_id))
        return WrappedKey(self.current_id, cipher.encrypt(data_key))

    def unwrap(self, wrapped: WrappedKey, *, user_id: UUID) -> bytes:
        """Decrypt a user's data key. Raises UnknownKey or Tampered."""
        master = self.by_id.get(wrapped.key_id)
        if master is None:
            raise UnknownKey(f"no master key with id {wrapped.key_id}")
        return _decrypt(_cipher(master, context=("data-key", user_id)), wrapped.ciphertext)


def new_data_key() -> bytes:
    """32 random bytes from the operating system."""
    return os.urandom(KEY_BYTES)


def key_id(key: bytes) -> str:
    """A short public name of a master key: 64 bits of a domain-separated SHA-256."""
    return hashlib.sha256(b"tracker/master-key-id\0" + key).hexdigest()[:16]


def seal(plaintext: str, *, data_key: bytes, user_id: UUID, row_id: UUID, field: str) -> bytes:
    """Encrypt one field of one row of one user."""
    return _cipher(data_key, context=("field", user_id, row_id, field)).encrypt(plaintext.encode())


def unseal(ciphertext: bytes, *, data_key: bytes, user_id: UUID, row_id: UUID, field: str) -> str:
    """The plaintext of one field. Raises Tampered when anything does not match."""
    cipher = _cipher(data_key, context=("field", user_id, row_id, field))
    return _decrypt(cipher, ciphertext).decode()


def _parse_key(text: str, position: int) -> bytes:
    key = _decode_key(text)
    if key is None or len(key) != KEY_BYTES:
        raise WeakKey(f"key {position} of ENCRYPTION_KEY is not 32 bytes in hex or base64")
    if len(set(key)) < 8:
        raise WeakKey(f"key {position} of ENCRYPTION_KEY is not random")
    return key


def _decode_key(text: str) -> bytes | None:
    if _HEX_KEY.fullmatch(text):
        return bytes.fromhex(text)
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return None


def _cipher(key: bytes, *, context: Iterable[object]) -> "FernetBytes":
    """Encryption and signing keys of their own for each context (HKDF-SHA-256, RFC 5869)."""
    # The library reads Django's settings as it is imported, and settings parse their keys here.
    from django_cryptography.core.signing import FernetSigner
    from django_cryptography.utils.crypto import FernetBytes

    info = b"\0".join(str(part).encode() for part in ("tracker/v1", *context))
    derived = HKDF(hashes.SHA256(), 2 * KEY_BYTES, salt=None, info=info).derive(key)
    return FernetBytes(derived[:KEY_BYTES], FernetSigner(derived[KEY_BYTES:]))


def _decrypt(cipher: "FernetBytes", ciphertext: bytes) -> bytes:
    from django_cryptography.utils.crypto import InvalidToken

    try:
        return cipher.decrypt(bytes(ciphertext))
    except (BadSignature, InvalidToken, ValueError):
        raise Tampered("the ciphertext does not match its place or was changed") from None
