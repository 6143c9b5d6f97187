"""To which version of which document a person agreed. A new version asks again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings

from accounts.models import Consent
from audit import log
from audit.actions import Action
from tracker import tenancy
from tracker.errors import DomainError

Document = Consent.Document


class ConsentOutdated(DomainError):
    code = "consent_outdated"
    status = 409
    message = "This is not the version in force. Please read the present one first."


@dataclass(frozen=True, slots=True)
class Standing:
    """One document: which version is in force, and which one the person agreed to last."""

    document: str
    version: str
    agreed_version: str | None
    agreed_at: datetime | None
    url: str

    @property
    def due(self) -> bool:
        return self.agreed_version != self.version


def in_force() -> dict[str, str]:
    """The version in force of each document."""
    return {
        str(Document.TERMS): settings.TERMS_VERSION,
        str(Document.PRIVACY): settings.PRIVACY_VERSION,
    }


def standing(*, user_id: UUID) -> list[Standing]:
    """Each document with what the person agreed to."""
    with tenancy.as_user(user_id):
        rows = Consent.objects.filter(user_id=user_id).order_by("agreed_at", "id")
        last = {row.document: row for row in rows}
        # Agreeing to the version in force counts, whatever was agreed to after it.
        last |= {row.document: row for row in rows if row.version == in_force()[row.document]}
    return [
        Standing(
            document=document, version=version, url=f"{settings.PUBLIC_URL}/{document}",
            agreed_version=last[document].version if document in last else None,
            agreed_at=last[document].agreed_at if document in last else None,
        )
        for document, version in in_force().items()
    ]  # fmt: skip


def check(documents: Mapping[str, str]) -> None:
    """Raises ConsentOutdated unless these are the versions in force."""
    current = in_force()
    if wrong := {name for name, version in documents.items() if current.get(name) != version}:
        raise ConsentOutdated(details={"in_force": {name: current.get(name) for name in wrong}})


def agree(
    *, user_id: UUID, documents: Mapping[str, str], ip_address: str | None, now: datetime
) -> None:
    """Record agreement to the versions in force; twice is once. Raises ConsentOutdated.

    Opens ``as_user`` of the person, or joins the one that is open.
    """
    check(documents)
    rows = [
        Consent(
            user_id=user_id, document=document, version=version, agreed_at=now,
            ip_address=ip_address,
        )
        for document, version in documents.items()
    ]  # fmt: skip
    with tenancy.as_user(user_id):
        Consent.objects.bulk_create(rows, ignore_conflicts=True)
        keys = [row.id for row in rows]
        for row in Consent.objects.filter(id__in=keys):
            log.record(
                Action.CONSENT_GIVEN, user_id=user_id, ip_address=ip_address,
                document=row.document, version=row.version,
            )  # fmt: skip
