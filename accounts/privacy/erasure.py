"""Forgetting a person for good (S49).

In this order, each step in transactions of its own, so that one that dies midway is simply run
again: the data key first (what is sealed is unreadable from there on, whatever else happens), the
doors (sessions, keys, syncing), files, what Redis holds, the rows in small batches, the activity
log, a tombstone outside the database, and last the person's own row.

No batch holds a lock that somebody else waits for: they lock the person's own rows alone. What a
sync writes meanwhile goes with its connection, and what arrives later finds no connection.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import redis
import structlog
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session as AdminSession
from django.db import IntegrityError, connection
from django.db.models import Q
from django_redis import get_redis_connection
from django_redis.exceptions import ConnectionInterrupted

from accounts import delivery, notifications, sessions, shield
from accounts.models import ApiKey, DataKey, Session, SupportMessage, SupportRequest, User
from accounts.models.notifications import Channel
from accounts.notifications import Event
from accounts.privacy import export, inventory, tombstones
from accounts.privacy.inventory import TABLES, Erasure
from audit import log as activity
from audit.actions import Action
from audit.models import ActivityLog, SecurityAlert, SessionActivity
from billing import erasure as billing
from tracker import files, tenancy
from tracker.logs import get_logger

log = get_logger(__name__)
BATCH = 5_000
_PERSON = "accounts.User"
_LOG = "audit.ActivityLog"


@dataclass(frozen=True, slots=True)
class Line:
    """What becomes of one table, or of one store outside the tables."""

    name: str
    rows: int
    action: Erasure
    why: str


class StillWritten(Exception):
    """Something kept writing rows of the person; running it again finishes."""


Told = Callable[[str, int], None]


# --- saying it first ----------------------------------------------------------------------------
def plan(user_id: UUID) -> list[Line]:
    """Table by table, what would be deleted, anonymised or kept. Changes nothing."""
    lines = [_line(label, user_id) for label in inventory.owned()]
    about = len(_entries_about(user_id))
    found = sum(1 for _ in files.names(export.folder_of(user_id)))
    lines.append(Line("admin log about the person", about, Erasure.ANONYMISE,
                      "staff did something; of whom it was is emptied"))  # fmt: skip
    lines.append(Line("django_session", len(_admin_sessions(user_id)), Erasure.DELETE,
                      "staying signed in to the admin"))  # fmt: skip
    lines.append(Line("files", found, Erasure.DELETE, "copies of the data that were asked for"))
    lines.append(Line("Redis", 0, Erasure.DELETE, "counters under the id and known addresses"))
    lines.append(Line("erasure log", 1, Erasure.KEEP,
                      "id and time, so that a restored backup is cleaned again"))  # fmt: skip
    return lines


def _line(label: str, user_id: UUID) -> Line:
    table = TABLES[label]
    with tenancy.as_user(user_id):
        rows = inventory.rows_of(label, user_id).count()
    return Line(inventory.model(label)._meta.db_table, rows, table.erasure, table.why)


def remains(user_id: UUID) -> bool:
    """Whether any table has a row of this person."""
    return any(_has_rows(label, user_id) for label in inventory.owned())


def _has_rows(label: str, user_id: UUID) -> bool:
    with tenancy.as_user(user_id):
        return inventory.rows_of(label, user_id).exists()


# --- doing it -----------------------------------------------------------------------------------
def say_goodbye(*, user_id: UUID, now: datetime) -> bool:
    """Tell the person by e-mail while their address is still known; returns whether it went out.

    A mail server that is away leaves the message waiting, so this may be called again.
    """
    with tenancy.as_user(user_id):
        notifications.notify(
            user_id=user_id, event=Event.ACCOUNT_CLOSED, dedupe="for good", now=now,
            channels=[Channel.EMAIL],
        )  # fmt: skip
    waiting = _goodbyes(user_id, delivery.State.WAITING)
    return all(delivery.send(delivery_id=key, now=now) for key in waiting)


def _goodbyes(user_id: UUID, state: str) -> list[UUID]:
    with tenancy.as_user(user_id):
        rows = inventory.rows_of("accounts.Delivery", user_id)
        found = rows.filter(event=Event.ACCOUNT_CLOSED, channel=Channel.EMAIL, state=state)
        return list(found.values_list("id", flat=True))


def erase(*, user_id: UUID, now: datetime, told: Told = lambda name, rows: None) -> int:
    """Forget a person; returns how many rows went. Safe to run again, and beside a sync.

    ``told`` hears after each batch which table lost how many rows. Raises ErasureLogUnusable
    or Unavailable (Stripe does not answer) before anything is touched, StillWritten when rows keep
    coming.
    """
    tombstones.check()
    with _of_no_request():
        return _erase(user_id, now, told)


def _erase(user_id: UUID, now: datetime, told: Told) -> int:
    billing.forget(user_id)  # another house: when it does not answer, nothing is touched here
    email = _email(user_id)
    destroy_key(user_id)
    close_doors(user_id, now)
    files.remove_folder(export.folder_of(user_id))
    _forget_admin_sessions(user_id)
    _forget_in_redis(user_id, email)
    done = 0
    for _ in range(5):
        done += _delete_rows(user_id, told)
        _anonymise_admin_log(user_id)
        activity.erase(user_id)
        tombstones.add(user_id, now=now)
        if _delete_person(user_id, done):
            break
    else:
        raise StillWritten
    # What a request or a sync that was under way has written to the log meanwhile.
    activity.erase(user_id)
    files.remove_folder(export.folder_of(user_id))
    _forget_in_redis(user_id, email)
    log.info("person.erased", rows=done)
    return done


def erase_in_copy(*, user_id: UUID) -> int:
    """Forget a person in a copy of the database that nobody works on; returns how many rows went.

    What is outside of the tables (Stripe, files, Redis, the erasure log) is that of the real one
    and stays untouched. Raises StillWritten.
    """
    with _of_no_request():
        destroy_key(user_id)
        done = _delete_rows(user_id, lambda name, rows: None)
        _anonymise_admin_log(user_id)
        _forget_admin_sessions(user_id)
        activity.erase(user_id)
        if not _delete_person(user_id, done):
            raise StillWritten
        return done


@contextmanager
def _of_no_request() -> Iterator[None]:
    """What is logged meanwhile bears neither the address nor the session of who asked for it."""
    bound = structlog.contextvars.get_contextvars()
    structlog.contextvars.clear_contextvars()
    try:
        yield
    finally:
        structlog.contextvars.bind_contextvars(**bound)


def destroy_key(user_id: UUID) -> None:
    """From here on everything that was sealed for this person is noise."""
    with tenancy.as_user(user_id):
        DataKey.objects.filter(user_id=user_id).delete()


def close_doors(user_id: UUID, now: datetime) -> None:
    """Nobody comes in as this person any more, and rooms above stop working for them."""
    with tenancy.as_user(user_id):
        if not User.objects.filter(id=user_id).update(is_active=False):
            return
        sessions.end(Session.objects.filter(user_id=user_id), reason="erased", now=now)
        ApiKey.objects.filter(user_id=user_id, revoked_at=None).update(revoked_at=now)
        activity.record(Action.USER_CLOSING, user_id=user_id, erasing=True)


def _email(user_id: UUID) -> str:
    with tenancy.as_user(user_id):
        return User.objects.filter(id=user_id).values_list("email", flat=True).first() or ""


# --- rows ---------------------------------------------------------------------------------------
def _delete_rows(user_id: UUID, told: Told) -> int:
    done = 0
    for label in inventory.owned():
        if label in (_PERSON, _LOG):
            continue
        while rows := _delete_batch(label, user_id):
            done += rows
            told(label, rows)
    return done


def _delete_batch(label: str, user_id: UUID) -> int:
    """A few thousand rows of one table. Two erasures of one person take turns."""
    with tenancy.as_user(user_id):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [str(user_id)])
        keys = list(inventory.rows_of(label, user_id).values_list("pk", flat=True)[:BATCH])
        if not keys:
            return 0
        # Collecting what hangs on them would cost more than all batches: the order sees to it.
        rows = inventory.rows_of(label, user_id).model._base_manager.filter(pk__in=keys)
        return rows._raw_delete(rows.db)


def _delete_person(user_id: UUID, rows: int) -> bool:
    """The last row, with a marker that names nobody; False when others have come meanwhile."""
    try:
        with tenancy.as_system("erasure"):
            SecurityAlert.objects.filter(handled_by=user_id).update(handled_by=None)
            SupportRequest.objects.filter(assigned_to=user_id).update(assigned_to=None)
            SupportMessage.objects.filter(author=user_id).update(author=None)
            person = User.objects.filter(id=user_id)
            if person._raw_delete(person.db):
                activity.record(Action.USER_ERASED, user_id=None, rows=rows)
    except IntegrityError:
        return False
    return True


# --- the admin's own tables ---------------------------------------------------------------------
def _anonymise_admin_log(user_id: UUID) -> None:
    """Django writes the name of a thing into its log, and that may be an e-mail address."""
    entries = _entries_about(user_id)
    with tenancy.as_system("erasure"):
        LogEntry.objects.filter(id__in=entries).update(object_repr="", change_message="")


def _entries_about(user_id: UUID) -> list[int]:
    """Entries of others about the person or a thing of theirs, as the activity log tells."""
    with tenancy.as_system("erasure"):
        acts = ActivityLog.objects.filter(user_id=user_id, action=Action.STAFF_ACTED)
        things = {(_PERSON.lower(), str(user_id))}
        for details in acts.values_list("details", flat=True):
            if details.get("model") and details.get("object_id"):
                things.add((details["model"], details["object_id"]))
        condition = Q(pk=None)
        for label, key in things:
            room, name = label.split(".")
            content_type = ContentType.objects.filter(app_label=room, model=name).first()
            condition |= Q(content_type=content_type, object_id=key)
        found = LogEntry.objects.filter(condition).exclude(object_repr="")
        return list(found.values_list("id", flat=True))


def _admin_sessions(user_id: UUID) -> list[str]:
    """Stored keys of the admin sessions of a person; whose one is stands signed inside."""
    return [
        row.session_key
        for row in AdminSession.objects.iterator()
        if row.get_decoded().get("_auth_user_id") == str(user_id)
    ]


def _forget_admin_sessions(user_id: UUID) -> None:
    AdminSession.objects.filter(session_key__in=_admin_sessions(user_id)).delete()


# --- Redis --------------------------------------------------------------------------------------
def _forget_in_redis(user_id: UUID, email: str) -> None:
    """What stands under the person's id, and the digests that can be made again.

    Should Redis be away: nothing there lives longer than forty days.
    """
    shield.forget(email=email, user_id=user_id, addresses=_addresses(user_id))
    try:
        client = get_redis_connection("limits")
        for keys in _in_hundreds(client.scan_iter(match=f"*{user_id}*", count=1000)):
            client.unlink(*keys)
    except (redis.RedisError, ConnectionInterrupted, OSError):
        log.warning("erasure.redis_unavailable")


def _in_hundreds(keys: Iterator[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for key in keys:
        batch.append(key)
        if len(batch) == 100:
            yield batch
            batch = []
    if batch:
        yield batch


def _addresses(user_id: UUID) -> set[str]:
    """From where the person ever came, as far as we still know."""
    with tenancy.as_user(user_id):
        found: set[str | None] = set()
        for rows in (Session, SessionActivity, ActivityLog):
            mine = rows._base_manager.filter(user_id=user_id).order_by()
            found.update(mine.values_list("ip_address", flat=True).distinct()[:10_000])
        return {address for address in found if address}
