"""Opening a sealed API key: here, in memory, for one visit, and nowhere else."""

from django.conf import settings

from exchanges.gateway.errors import CredentialUnreadable
from exchanges.reports import Credential, SealedCredential
from tracker import vault


def opened(credential: SealedCredential | Credential) -> Credential:
    """The key in the clear. Raises CredentialUnreadable."""
    if isinstance(credential, Credential):
        return credential
    found = _unsealed(credential)
    if found is None:
        raise CredentialUnreadable
    return found


def _unsealed(sealed: SealedCredential) -> Credential | None:
    try:
        wrapped = vault.WrappedKey(sealed.key_id, bytes(sealed.wrapped_key))
        data_key = settings.ENCRYPTION_KEYRING.unwrap(wrapped, user_id=sealed.user_id)
        return Credential(**{name: _field(sealed, name, data_key) for name in sealed.fields})
    except (vault.VaultError, TypeError):
        return None


def _field(sealed: SealedCredential, name: str, data_key: bytes) -> str:
    return vault.unseal(
        sealed.fields[name],
        data_key=data_key,
        user_id=sealed.user_id,
        row_id=sealed.row_id,
        field=name,
    )
