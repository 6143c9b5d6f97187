"""What support is told of the last visit to a connection, if the person agreed to it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from accounts.helpdesk import snapshots
from portfolios.models import SyncRun

_MOST_PROBLEMS = 20


def register() -> None:
    """Called once as the app is ready."""
    snapshots.add_source("last_sync", last_visit_to)


def last_visit_to(*, user_id: UUID, connection_id: UUID) -> Mapping[str, Any] | None:
    """How the newest run ended: codes, counts and moments. None where nothing was read yet."""
    runs = SyncRun.objects.filter(user_id=user_id, connection_id=connection_id)
    run = runs.order_by("-requested_at").first()
    if run is None:
        return None
    return {
        "state": run.state, "error": run.error, "problems": run.problems[:_MOST_PROBLEMS],
        "requested_at": run.requested_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
        "quarantined": run.quarantined,
    }  # fmt: skip
