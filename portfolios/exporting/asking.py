"""Asking for a file, looking how far it is, cancelling it, removing it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from celery import current_app
from django.db import transaction
from django.db.models import QuerySet

from accounts.models import User
from audit import log as activity
from audit.actions import Action
from portfolios.exporting import links
from portfolios.exporting.archive import Format
from portfolios.exporting.tables import Content
from portfolios.models import ExportState, FileExport
from tracker import files, live, tenancy
from tracker.api import InvalidInput
from tracker.errors import DomainError, NotFound

MAKE_TASK = "portfolios.tasks.make_file_export"
MOST_OPEN = 3  # of one person at a time
MOST_KEPT = 20
OPEN = (ExportState.WAITING, ExportState.RUNNING)

# Why a file could not be made, by the code on its row.
REASONS: Mapping[str, str] = {
    "disk_full": "There was no room for this file. Please try again later, or choose a shorter "
    "range.",
    "took_too_long": "Making this file took too long. Please choose a shorter range, or another "
    "format than XLSX.",
    "internal_error": "Something broke on our side, and trying again did not help. We were told.",
}


class TooManyFilesOpen(DomainError):
    code = "too_many_files_open"
    status = 409
    message = "Several files are being made already. Please wait for one of them, or cancel it."


class TooManyFilesKept(DomainError):
    code = "too_many_files_kept"
    status = 409
    message = "We keep 20 of your files already. Please remove one that you no longer need."


def request(
    *,
    user_id: UUID,
    contents: Sequence[str],
    format: str,
    since: datetime | None = None,
    until: datetime | None = None,
    now: datetime,
) -> dict[str, Any]:
    """Have a file made. Raises InvalidInput, TooManyFilesOpen, TooManyFilesKept."""
    if since and until and since >= until:
        raise InvalidInput.of("until", "The end of the range must be after its beginning.")
    with tenancy.as_user(user_id):
        User.objects.select_for_update(no_key=True).get(id=user_id)  # counts are exact this way
        _check_room(user_id, now)
        row = FileExport(
            user_id=user_id, contents=_tidy(contents), format=Format(format), since=since,
            until=until, requested_at=now,
        )  # fmt: skip
        row.save(force_insert=True)
        activity.record(
            Action.FILE_REQUESTED, user_id=user_id, export_id=str(row.id),
            contents=list(row.contents), format=row.format,
        )  # fmt: skip
        transaction.on_commit(lambda: enqueue(row.id), robust=True)
    return shown(row, now=now)


def _check_room(user_id: UUID, now: datetime) -> None:
    rows = FileExport.objects.filter(user_id=user_id)
    if rows.filter(state__in=OPEN).count() >= MOST_OPEN:
        raise TooManyFilesOpen
    kept = rows.filter(state=ExportState.READY, expires_at__gt=now)
    if kept.count() + rows.filter(state__in=OPEN).count() >= MOST_KEPT:
        raise TooManyFilesKept


def _tidy(contents: Sequence[str]) -> list[str]:
    """Each once, in our order; everything is everything."""
    if Content.EVERYTHING in contents:
        return [Content.EVERYTHING.value]
    return [content.value for content in Content if content in contents]


def enqueue(export_id: UUID) -> None:
    """By name: the task calls the module that imports this one."""
    current_app.send_task(MAKE_TASK, kwargs={"export_id": str(export_id)})


# --- looking ------------------------------------------------------------------------------------
def files_of(user_id: UUID) -> QuerySet[FileExport]:
    """A person's files, newest first. Inside ``as_user``."""
    return FileExport.objects.filter(user_id=user_id).order_by("-requested_at", "-id")


def detail(*, user_id: UUID, export_id: UUID, now: datetime, linked: bool = True) -> dict[str, Any]:
    """One file: how far it is and, when it is ready, where. Raises NotFound."""
    with tenancy.as_user(user_id):
        return shown(_find(user_id, export_id), now=now, linked=linked)


def shown(row: FileExport, *, now: datetime, linked: bool = True) -> dict[str, Any]:
    """A file as the app is told of it; a link is made anew each time and never kept.

    Not ``linked`` for who must prove themselves first: there is a file, and no address.
    """
    link = links.shown(row, now=now)
    over = row.state == ExportState.READY and link is None
    return {
        "id": row.id, "contents": list(row.contents), "format": row.format, "since": row.since,
        "until": row.until, "state": ExportState.EXPIRED.value if over else str(row.state),
        "rows_done": row.rows_done, "rows_total": row.rows_total,
        "requested_at": row.requested_at, "ready_at": row.ready_at, "expires_at": row.expires_at,
        "file_name": links.download_name(row) if link else "",
        "bytes": row.bytes if link else None, "sha256": row.digest if link else "",
        "url": link[0] if link and linked else None,
        "url_expires_at": link[1] if link and linked else None,
        "error": row.error if row.state == ExportState.FAILED else "",
        "message": REASONS.get(row.error, "") if row.state == ExportState.FAILED else "",
    }  # fmt: skip


def tell(row: FileExport, state: str, *, done: int = 0, total: int = 0) -> None:
    """Tell whoever looks at the app right now."""
    live.publish(
        user_id=row.user_id, topic=live.JOB,
        payload={
            "kind": "export", "id": row.id, "state": state, "done": done, "total": total,
        },
    )  # fmt: skip


# --- wanting it no more -------------------------------------------------------------------------
def cancel(*, user_id: UUID, export_id: UUID, now: datetime) -> dict[str, Any]:
    """Stop a file: at once while it waits, at the next batch while it is made. One that is over
    stays as it is. Raises NotFound."""
    with tenancy.as_user(user_id):
        row = _find(user_id, export_id, lock=True)
        if row.state in OPEN and not row.cancel_asked:
            waiting = row.state == ExportState.WAITING
            row.cancel_asked = True
            row.state = ExportState.CANCELLED if waiting else row.state
            row.save(update_fields=["cancel_asked", "state"])
            activity.record(Action.FILE_CANCELLED, user_id=user_id, export_id=str(export_id))
            if waiting:
                tell(row, row.state)
        return shown(row, now=now)


def remove(*, user_id: UUID, export_id: UUID, now: datetime) -> None:
    """Forget a file, whatever its state; its links are void. Raises NotFound.

    Its time is over first: should this process die before the row is gone, the file goes with
    those that have expired.
    """
    with tenancy.as_user(user_id):
        row = _find(user_id, export_id, lock=True)
        FileExport.objects.filter(id=row.id, user_id=user_id).update(expires_at=now)
        activity.record(Action.FILE_REMOVED, user_id=user_id, export_id=str(export_id))
    files.remove(row.file_name)
    with tenancy.as_user(user_id):
        left = FileExport.objects.filter(id=row.id, user_id=user_id).first()
        if left is not None:
            left.delete()
    if left is not None and left.file_name != row.file_name:  # finished in between
        files.remove(left.file_name)


def _find(user_id: UUID, export_id: UUID, *, lock: bool = False) -> FileExport:
    rows = FileExport.objects.filter(id=export_id, user_id=user_id)
    row = (rows.select_for_update() if lock else rows).first()
    if row is None:
        raise NotFound
    return row
