"""Daily valuations: stored, extended day by day, restated when late data arrives."""

from datetime import date, datetime
from uuid import UUID


def revalue(*, user_id: UUID, since: date | None, now: datetime) -> None:
    """Compute the days from ``since`` (or the first missing one) to yesterday anew.

    Call inside ``as_user``.
    """
