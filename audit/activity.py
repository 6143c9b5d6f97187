"""A person's own activity, as the API shows it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from audit.models import ActivityLog
from audit.sentences import BY_ANYBODY, BY_SYSTEM, sentence


def acts_of(user_id: UUID) -> QuerySet[Any]:
    """What concerns a person. Call inside a tenancy context."""
    return ActivityLog.objects.filter(user_id=user_id).values(
        "id", "user_id", "actor_id", "action", "outcome", "created_at", "ip_address", "session_id"
    )


def shown(act: Mapping[str, Any]) -> dict[str, Any]:
    """One act in the API's own names. Who of staff it was, and from where, is not shown."""
    by = _by(act)
    own = by != "support"
    return {
        "id": act["id"],
        "action": act["action"],
        "text": sentence(act["action"]),
        "outcome": act["outcome"],
        "by": by,
        "created_at": act["created_at"],
        "ip_address": act["ip_address"] if own else None,
        "session_id": act["session_id"] if own else None,
    }


def _by(act: Mapping[str, Any]) -> str:
    if act["actor_id"] not in (None, act["user_id"]):
        return "support"
    if act["action"] in BY_ANYBODY:
        return "unknown"
    # What runs in the background knows neither an address nor a session.
    present = act["ip_address"] or act["session_id"] or act["actor_id"]
    return "you" if present and act["action"] not in BY_SYSTEM else "system"
