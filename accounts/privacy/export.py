"""A copy of their data for the person who asks: in the background, once at a time.

A job is a row with a lease of half a minute, renewed after every batch; a dead worker's job is
found by the sweeper. Each claim counts one attempt, and the number of the attempt is what a worker
must still hold to write anything, so one that comes back late changes nothing.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO
from uuid import UUID

from celery import current_app
from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.db.models import Exists

from accounts import notifications
from accounts.models import DataExport, User
from accounts.notifications import Event
from accounts.privacy import archive
from audit import log as activity
from audit.actions import Action
from tracker import files, leases, tenancy
from tracker.errors import DomainError, NotFound
from tracker.leases import Lost
from tracker.logs import get_logger

log = get_logger(__name__)
EXPORT_TASK = "accounts.tasks.make_export"
LEASE = timedelta(seconds=30)  # a batch of rows takes far less
# Handing a large file to the storage reports no progress.
LEASE_OF_UPLOAD = timedelta(minutes=10)
MOST_ATTEMPTS = 5
FOLDER = "exports"
# So long a finished copy is given to whoever asks for another one.
YOUNG = timedelta(hours=1)
State = DataExport.State
_OPEN = (State.WAITING, State.RUNNING)


class ExportNotReady(DomainError):
    code = "export_not_ready"
    status = 409
    message = "This copy of your data is not ready yet. We will tell you when it is."


class ExportExpired(DomainError):
    code = "export_expired"
    status = 410
    message = "This copy of your data is no longer kept. Please ask for a new one."


class ExportLinkRejected(DomainError):
    code = "export_link_rejected"
    status = 404
    message = "This link is not valid. Please ask for a new copy of your data in the app."


@dataclass(frozen=True, slots=True)
class Download:
    """A finished file, open for reading."""

    content: IO[bytes]
    file_name: str
    bytes: int


# --- asking -------------------------------------------------------------------------------------
def request(*, user_id: UUID, now: datetime, actor_id: UUID | None = None) -> DataExport:
    """Ask for a copy; asked twice is the one that is being made, or was within the hour.

    ``actor_id`` is the member of staff who asks for the person.
    """
    with tenancy.as_user(user_id):
        if young := _young(user_id, now):
            return young
        row = DataExport(user_id=user_id, requested_at=now)
        DataExport.objects.bulk_create([row], ignore_conflicts=True)
        found = DataExport.objects.filter(user_id=user_id, state__in=_OPEN).get()
        if found.id == row.id:
            activity.record(
                Action.EXPORT_REQUESTED, user_id=user_id, actor_id=actor_id, export_id=str(row.id)
            )
            transaction.on_commit(lambda: _enqueue(row.id), robust=True)
        return found


def _young(user_id: UUID, now: datetime) -> DataExport | None:
    ready = DataExport.objects.filter(
        user_id=user_id, state=State.READY, ready_at__gt=now - YOUNG, expires_at__gt=now
    )
    return ready.order_by("-ready_at").first()


def listed(*, user_id: UUID) -> list[DataExport]:
    """A person's copies, newest first."""
    with tenancy.as_user(user_id):
        return list(DataExport.objects.filter(user_id=user_id).order_by("-requested_at")[:50])


def _enqueue(export_id: UUID) -> None:
    """By name: the task calls this module, which therefore cannot import it."""
    current_app.send_task(EXPORT_TASK, kwargs={"export_id": str(export_id)})


# --- making -------------------------------------------------------------------------------------
def make(*, export_id: UUID, clock: Callable[[], datetime]) -> bool:
    """Make a copy that waits, or that a dead worker left; returns whether it is ready now."""
    row = _claim(export_id, clock())
    if row is None:
        return False
    try:
        _forget_earlier_files(row)
        with tempfile.TemporaryFile() as content:
            rows = archive.write(
                content, user_id=row.user_id, now=clock(),
                told=lambda done: _progress(row, done, clock()),
            )  # fmt: skip
            size = content.tell()
            _keep_hold(row, clock() + LEASE_OF_UPLOAD, rows_done=rows, rows_total=rows)
            content.seek(0)
            name = files.save(_name(row), content)
        _finish(row, name, size, clock())
    except Lost:
        return False
    except Exception as error:  # whatever it is: the sweeper tries again, and then it is said
        log.error("export.failed", export=str(row.id), error=type(error).__name__)
        _put_off(row, type(error).__name__)
        return False
    return True


def _claim(export_id: UUID, now: datetime) -> DataExport | None:
    with tenancy.as_system("make export"):
        claimed = leases.take(
            DataExport.objects.filter(state__in=_OPEN), export_id, now=now, lease=LEASE,
            most=MOST_ATTEMPTS, state=State.RUNNING, rows_done=0,
        )  # fmt: skip
        row = DataExport.objects.get(id=export_id) if claimed else None
    if row is not None:
        _keep_hold(row, now + LEASE, rows_total=archive.count(row.user_id))
    return row


