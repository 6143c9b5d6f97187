"""The keys with which second factors are kept: the person's data key, and what is derived from it.

An erased data key makes seeds and recovery codes useless in every copy of the database, and a
rotation of the master key or of ``SECRET_KEY`` leaves them working.
"""

import hashlib
import hmac
from uuid import UUID

from accounts import datakeys
from accounts.second_factor.errors import SecondFactorUnreadable
from tracker import vault
from tracker.logs import get_logger

log = get_logger(__name__)
_FIELD = "totp_seed"


def seal_seed(seed: str, *, user_id: UUID, device_id: UUID) -> bytes:
    """Bound to this person and row: moved elsewhere it does not open."""
    return vault.seal(
        seed, data_key=_data_key(user_id), user_id=user_id, row_id=device_id, field=_FIELD
    )


def open_seed(sealed: bytes, *, user_id: UUID, device_id: UUID) -> str:
    """The seed in the clear. Raises SecondFactorUnreadable."""
    data_key = _data_key(user_id)
    try:
        return vault.unseal(
            bytes(sealed), data_key=data_key, user_id=user_id, row_id=device_id, field=_FIELD
        )
    except vault.VaultError as problem:
        raise _unreadable(user_id, problem) from None


def digest(code: str, *, user_id: UUID) -> bytes:
    """HMAC-SHA-256 of a recovery code under a key that only this person has."""
    key = hmac.digest(_data_key(user_id), b"tracker/recovery-codes", hashlib.sha256)
    return hmac.digest(key, code.encode(), hashlib.sha256)


def _data_key(user_id: UUID) -> bytes:
    try:
        return datakeys.obtain(user_id)
    except vault.VaultError as problem:
        raise _unreadable(user_id, problem) from None


def _unreadable(user_id: UUID, problem: vault.VaultError) -> SecondFactorUnreadable:
    log.error("second_factor.unreadable", user_id=str(user_id), error=type(problem).__name__)
    return SecondFactorUnreadable()
