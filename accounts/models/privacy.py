"""What a person agreed to, and the copies of their data that they asked for."""

from django.db import models

from accounts.models.people import User
from tracker import clock, ids


class Consent(models.Model):
    """A person agreed to one version of a document. Rows are only ever added."""

    class Document(models.TextChoices):
        TERMS = "terms"
        PRIVACY = "privacy"

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="consents", db_index=False)
    document = models.CharField(max_length=16, choices=Document.choices)
    version = models.CharField(max_length=32)
    agreed_at = models.DateTimeField(default=clock.now)
    ip_address = models.GenericIPAddressField(null=True, blank=True)

    class Meta:
        db_table = "consents"
        constraints = [
            models.UniqueConstraint(fields=["user", "document", "version"], name="consents_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.document} {self.version}"


class DataExport(models.Model):
    """A copy of everything about a person, made in the background."""

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        READY = "ready"
        FAILED = "failed"
        EXPIRED = "expired"

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="data_exports", db_index=False)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    file_name = models.CharField(max_length=255, default="", blank=True)
    bytes = models.PositiveBigIntegerField(default=0)
    rows_done = models.PositiveBigIntegerField(default=0)
    rows_total = models.PositiveBigIntegerField(default=0)
    error = models.CharField(max_length=200, default="", blank=True)
    # While somebody works on it; a dead worker's claim is free again when this has passed.
    leased_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    requested_at = models.DateTimeField(default=clock.now)
    ready_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "data_exports"
        constraints = [
            # Asked for twice is one export.
            models.UniqueConstraint(
                fields=["user"], condition=models.Q(state__in=["waiting", "running"]),
                name="data_exports_one_at_a_time",
            ),
            models.UniqueConstraint(fields=["user", "id"], name="data_exports_owner"),
        ]  # fmt: skip
        indexes = [
            # accounts.tasks: exports that wait, or whose file is to be removed
            models.Index(fields=["state", "expires_at"], name="data_exports_due"),
        ]

    def __str__(self) -> str:
        return f"export of {self.requested_at:%Y-%m-%d %H:%M}"