def _progress(row: DataExport, done: int, now: datetime) -> None:
    _keep_hold(row, now + LEASE, rows_done=done)


def _keep_hold(row: DataExport, until: datetime, **changes: int) -> None:
    with tenancy.as_user(row.user_id):
        if not _held(row).update(leased_until=until, **changes):
            raise Lost


def _held(row: DataExport):
    return leases.held(row, state=State.RUNNING)


def _name(row: DataExport) -> str:
    return f"{folder_of(row.user_id)}/{row.id}-{row.attempts}.zip"


def folder_of(user_id: UUID) -> str:
    """Where a person's files lie."""
    return f"{FOLDER}/{user_id}"


def _forget_earlier_files(row: DataExport) -> None:
    """A worker that died between saving its file and saying so left it behind."""
    for name in list(files.names(folder_of(row.user_id))):
        if f"/{row.id}-" in name:
            files.remove(name)


def _finish(row: DataExport, name: str, size: int, now: datetime) -> None:
    """Ready, told and logged in one transaction; a file that nobody waits for is removed."""
    try:
        with tenancy.as_user(row.user_id):
            ready = _held(row).update(
                state=State.READY, file_name=name, bytes=size, ready_at=now, error="",
                expires_at=now + settings.EXPORT_LIFETIME, leased_until=None,
            )  # fmt: skip
            if not ready:
                raise Lost
            activity.record(Action.EXPORT_READY, user_id=row.user_id, export_id=str(row.id))
            notifications.notify(
                user_id=row.user_id, event=Event.EXPORT_READY, dedupe=str(row.id), now=now,
                export_id=row.id,
            )  # fmt: skip
    except BaseException:
        files.remove(name)
        raise


def _put_off(row: DataExport, error: str) -> None:
    failed = row.attempts >= MOST_ATTEMPTS
    with tenancy.as_user(row.user_id):
        _held(row).update(
            state=State.FAILED if failed else State.WAITING, leased_until=None, error=error[:200]
        )
        if failed:
            activity.record(
                Action.EXPORT_FAILED, user_id=row.user_id, outcome="failed", export_id=str(row.id)
            )


def sweep(*, now: datetime) -> int:
    """Queue what waits or was left by a dead worker; give up what died too often."""
    with tenancy.as_system("sweep exports"):
        left = list(
            DataExport.objects.filter(leases.free(now), state__in=_OPEN).order_by("requested_at")[
                :500
            ]
        )
    for row in left:
        if row.attempts < MOST_ATTEMPTS:
            _enqueue(row.id)
        elif row.state == State.RUNNING:
            _put_off(row, "WorkerDied")
            _forget_earlier_files(row)
    return len(left)


def remove_expired(*, now: datetime) -> int:
    """Remove the files whose time is over; returns how many."""
    with tenancy.as_system("remove expired exports"):
        due = list(DataExport.objects.filter(state=State.READY, expires_at__lt=now)[:500])
    for row in due:
        files.remove(row.file_name)
        with tenancy.as_user(row.user_id):
            DataExport.objects.filter(id=row.id).update(state=State.EXPIRED, file_name="")
    return len(due)


# --- fetching -----------------------------------------------------------------------------------
def url(*, user_id: UUID, export_id: UUID) -> str:
    """The address for the e-mail. It is a secret: signed when the text is written, never kept."""
    token = _signer().sign(f"{user_id.hex}{export_id.hex}")
    return f"{settings.PUBLIC_URL}/exports?token={token}"


def read_link(token: str) -> tuple[UUID, UUID]:
    """User and export that a link names. Raises ExportLinkRejected."""
    try:
        text = _signer().unsign(token[:256])
        return UUID(text[:32]), UUID(text[32:])
    except (BadSignature, ValueError):
        raise ExportLinkRejected from None


def fetch(*, user_id: UUID, export_id: UUID, now: datetime, by: str) -> Download:
    """The file of a copy. Raises NotFound, ExportNotReady, ExportExpired.

    A link lives on in a mailbox, so whoever was deactivated is nobody to it.
    """
    with tenancy.as_user(user_id):
        active = User.objects.filter(id=user_id, is_active=True)
        row = DataExport.objects.filter(Exists(active), id=export_id, user_id=user_id).first()
        if row is None:
            raise NotFound
        if row.state in _OPEN:
            raise ExportNotReady
        if row.state != State.READY or row.expires_at is None or row.expires_at <= now:
            raise ExportExpired
        activity.record(Action.EXPORT_DOWNLOADED, user_id=user_id, export_id=str(export_id), by=by)
    try:
        content = files.read(row.file_name)
    except FileNotFoundError:
        raise ExportExpired from None
    return Download(content, f"your-data-{row.requested_at:%Y-%m-%d}.zip", row.bytes)


def _signer() -> Signer:
    return Signer(sep=".", salt="accounts.privacy.export")
