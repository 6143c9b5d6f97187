"""What we know ourselves at the moment of a request, with the person's consent.

Rooms above say what they know of a connection; nothing is asked of an exchange.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

# Called inside ``as_user`` with keywords ``user_id`` and ``connection_id``; returns plain values
# that JSON knows, codes and instants, nothing secret; None where there is nothing to say.
Source = Callable[..., Mapping[str, Any] | None]
_sources: dict[str, Source] = {}


def add_source(name: str, source: Source) -> None:
    """Add to what is told of a connection. Called once as a room is ready."""
    _sources[name] = source


def take(*, user_id: UUID, connection_id: UUID | None, now: datetime) -> dict[str, Any]:
    """What every source says now. Call inside ``as_user``."""
    found: dict[str, Any] = {"taken_at": now.isoformat()}
    if connection_id is None:
        return found
    for name, source in _sources.items():
        if told := source(user_id=user_id, connection_id=connection_id):
            found[name] = dict(told)
    return found
