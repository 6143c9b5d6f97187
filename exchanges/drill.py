"""What this room looks at in a database that was restored for a drill."""

from datetime import datetime
from uuid import UUID

from exchanges import credentials
from exchanges.models import ExchangeCredential
from exchanges.reports import SealedCredential
from tracker import tenancy
from tracker.backups import drill
from tracker.backups.drill import Faulty

_SAMPLE = 100


def register() -> None:
    """Take part in drills."""
    drill.check("credentials", look_at_credentials, place=3)


def look_at_credentials(now: datetime) -> str:
    """API keys open with the data keys that came back; what they are is not looked at.

    People who were erased since have no data key any more, and theirs must not open. Raises
    Faulty when one of another person does not open, or none does.
    """
    with tenancy.as_system("restore drill"):
        stored = ExchangeCredential.objects.order_by("-id")
        sample: list[UUID] = list(stored.values_list("connection_id", flat=True)[:_SAMPLE])
        sealed = credentials.load(sample)
        opening = sum(map(_opens, sealed.values()))
    keyless = len(sample) - len(sealed)
    if opening < len(sealed) or (sample and not opening):
        raise Faulty(f"{opening} of {len(sample)} credentials open; {keyless} have no data key")
    return f"{opening} of {len(sample)} credentials open; {keyless} have no data key"


def _opens(sealed: SealedCredential) -> bool:
    from exchanges.gateway import credentials as gateway
    from exchanges.gateway.errors import CredentialUnreadable

    try:
        gateway.opened(sealed)
    except CredentialUnreadable:
        return False
    return True
