"""Deleting what has outlived its purpose, as the inventory says table by table."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import Session, User
from accounts.privacy import erasure, export, inventory
from accounts.privacy.inventory import TABLES
from audit import log as activity
from audit.actions import Action
from tracker import tenancy

BATCH = 5_000
# Whoever never confirmed an address and never came back; it may be somebody else's address.
UNCONFIRMED = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Line:
    """One table: what its rule is and how many rows went, or would go."""

    name: str
    rule: str
    rows: int


def apply(*, now: datetime, dry_run: bool = False) -> Iterator[Line]:
    """Apply every rule, yielding a line for each. Idempotent; batches hold no long locks."""
    done = 0
    for line in _lines(now, dry_run):
        done += line.rows
        yield line
    if done and not dry_run:
        with tenancy.as_system("retention"):
            activity.record(Action.RETENTION_APPLIED, user_id=None, rows=done)


def _lines(now: datetime, dry_run: bool) -> Iterator[Line]:
    for label in _in_order():
        expiry = TABLES[label].expiry
        rows = _count(label, now) if dry_run else _delete(label, now)
        yield Line(inventory.model(label)._meta.db_table, str(expiry), rows)
    files = 0 if dry_run else export.remove_expired(now=now)
    yield Line("files of exports", f"{settings.EXPORT_LIFETIME.days} days after: ready", files)
    people = _unconfirmed(now)
    if not dry_run:
        people = [user_id for user_id in people if _forget(user_id, now)]
    rule = f"{UNCONFIRMED.days} days without a confirmed address, a visit or a connection"
    yield Line("users", rule, len(people))
    kept = settings.ACTIVITY_RETENTION
    months = activity.retire(before=(now - kept).date(), dry_run=dry_run)
    yield Line("activity_logs", f"months that ended {kept.days} days ago", months)


def _in_order() -> list[str]:
    """Tables with a rule, those that refer to others first."""
    ruled = {label for label, table in TABLES.items() if table.expiry and table.expiry.fields}
    return [label for label in inventory.owned() if label in ruled] + sorted(
        ruled - set(inventory.owned())
    )


def _expired(label: str, now: datetime) -> QuerySet[Any]:
    expiry = TABLES[label].expiry
    assert expiry is not None  # noqa: S101  (_in_order has only those)
    rows = inventory.model(label)._base_manager.order_by()
    return rows.filter(inventory.expired(expiry, now))


def _count(label: str, now: datetime) -> int:
    with tenancy.as_system("retention"):
        return _expired(label, now).count()


def _delete(label: str, now: datetime) -> int:
    done = 0
    while True:
        with tenancy.as_system("retention"):
            keys = list(_expired(label, now).values_list("pk", flat=True)[:BATCH])
            rows = inventory.model(label)._base_manager.filter(pk__in=keys)
            done += rows._raw_delete(rows.db) if keys else 0
        if len(keys) < BATCH:
            return done


def _unconfirmed(now: datetime) -> list[UUID]:
    """People who signed up, never confirmed, never came back and connected nothing."""
    if not settings.EMAIL_CONFIRMATION:
        return []
    with tenancy.as_system("retention"):
        found = _never_seen_again(now).order_by("created_at")
        return list(found.values_list("id", flat=True)[:1000])


def _never_seen_again(now: datetime) -> QuerySet[User]:
    connections = inventory.model("exchanges.ExchangeConnection")._base_manager
    seen = Session.objects.filter(user=OuterRef("pk"), refreshed_at__gte=now - UNCONFIRMED)
    return User.objects.filter(
        ~Exists(seen), ~Exists(connections.filter(user=OuterRef("pk"))),
        email_confirmed_at=None, is_staff=False, created_at__lt=now - UNCONFIRMED,
    )  # fmt: skip


def _forget(user_id: UUID, now: datetime) -> bool:
    """Erase one of them, unless they have just come back; returns whether that happened.

    Signing in locks the person's row and refuses who is not active. The lock comes first, so that
    the UPDATE sees the session of whoever was faster.
    """
    with tenancy.as_system("retention"):
        User.objects.select_for_update(no_key=True).filter(id=user_id).first()
        if not _never_seen_again(now).filter(id=user_id).update(is_active=False):
            return False
    erasure.erase(user_id=user_id, now=now)
    return True
