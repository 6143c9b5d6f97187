"""Withdrawals and deposits that are one move between own accounts."""

from datetime import datetime
from uuid import UUID


def pair_new(*, user_id: UUID, now: datetime) -> dict[UUID, datetime]:
    """Pair what is unpaired and unambiguous; returns touched assets and from when on.

    Call inside ``as_user``.
    """
    return {}
