"""Who was there and what they used."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from tracker import clock


class SessionActivity(models.Model):
    """That a session was in use within five minutes, and for what.

    Written at most once per session, five minutes and feature; the day's roll-up reads it, and
    it says when and from where a device was last seen.
    """

    pk = models.CompositePrimaryKey("session_id", "bucket_at")
    session_id = models.UUIDField()
    bucket_at = models.DateTimeField()
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    last_at = models.DateTimeField()
    ip_address = models.GenericIPAddressField(null=True)
    features = ArrayField(models.CharField(max_length=32))

    class Meta:
        db_table = "session_activity"
        indexes = [
            # audit.metrics.roll_up: a day of everybody
            models.Index(fields=["bucket_at"], name="session_activity_by_time"),
            # a person's devices with their last activity; erasure
            models.Index(fields=["user", "-bucket_at"], name="session_activity_by_user"),
        ]


class UserMetric(models.Model):
    """One person's day (UTC)."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    date = models.DateField()
    daily_active = models.BooleanField()
    # {"portfolio": 3, …}: in how many five-minute spans a feature was read, plus acts of it.
    features_used = models.JSONField(default=dict)
    session_duration = models.DurationField("time in the app")
    rolled_up_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "user_metrics"
        constraints = [
            models.UniqueConstraint(fields=["user", "date"], name="user_metrics_once_a_day"),
        ]
        indexes = [
            # admin: activity by day
            models.Index(fields=["date"], name="user_metrics_by_day"),
        ]

    def __str__(self) -> str:
        return f"{self.date}"
