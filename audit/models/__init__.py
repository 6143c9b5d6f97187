"""Tables of `audit`: what happened, what it looked like from outside, and what was told."""

from audit.models.activity import ActivityLog, ActivitySeal, OutboxEntry, UnsealedActivity
from audit.models.alerts import SecurityAlert, SecurityEvent, WebhookDelivery
from audit.models.drills import DrillResult
from audit.models.metrics import SessionActivity, UserMetric
from audit.models.secrets import SecretInUse
from audit.models.status import (
    ComponentDay,
    ComponentMinute,
    Health,
    Impact,
    Incident,
    IncidentState,
    IncidentUpdate,
    StatusComponent,
)

__all__ = [
    "ActivityLog",
    "ActivitySeal",
    "ComponentDay",
    "ComponentMinute",
    "DrillResult",
    "Health",
    "Impact",
    "Incident",
    "IncidentState",
    "IncidentUpdate",
    "OutboxEntry",
    "SecretInUse",
    "SecurityAlert",
    "SecurityEvent",
    "SessionActivity",
    "StatusComponent",
    "UnsealedActivity",
    "UserMetric",
    "WebhookDelivery",
]
