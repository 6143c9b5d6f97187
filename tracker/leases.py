"""Long jobs as rows: one worker holds each, for as long as it says that it still does.

A leaf. The rows have ``user_id``, ``state``, ``attempts`` (a count) and ``leased_until`` (an
instant, or None). A claim counts one attempt, and the number of the attempt is what a worker must
still hold to write anything: one that was thought dead and comes back finds that it is not its
job any more. A dead worker's lease lapses, and the job's sweeper queues it again.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, Model, Q, QuerySet


class Lost(Exception):
    """The job is somebody else's by now, or was taken back."""


def free(now: datetime) -> Q:
    """In nobody's hands: never taken, given back, or left by a worker that died."""
    return Q(leased_until=None) | Q(leased_until__lt=now)


def take(
    rows: QuerySet, job_id: UUID, *, now: datetime, lease: timedelta, most: int, **changes: Any
) -> bool:
    """Claim one of the rows for this long, if it is free and was not tried ``most`` times.

    ``changes`` are written in the same statement. Call inside ``as_system``.
    """
    waiting = rows.filter(free(now), id=job_id, attempts__lt=most)
    return bool(waiting.update(leased_until=now + lease, attempts=F("attempts") + 1, **changes))


def held(row: Any, *, state: str) -> QuerySet:
    """The row itself, while this worker's attempt holds it in the state of being worked on."""
    model: type[Model] = type(row)
    return model._default_manager.filter(
        id=row.id, user_id=row.user_id, state=state, attempts=row.attempts
    )
