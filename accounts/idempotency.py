"""``Idempotency-Key``: a POST that is sent again has one effect and one answer, for a day (S57).

The first call inserts a row before it does anything; a second one finds it. While the first still
works, the second is told to wait. The stored answer is sealed with a key derived from the
idempotency key and the body, so that the database alone does not reveal it.
"""

import hashlib
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db.models import Q
from django_cryptography.core.signing import FernetSigner
from django_cryptography.utils.crypto import FernetBytes
from rest_framework.response import Response

from accounts.models import IdempotencyRecord
from tracker import clock, tenancy
from tracker.api import InvalidInput, to_json
from tracker.errors import DomainError

LOCK = timedelta(seconds=30)  # no request works longer; one whose process died is done again
_KEY = re.compile(r"[\x21-\x7e]{8,200}")


class KeyReused(DomainError):
    code = "idempotency_key_reused"
    status = 422
    message = "This Idempotency-Key was already used for a different request."


class StillWorking(DomainError):
    code = "idempotency_in_progress"
    status = 409
    message = "The same request is still being worked on. Please ask again in a moment."


class IdempotentPostMixin:
    """A view whose POST honours ``Idempotency-Key``. Refusals are not kept."""

    def once(self, request: Any, handler: Callable[[], Response], *, body: Any = None) -> Response:
        """Run ``handler`` unless this request was answered before; return the answer.

        ``body`` tells requests apart where what was sent is no JSON; the data otherwise.
        """
        return answer_once(request, handler, body=body)


def answer_once(request: Any, handler: Callable[[], Response], *, body: Any = None) -> Response:
    """What the mixin does; rooms below find it in settings (``tracker.api.OnceMixin``)."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return handler()
    if not _KEY.fullmatch(key):
        raise InvalidInput.of("Idempotency-Key", "Use 8 to 200 visible ASCII characters.")
    user_id = request.user.pk if request.user.is_authenticated else None
    scope = f"{user_id}|{request.method}|{request.path}|{key}"
    told = to_json(request.data if body is None else body)
    return _once(scope=scope, body=told, user_id=user_id, handler=handler)


def _once(*, scope: str, body: bytes, user_id: UUID | None, handler) -> Response:
    key_digest = hashlib.sha256(scope.encode()).digest()
    body_digest = hashlib.sha256(scope.encode() + b"\0" + body).digest()
    cipher = _cipher(scope, body)
    record = _claim(key_digest, _blind(body_digest), user_id, clock.now())
    if isinstance(record, Stored):
        return Response(
            record.opened(cipher), status=record.status, headers={"Idempotency-Replayed": "true"}
        )
    try:
        response = handler()
    except BaseException:
        _forget(key_digest)  # a refused request had no effect: it may be corrected and sent again
        raise
    _keep(key_digest, response.status_code, cipher.encrypt(to_json(response.data)))
    return response


class Stored:
    """An earlier answer."""

    def __init__(self, status: int, sealed: bytes) -> None:
        self.status, self._sealed = status, sealed

    def opened(self, cipher: FernetBytes) -> Any:
        return orjson.loads(cipher.decrypt(bytes(self._sealed)))


def _claim(
    key_digest: bytes, body_digest: bytes, user_id: UUID | None, now: datetime
) -> Stored | None:
    with tenancy.as_system("idempotency"):
        created = IdempotencyRecord.objects.bulk_create(
            [IdempotencyRecord(user_id=user_id, key_digest=key_digest, body_digest=body_digest,
                               locked_until=now + LOCK, created_at=now)],
            ignore_conflicts=True,
        )  # fmt: skip
        record = IdempotencyRecord.objects.select_for_update().get(key_digest=key_digest)
        if record.id == created[0].id:
            return None
        if now - record.created_at > settings.IDEMPOTENCY_LIFETIME:
            _take_over(record, body_digest, now)
            return None
        if bytes(record.body_digest) != body_digest:
            raise KeyReused
        if record.sealed_answer is not None and record.status is not None:
            return Stored(record.status, bytes(record.sealed_answer))
        if record.locked_until > now:
            raise StillWorking(retry_after=1)
        _take_over(record, body_digest, now)
        return None


def _take_over(record: IdempotencyRecord, body_digest: bytes, now: datetime) -> None:
    record.body_digest, record.locked_until, record.created_at = body_digest, now + LOCK, now
    record.sealed_answer = record.status = None
    record.save(
        update_fields=["body_digest", "locked_until", "created_at", "sealed_answer", "status"]
    )


def _keep(key_digest: bytes, status: int, sealed: bytes) -> None:
    with tenancy.as_system("idempotency"):
        IdempotencyRecord.objects.filter(key_digest=key_digest).update(
            status=status, sealed_answer=sealed
        )


def _forget(key_digest: bytes) -> None:
    with tenancy.as_system("idempotency"):
        IdempotencyRecord.objects.filter(key_digest=key_digest).delete()


def forget_old(*, now: datetime) -> int:
    """Delete answers that are older than a day."""
    with tenancy.as_system("idempotency"):
        old = Q(created_at__lt=now - settings.IDEMPOTENCY_LIFETIME)
        return IdempotencyRecord.objects.filter(old).delete()[0]


def _blind(digest: bytes) -> bytes:
    """A body may hold a password: its digest is keyed, so that a dump cannot be searched."""
    return hashlib.blake2b(digest, key=settings.SECRET_KEY.encode()[:64], digest_size=32).digest()


def _cipher(scope: str, body: bytes) -> FernetBytes:
    secret = settings.SECRET_KEY.encode()[:64]
    derived = hashlib.blake2b(scope.encode() + b"\0" + body, key=secret, digest_size=64).digest()
    return FernetBytes(derived[:32], FernetSigner(derived[32:]))
