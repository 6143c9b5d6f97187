"""Making files in the background: once each, whole or not at all, and gone in time.

A job is a row with a lease, renewed with every batch; a dead worker's job is found by ``sweep``.
Each claim counts one attempt, and a worker must still hold its attempt to write anything. The file
grows as a nameless temporary one and is handed to the storage only when it is complete.
"""

import errno
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import IO, Any
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from psycopg.errors import QueryCanceled

from accounts import notifications
from accounts.models import User
from accounts.notifications import Event
from accounts.privacy import export as copies
from audit import log as activity
from audit.actions import Action
from portfolios.cost import gains
from portfolios.exporting import archive, reading, tables
from portfolios.exporting.archive import Format, Order
from portfolios.exporting.asking import OPEN, REASONS, enqueue, tell
from portfolios.exporting.reading import Range
from portfolios.models import ExportState, FileExport
from tracker import files, leases, tenancy
from tracker.leases import Lost
from tracker.logs import get_logger

log = get_logger(__name__)
LEASE = timedelta(minutes=1)  # a batch of rows takes seconds
LEASE_OF_UPLOAD = timedelta(minutes=10)  # handing a file to the storage reports no progress
MOST_ATTEMPTS = 3  # as often as a task may kill its worker
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_TOO_LONG = (SoftTimeLimitExceeded, QueryCanceled)
Clock = Callable[[], datetime]


def make(*, export_id: UUID, clock: Clock) -> bool:
    """Make a file that waits, or that a dead worker left; returns whether it is ready now."""
    row = _claim(export_id, clock())
    if row is None:
        return False
    try:
        _forget_parts(row)
        with tempfile.TemporaryFile() as content:
            rows = _write(content, row, clock)
            size, digest = content.tell(), _digest(content)
            _keep_hold(row, clock() + LEASE_OF_UPLOAD, rows_done=rows)
            name = files.save(_name(row), content)
        _finish(row, name, clock(), bytes=size, digest=digest)
    except Lost:
        _stop_if_asked(row)
        return False
    except Exception as error:  # whatever it is: said at once, or tried again by the sweeper
        log.error("file_export.failed", export=str(row.id), error=type(error).__name__)
        _put_off(row, _reason(error), clock())
        _forget_parts_if_possible(row)
        return False
    return True


# --- holding the job ----------------------------------------------------------------------------
def _claim(export_id: UUID, now: datetime) -> FileExport | None:
    with tenancy.as_system("make a file"):
        claimed = leases.take(
            FileExport.objects.filter(state__in=OPEN, cancel_asked=False), export_id, now=now,
            lease=LEASE, most=MOST_ATTEMPTS, state=ExportState.RUNNING, rows_done=0,
        )  # fmt: skip
        row = FileExport.objects.get(id=export_id) if claimed else None
    if row is not None:
        tell(row, row.state)
    return row


def _held(row: FileExport) -> Any:
    return leases.held(row, state=ExportState.RUNNING)


def _keep_hold(row: FileExport, until: datetime, **changes: int) -> None:
    """Raises Lost, also when somebody cancelled."""
    with tenancy.as_user(row.user_id):
        wanted = _held(row).filter(cancel_asked=False)
        if not wanted.update(leased_until=until, **changes):
            raise Lost


def _stop_if_asked(row: FileExport) -> None:
    with tenancy.as_user(row.user_id):
        if (
            _held(row)
            .filter(cancel_asked=True)
            .update(state=ExportState.CANCELLED, leased_until=None)
        ):
            tell(row, ExportState.CANCELLED)


# --- writing the file ---------------------------------------------------------------------------
def _write(content: IO[bytes], row: FileExport, clock: Clock) -> int:
    """The zip, as everything is now; returns its rows."""

    def counted(rows: int) -> None:
        row.rows_total = rows
        _keep_hold(row, clock() + LEASE, rows_total=rows)

    def told(done: int) -> None:
        _keep_hold(row, clock() + LEASE, rows_done=done)
        tell(row, ExportState.RUNNING, done=done, total=row.rows_total)

    within = Range(row.since, row.until)
    order = Order(
        tables=tables.of(row.contents), format=Format(row.format), within=within,
        figures=_figures(row), made_at=clock(),
    )  # fmt: skip
    with reading.snapshot(user_id=row.user_id, within=within) as reader:
        return archive.write(content, order, reader=reader, counted=counted, told=told)


def _figures(row: FileExport) -> dict[str, Any]:
    """By which rules lots and gains are computed; nothing where none are asked for."""
    names = {table.name for table in tables.of(row.contents)}
    if not names & {"lots", "disposals", "incomes"}:
        return {}
    with tenancy.as_user(row.user_id):
        return gains.standing(user=User.objects.get(id=row.user_id))


