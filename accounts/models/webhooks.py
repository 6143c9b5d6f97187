"""Addresses of people's own programs that are told what the people are told."""

from django.db import models

from accounts.models.people import User
from tracker import clock, ids


class WebhookEndpoint(models.Model):
    """One address. It and its secret are sealed with the person's data key: a path may be a key."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="webhooks", db_index=False)
    host = models.CharField(max_length=255)
    sealed_url = models.BinaryField()
    sealed_secret = models.BinaryField()
    created_at = models.DateTimeField(default=clock.now)
    tested_at = models.DateTimeField(null=True, blank=True)
    last_success_at = models.DateTimeField(null=True, blank=True)
    # How the last attempt failed, and since when none has succeeded.
    last_error = models.CharField(max_length=64, default="", blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    # Set when it had failed for so long that it is called no more.
    stopped_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "webhook_endpoints"
        constraints = [
            models.UniqueConstraint(fields=["user", "id"], name="webhook_endpoints_owner"),
        ]

    def __str__(self) -> str:
        return self.host
