"""Disturbances that staff write about: their state follows from what was said last."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from audit import status_copy
from audit.models import Incident, IncidentState, IncidentUpdate


def settle(*, incident_id: UUID, now: datetime) -> None:
    """Give an incident the state of its newest update, and have the status page tell it at once.

    One without updates is being investigated.
    """
    newest = (
        IncidentUpdate.objects.filter(incident_id=incident_id)
        .order_by("-created_at", "-id")
        .first()
    )
    state = newest.state if newest else IncidentState.INVESTIGATING
    resolved = newest.created_at if newest and state == IncidentState.RESOLVED else None
    Incident.objects.filter(id=incident_id).update(state=state, resolved_at=resolved)
    tell_after_commit(now=now)


def tell_after_commit(*, now: datetime) -> None:
    """Make the public copy anew once what was written is there for all to see."""
    transaction.on_commit(lambda: status_copy.publish(now=now), robust=True)
