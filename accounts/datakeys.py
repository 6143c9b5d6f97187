"""Each user's data key: made when first needed, opened in memory, wrapped anew on rotation."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings

from accounts.models import DataKey
from tracker import tenancy, vault
from tracker.vault import WrappedKey


def obtain(user_id: UUID) -> bytes:
    """The user's data key in the clear, made if there is none. Call inside ``as_user``."""
    row = DataKey.objects.filter(user_id=user_id).first() or _create(user_id)
    wrapped = WrappedKey(row.key_id, bytes(row.wrapped_key))
    return settings.ENCRYPTION_KEYRING.unwrap(wrapped, user_id=user_id)


def _create(user_id: UUID) -> DataKey:
    wrapped = settings.ENCRYPTION_KEYRING.wrap(vault.new_data_key(), user_id=user_id)
    row = DataKey(user_id=user_id, key_id=wrapped.key_id, wrapped_key=wrapped.ciphertext)
    DataKey.objects.bulk_create([row], ignore_conflicts=True)  # two at once: the first one stays
    return DataKey.objects.get(user_id=user_id)


@dataclass(frozen=True, slots=True)
class RotationProgress:
    """How many data keys were wrapped anew so far, and how many there were to do."""

    done: int
    total: int


def rotate(*, batch_size: int = 500) -> Iterator[RotationProgress]:
    """Wrap every data key that nobody else holds with the current master key, batch by batch.

    Online and resumable: each batch is a transaction, rows already done are not touched, and
    readers find either wrapping valid as long as the old master key is still listed. Raises
    UnknownKey when a row's master key is no longer listed; nothing of its batch is changed.
    """
    keyring = settings.ENCRYPTION_KEYRING
    done, total = 0, left()
    yield RotationProgress(done, total)
    while wrapped := _rotate_batch(keyring, batch_size):
        done += wrapped
        yield RotationProgress(done, max(total, done))


def left() -> int:
    """How many data keys are not wrapped by the current master key."""
    with tenancy.as_system("key rotation"):
        return DataKey.objects.exclude(key_id=settings.ENCRYPTION_KEYRING.current_id).count()


def _rotate_batch(keyring: vault.Keyring, size: int) -> int:
    with tenancy.as_system("key rotation"):
        rows = list(
            DataKey.objects.select_for_update(skip_locked=True)
            .exclude(key_id=keyring.current_id)
            .order_by("user_id")[:size]
        )
        for row in rows:
            wrapped = WrappedKey(row.key_id, bytes(row.wrapped_key))
            data_key = keyring.unwrap(wrapped, user_id=row.user_id)
            fresh = keyring.wrap(data_key, user_id=row.user_id)
            row.key_id, row.wrapped_key = fresh.key_id, fresh.ciphertext
        DataKey.objects.bulk_update(rows, ["key_id", "wrapped_key"])
    return len(rows)
