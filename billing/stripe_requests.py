"""Requests to Stripe that have one effect however often they are made (S38).

The key is stored before the request leaves. Who comes while it is open, or after the answer was
lost, sends the same key, and Stripe answers as it did before.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from billing.models import StripeRequest
from billing.stripe_gateway import Unavailable
from tracker import clock, tenancy
from tracker.errors import DomainError

# Stripe remembers a key for a day at least; an older one would begin anew under it.
KEPT = timedelta(hours=23)


def purpose(what: str, *parameters: Any) -> str:
    """The name of a request: what is asked for, and a digest of everything that is sent along."""
    told = repr([sorted(p.items()) if isinstance(p, dict) else p for p in parameters])
    return f"{what}:{hashlib.sha256(told.encode()).hexdigest()[:32]}"


@contextmanager
def once(*, user_id: UUID, purpose: str, now: datetime) -> Iterator[str]:
    """The key under which to ask for ``purpose``, with all of its parameters in it.

    When what is inside ends, well or with a refusal, the next request is another one. Only while
    nobody knows what became of it (``Unavailable``, or this process dies) does the key stay.
    """
    row = _open(user_id, purpose, now)
    try:
        yield str(row.id)
    except Unavailable:
        raise
    except DomainError:
        _close(row)
        raise
    _close(row)


def _open(user_id: UUID, purpose: str, now: datetime) -> StripeRequest:
    with tenancy.as_user(user_id):
        opened = StripeRequest.objects.filter(user_id=user_id, purpose=purpose, closed_at=None)
        opened.filter(created_at__lt=now - KEPT).update(closed_at=now)
        StripeRequest.objects.bulk_create(
            [StripeRequest(user_id=user_id, purpose=purpose, created_at=now)],
            ignore_conflicts=True,
        )
        return opened.get()


def _close(row: StripeRequest) -> None:
    with tenancy.as_user(row.user_id):
        StripeRequest.objects.filter(id=row.id).update(closed_at=clock.now())