def _digest(content: IO[bytes]) -> str:
    """SHA-256 of a file; it stands at its beginning afterwards."""
    content.seek(0)
    found = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
    content.seek(0)
    return found


def _name(row: FileExport) -> str:
    """In the folder that goes with the person."""
    return f"{copies.folder_of(row.user_id)}/{_prefix(row)}{row.attempts}.zip"


def _prefix(row: FileExport) -> str:
    return f"file-{row.id}-"


def _forget_parts(row: FileExport) -> None:
    """A worker that died, or a disk that was full while the file was handed over, left them."""
    for name in list(files.names(copies.folder_of(row.user_id))):
        if name.rsplit("/", 1)[-1].startswith(_prefix(row)):
            files.remove(name)


def _forget_parts_if_possible(row: FileExport) -> None:
    """The storage itself may be what failed; then the next attempt or the erasure finds them."""
    try:
        _forget_parts(row)
    except Exception as error:
        log.warning("file_export.parts_left", export=str(row.id), error=type(error).__name__)


# --- how it ends --------------------------------------------------------------------------------
def _finish(row: FileExport, name: str, now: datetime, **found: Any) -> None:
    """Ready, told and logged in one transaction; a file that nobody waits for is removed."""
    expires_at = now + settings.EXPORT_LIFETIME
    try:
        with tenancy.as_user(row.user_id):
            ready = _held(row).filter(cancel_asked=False).update(
                state=ExportState.READY, file_name=name, ready_at=now, error="",
                expires_at=expires_at, leased_until=None, **found,
            )  # fmt: skip
            if not ready:
                raise Lost
            activity.record(Action.FILE_READY, user_id=row.user_id, export_id=str(row.id))
            notifications.notify(
                user_id=row.user_id, event=Event.FILE_EXPORT_READY, dedupe=str(row.id), now=now,
                export_id=row.id, contents=_contents(row), format=row.format.upper(),
                rows=row.rows_total, expires_at=expires_at,
            )  # fmt: skip
            tell(row, ExportState.READY, done=row.rows_total, total=row.rows_total)
    except BaseException:
        files.remove(name)
        raise


def _contents(row: FileExport) -> str:
    return ", ".join(row.contents)


def _reason(error: BaseException) -> str:
    """Closing a zip on a full disk fails again in other words, so every cause is looked at."""
    causes = list(_causes(error))
    if any(isinstance(cause, _TOO_LONG) for cause in causes):
        return "took_too_long"
    no_room = any(getattr(cause, "errno", None) in _NO_ROOM for cause in causes)
    return "disk_full" if no_room else "internal_error"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _put_off(row: FileExport, reason: str, now: datetime) -> None:
    """What would be the same the next time is said at once; the rest is tried again."""
    failed = reason != "internal_error" or row.attempts >= MOST_ATTEMPTS
    state = ExportState.FAILED if failed else ExportState.WAITING
    with tenancy.as_user(row.user_id):
        kept = _held(row).update(
            state=state, leased_until=None, error=reason, rows_done=0, rows_total=0
        )
        if not kept:
            return
        tell(row, state)
        if failed:
            _say_failed(row, reason, now)


def _say_failed(row: FileExport, reason: str, now: datetime) -> None:
    activity.record(
        Action.FILE_FAILED, user_id=row.user_id, outcome="failed", export_id=str(row.id),
        reason=reason,
    )  # fmt: skip
    notifications.notify(
        user_id=row.user_id, event=Event.FILE_EXPORT_FAILED, dedupe=str(row.id), now=now,
        export_id=row.id, contents=_contents(row), reason=REASONS[reason],
    )  # fmt: skip


# --- what is due --------------------------------------------------------------------------------
def sweep(*, now: datetime) -> int:
    """Queue what waits or was left by a dead worker; give up what died too often."""
    with tenancy.as_system("sweep files"):
        open_ = FileExport.objects.filter(leases.free(now), state__in=OPEN)
        left = list(open_.order_by("requested_at")[:500])
    for row in left:
        if row.cancel_asked:
            _stop_if_asked(row)
        elif row.attempts < MOST_ATTEMPTS:
            enqueue(row.id)
        else:
            _put_off(row, "internal_error", now)
            _forget_parts_if_possible(row)
    return len(left)


def remove_expired(*, now: datetime) -> int:
    """Remove the files whose time is over; returns how many."""
    with tenancy.as_system("remove expired files"):
        due = FileExport.objects.filter(state=ExportState.READY, expires_at__lte=now)
        rows = list(due.order_by("expires_at")[:500])
    for row in rows:
        files.remove(row.file_name)
        with tenancy.as_user(row.user_id):
            FileExport.objects.filter(id=row.id, state=ExportState.READY).update(
                state=ExportState.EXPIRED, file_name=""
            )
            tell(row, ExportState.EXPIRED)
    return len(rows)
