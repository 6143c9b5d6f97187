"""Links to files: signed, with an end of their own, good without signing in.

Whoever has one has the file, so it reaches no log and no cache, and ends with the file, with the
account, or when its time is over.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO, Any
from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db.models import Exists

from accounts.messages import Outdated
from accounts.models import User
from audit import log as activity
from audit.actions import Action
from portfolios.models import ExportState, FileExport
from tracker import files, tenancy
from tracker.errors import DomainError, NotFound

_HOUR = timedelta(hours=1)
_LONGEST = 256


class FileLinkRejected(DomainError):
    """Forged, of a file that was removed, of somebody who is gone: the same sentence."""

    code = "file_link_rejected"
    status = 404
    message = "This link is not valid. Please open the file in the app."


class FileLinkExpired(DomainError):
    code = "file_link_expired"
    status = 410
    message = "This link is over. Please open the file in the app, or ask for a new one."


@dataclass(frozen=True, slots=True)
class Download:
    """A finished file, open for reading."""

    content: IO[bytes]
    file_name: str
    bytes: int


def shown(row: FileExport, *, now: datetime) -> tuple[str, datetime] | None:
    """The link that the app shows, and its end; None where there is no file.

    It is the same for an hour, so that asking again and again finds nothing changed.
    """
    if row.state != ExportState.READY or row.expires_at is None or row.expires_at <= now:
        return None
    full = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    until = min(full + 2 * _HOUR, row.expires_at)
    return url(user_id=row.user_id, export_id=row.id, until=until), until


def url(*, user_id: UUID, export_id: UUID, until: datetime) -> str:
    """The address of a file until some instant. It is a secret, never kept."""
    told = f"{user_id.hex}{export_id.hex}{int(until.timestamp())}"
    return f"{settings.PUBLIC_URL}/files?token={_signer().sign(told)}"


def of_message(*, user_id: UUID, parameters: Any, now: datetime) -> str:
    """The link in the e-mail about a file, good as long as the file is kept. Raises Outdated.

    Inside ``as_user``.
    """
    export_id = UUID(parameters["export_id"])
    row = FileExport.objects.filter(
        id=export_id, user_id=user_id, state=ExportState.READY, expires_at__gt=now
    ).first()
    if row is None or row.expires_at is None:
        raise Outdated
    return url(user_id=user_id, export_id=export_id, until=row.expires_at)


def fetch(*, token: str, now: datetime) -> Download:
    """The file that a link names. Raises FileLinkRejected, FileLinkExpired."""
    user_id, export_id, until = _read(token)
    if until <= now:
        raise FileLinkExpired
    try:
        return _open(user_id, export_id, now)
    except NotFound:
        raise FileLinkRejected from None


def _open(user_id: UUID, export_id: UUID, now: datetime) -> Download:
    """Links live on in mailboxes, so whoever was deactivated is nobody to them."""
    with tenancy.as_user(user_id):
        active = User.objects.filter(id=user_id, is_active=True)
        row = FileExport.objects.filter(Exists(active), id=export_id, user_id=user_id).first()
        if row is None:
            raise NotFound
        if row.state != ExportState.READY or row.expires_at is None or row.expires_at <= now:
            raise FileLinkExpired
        activity.record(Action.FILE_DOWNLOADED, user_id=user_id, export_id=str(export_id))
    try:
        content = files.read(row.file_name)
    except FileNotFoundError:
        raise FileLinkExpired from None
    return Download(content, download_name(row), row.bytes)


def download_name(row: FileExport) -> str:
    """What the file is called where it is saved."""
    what = row.contents[0] if len(row.contents) == 1 else "portfolio"
    return f"{what}-{row.requested_at.astimezone(UTC):%Y-%m-%d}-{row.format}.zip"


def _read(token: str) -> tuple[UUID, UUID, datetime]:
    try:
        text = _signer().unsign(token[:_LONGEST])
        until = datetime.fromtimestamp(int(text[64:]), UTC)
        return UUID(text[:32]), UUID(text[32:64]), until
    except (BadSignature, ValueError, OverflowError, OSError):
        raise FileLinkRejected from None


def _signer() -> Signer:
    return Signer(sep=".", salt="portfolios.exporting.links")
