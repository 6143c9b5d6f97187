"""Reported holdings less the ledger: where they differ, since when, and why."""

from datetime import datetime
from uuid import UUID


def refresh(*, user_id: UUID, now: datetime) -> int:
    """Compute one person's discrepancies anew; returns how many there are. Inside ``as_user``."""
    return 0
