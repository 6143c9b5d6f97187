"""Computing what is derived: pairs, lots, valuations, discrepancies, in that order."""

from datetime import datetime
from uuid import UUID


def derive(*, user_id: UUID, now: datetime) -> bool:
    """Bring one person's derived rows up to the ledger; False when somebody else is at it."""
    return True
