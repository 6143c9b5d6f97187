"""What looked wrong, what others told us, and what we told operators."""

from django.conf import settings
from django.db import models

from tracker import clock, ids


class Severity(models.TextChoices):
    """How soon somebody should look."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class SecurityAlert(models.Model):
    """Something that a person or staff should look at, with what led to it."""

    class State(models.TextChoices):
        OPEN = "open"
        ACKNOWLEDGED = "acknowledged"
        RESOLVED = "resolved"

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+", db_index=False
    )
    kind = models.CharField(max_length=48)
    severity = models.CharField(max_length=8, choices=Severity.choices)
    evidence = models.JSONField(default=dict)
    # The same key again, while an alert of it is not resolved, is the same alert.
    dedupe_key = models.CharField(max_length=128)
    state = models.CharField(max_length=12, choices=State.choices, default=State.OPEN)
    created_at = models.DateTimeField(default=clock.now)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    handled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+",
        db_constraint=False, db_index=False,
    )  # fmt: skip
    note = models.TextField(default="", blank=True)

    class Meta:
        db_table = "security_alerts"
        constraints = [
            models.UniqueConstraint(
                fields=["dedupe_key"], condition=~models.Q(state="resolved"),
                name="security_alerts_once",
            ),
        ]  # fmt: skip
        indexes = [
            # a person's own alerts, newest first
            models.Index(fields=["user", "-created_at"], name="security_alerts_by_user"),
            # admin: what is open, newest first
            models.Index(fields=["state", "-created_at"], name="security_alerts_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} ({self.severity})"


class SecurityEvent(models.Model):
    """A message that came in at the security webhook, stored once by its id."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    message_id = models.CharField(max_length=128, unique=True)
    kind = models.CharField(max_length=64)
    source = models.CharField(max_length=64, default="", blank=True)
    payload = models.JSONField(default=dict)
    alert = models.ForeignKey(SecurityAlert, models.SET_NULL, null=True, related_name="events")
    received_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "security_events"
        indexes = [
            # admin and retention: by age
            models.Index(fields=["-received_at"], name="security_events_newest"),
        ]

    def __str__(self) -> str:
        return self.kind


class WebhookDelivery(models.Model):
    """One alert on its way to one address of the operators, with every attempt's end."""

    class State(models.TextChoices):
        WAITING = "waiting"
        DELIVERED = "delivered"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    alert = models.ForeignKey(SecurityAlert, models.CASCADE, related_name="deliveries")
    # Which of the configured addresses, by its host; the address itself may hold a secret.
    endpoint = models.CharField(max_length=64)
    host = models.CharField(max_length=255)
    state = models.CharField(max_length=12, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=clock.now)
    last_status = models.PositiveSmallIntegerField(null=True, blank=True)
    last_error = models.CharField(max_length=200, default="", blank=True)
    # The end of each attempt: [{"at", "status", "error"}, …], the oldest forgotten after many.
    attempts_log = models.JSONField(default=list)
    created_at = models.DateTimeField(default=clock.now)
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        db_table = "webhook_deliveries"
        constraints = [
            models.UniqueConstraint(fields=["alert", "endpoint"], name="webhook_deliveries_once"),
        ]
        indexes = [
            # audit.tasks.deliver_webhooks: what waits and whose moment has come
            models.Index(
                fields=["next_attempt_at"], name="webhook_deliveries_due",
                condition=models.Q(state="waiting"),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.state} to {self.host}"
