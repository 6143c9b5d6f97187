"""Sealing API keys for storage. Opening them is the gateway's business alone."""

import hashlib
from uuid import UUID

from accounts import datakeys
from accounts.models import DataKey
from exchanges.models import ExchangeCredential
from exchanges.reports import Credential, SealedCredential
from tracker import ids, vault

FIELDS = ("api_key", "api_secret", "passphrase")


def store(*, user_id: UUID, connection_id: UUID, credential: Credential) -> None:
    """Seal and save a credential, replacing the connection's old one. Call inside ``as_user``."""
    row_id = ids.new_id()
    data_key = datakeys.obtain(user_id)
    sealed = {
        name: vault.seal(
            getattr(credential, name), data_key=data_key, user_id=user_id, row_id=row_id, field=name
        )
        for name in FIELDS
    }
    ExchangeCredential.objects.filter(connection_id=connection_id).delete()
    ExchangeCredential.objects.create(
        id=row_id, user_id=user_id, connection_id=connection_id,
        fingerprint=_fingerprint(credential.api_key, data_key), **sealed,
    )  # fmt: skip


def is_connected(*, user_id: UUID, api_key: str, but: UUID | None = None) -> bool:
    """Whether another connection of this person has the same key. Call inside ``as_user``."""
    others = ExchangeCredential.objects.filter(user_id=user_id).exclude(connection_id=but)
    if not others.exists():  # nor need there be a data key yet
        return False
    return others.filter(fingerprint=_fingerprint(api_key, datakeys.obtain(user_id))).exists()


def _fingerprint(api_key: str, data_key: bytes) -> bytes:
    """The same for the same key of the same person; without their data key it tells nothing."""
    return hashlib.blake2b(
        api_key.encode(), key=data_key, person=b"exchange-api-key", digest_size=16
    ).digest()


def load(connection_ids: list[UUID]) -> dict[UUID, SealedCredential]:
    """The sealed credentials of connections, by connection; two queries whatever their number."""
    rows = list(ExchangeCredential.objects.filter(connection_id__in=connection_ids))
    keys = {
        key.user_id: key for key in DataKey.objects.filter(user_id__in={r.user_id for r in rows})
    }
    return {
        row.connection_id: SealedCredential(
            user_id=row.user_id, row_id=row.id,
            key_id=keys[row.user_id].key_id, wrapped_key=bytes(keys[row.user_id].wrapped_key),
            fields={name: bytes(getattr(row, name)) for name in FIELDS},
        )
        for row in rows
        if row.user_id in keys
    }  # fmt: skip
