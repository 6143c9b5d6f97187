"""What support is told of a connection, if the person agreed to it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from accounts.helpdesk import snapshots
from exchanges.models import ExchangeConnection


def register() -> None:
    """Called once as the app is ready."""
    snapshots.add_source("connection", health_of)


def health_of(*, user_id: UUID, connection_id: UUID) -> Mapping[str, Any] | None:
    """Exchange, state and moments of a connection; no label, no key. None where there is none."""
    row = ExchangeConnection.objects.filter(user_id=user_id, id=connection_id).first()
    if row is None:
        return None
    return {
        "exchange": row.exchange_id, "state": row.state, "reason": row.reason,
        "privileges": row.privileges, "failures": row.failures,
        "last_synced_at": _written(row.last_synced_at),
        "last_complete_at": _written(row.last_complete_at),
    }  # fmt: skip


def _written(instant: Any) -> str | None:
    return instant.isoformat() if instant else None
