"""Notices in the app: every message of the channel ``live``, kept as long as deliveries are."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from accounts import messages
from accounts.models import Delivery, User
from accounts.models.notifications import Channel
from tracker import tenancy


@dataclass(frozen=True, slots=True)
class Notice:
    """One of them, in the person's language and time zone."""

    id: UUID
    event: str
    title: str
    text: str
    at: datetime
    read_at: datetime | None
    data: dict[str, str]


def rows_of(user_id: UUID) -> QuerySet[Delivery]:
    """A person's notices. Call inside ``as_user``."""
    return Delivery.objects.filter(user_id=user_id, channel=Channel.LIVE, state=Delivery.State.SENT)


def unread(user_id: UUID) -> int:
    """How many were not read yet. Call inside ``as_user``."""
    return rows_of(user_id).filter(read_at=None).count()


def as_notice(row: Delivery, user: User) -> Notice:
    """A row as people read it. Call inside ``as_user``."""
    row.user = user
    try:
        said = messages.brief(row, user=user)
    except messages.Outdated:  # what it gathered has outlived its time
        said = messages.Brief(title="", text="")
    return Notice(
        row.id, row.event, said.title, said.text, row.created_at, row.read_at,
        messages.ids_of(row),
    )  # fmt: skip


def read_one(user_id: UUID, delivery_id: UUID) -> Notice | None:
    """A notice by its id, read as that person; None where there is none."""
    with tenancy.as_user(user_id):
        row = rows_of(user_id).filter(id=delivery_id).select_related("user").first()
        return as_notice(row, row.user) if row else None


def mark_read(
    *, user_id: UUID, now: datetime, ids: Collection[UUID] = (), until: datetime | None = None
) -> int:
    """Mark some as read, or all up to an instant; returns how many are not read yet.

    What is read already keeps its time, and ids of others are as if they did not exist.
    """
    with tenancy.as_user(user_id):
        rows: Any = rows_of(user_id).filter(read_at=None)
        rows = rows.filter(created_at__lte=until) if until else rows.filter(id__in=ids)
        rows.update(read_at=now)
        return unread(user_id)
