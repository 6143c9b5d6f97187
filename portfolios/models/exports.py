"""Files that people have made of their data, in the format that they chose."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from portfolios.models.references import user_of
from tracker import clock, ids


class ExportState(models.TextChoices):
    """How far a file is."""

    WAITING = "waiting"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class FileExport(models.Model):
    """A file of some tables of a person's data, made in the background and kept for a while."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    contents = ArrayField(models.CharField(max_length=16), help_text="trades, ledger, lots, …")
    format = models.CharField(max_length=8, help_text="csv, xlsx, jsonl or parquet")
    since = models.DateTimeField(null=True, blank=True)
    until = models.DateTimeField(null=True, blank=True)
    state = models.CharField(
        max_length=12, choices=ExportState.choices, default=ExportState.WAITING
    )
    cancel_asked = models.BooleanField(default=False)
    rows_done = models.PositiveBigIntegerField(default=0)
    rows_total = models.PositiveBigIntegerField(default=0)
    file_name = models.CharField(max_length=255, default="", blank=True)
    bytes = models.PositiveBigIntegerField(default=0)
    digest = models.CharField(max_length=64, default="", blank=True, help_text="SHA-256.")
    error = models.CharField(max_length=48, default="", blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    requested_at = models.DateTimeField(default=clock.now)
    ready_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "file_exports"
        indexes = [
            # GET /exports: one person's, newest first
            models.Index(fields=["user", "-requested_at", "-id"], name="file_exports_newest"),
            # exporting.sweep: those that wait or that a dead worker left
            models.Index(
                fields=["requested_at"], name="file_exports_open",
                condition=models.Q(state__in=["waiting", "running"]),
            ),
            # exporting.remove_expired
            models.Index(
                fields=["expires_at"], name="file_exports_expiring",
                condition=models.Q(state="ready"),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{', '.join(self.contents)} as {self.format}"
