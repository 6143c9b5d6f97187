"""Recovery codes, for the day when the phone is lost: ten, 80 random bits each, shown once.

Stored is an HMAC under a key derived from the person's data key. A code is used up by one
conditional UPDATE.
"""

import base64
import secrets
from datetime import datetime
from uuid import UUID

from accounts.models import RecoveryCode
from accounts.second_factor import keeping, sealing

COUNT, CODE_BYTES = 10, 10
LENGTH = CODE_BYTES * 8 // 5


def make(*, user_id: UUID, now: datetime) -> list[str]:
    """Ten fresh codes; all earlier ones are void. Call inside as_user or as_system."""
    codes = [base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode() for _ in range(COUNT)]
    clear(user_id=user_id)
    RecoveryCode.objects.bulk_create(
        [
            RecoveryCode(
                user_id=user_id, digest=sealing.digest(code, user_id=user_id), created_at=now
            )
            for code in codes
        ]
    )
    return [_written(code) for code in codes]


def accept(*, user_id: UUID, code: str, now: datetime) -> bool:
    """Whether the code is one of this person's and was not used; it is now."""
    plain = _plain(code)
    if len(plain) != LENGTH:
        return False
    waits = keeping.lock(user_id=user_id)
    digest = sealing.digest(plain, user_id=user_id)
    unused = RecoveryCode.objects.filter(user_id=user_id, digest=digest, used_at=None)
    if unused.update(used_at=now) != 1:
        return False
    keeping.shown(waits, now=now)
    return True


def left(*, user_id: UUID) -> int:
    """How many can still be used."""
    return RecoveryCode.objects.filter(user_id=user_id, used_at=None).count()


def clear(*, user_id: UUID) -> int:
    """Void them all."""
    return RecoveryCode.objects.filter(user_id=user_id).delete()[0]


def _written(code: str) -> str:
    """In groups of four, as people copy them."""
    return "-".join(code[place : place + 4] for place in range(0, LENGTH, 4))


def _plain(code: str) -> str:
    """What was typed, whichever way it was grouped. 0 and 1 are not in the alphabet."""
    kept = "".join(code.split()).replace("-", "").upper()
    return kept.replace("0", "O").replace("1", "I")
