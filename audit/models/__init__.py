"""Tables of `audit`: what happened, what it looked like from outside, and what was told."""

from audit.models.activity import ActivityLog, ActivitySeal, OutboxEntry, UnsealedActivity
from audit.models.alerts import SecurityAlert, SecurityEvent, WebhookDelivery
from audit.models.drills import DrillResult
from audit.models.metrics import SessionActivity, UserMetric

__all__ = [
    "ActivityLog",
    "ActivitySeal",
    "DrillResult",
    "OutboxEntry",
    "SecurityAlert",
    "SecurityEvent",
    "SessionActivity",
    "UnsealedActivity",
    "UserMetric",
    "WebhookDelivery",
]
