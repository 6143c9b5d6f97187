"""What happened, the seals over it, and what must still be told to the rooms above."""

import uuid

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models

from tracker import clock, ids


class ActivityLog(models.Model):
    """One act of a person, of staff or of the system. Inserted, never changed.

    Partitioned by month on ``created_at`` (the migration says how). ``user`` is the person whom
    the act concerns; ``actor`` who did it, when that is someone else (staff).
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.DO_NOTHING, null=True, db_constraint=False,
        related_name="+", db_index=False,
    )  # fmt: skip
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.DO_NOTHING, null=True, db_constraint=False,
        related_name="+", db_index=False,
    )  # fmt: skip
    action = models.CharField(max_length=64)
    outcome = models.CharField(max_length=16, default="ok")
    details = models.JSONField(default=dict)
    ip_address = models.GenericIPAddressField(null=True)
    session_id = models.UUIDField(null=True)
    request_id = models.CharField(max_length=64, default="")
    created_at = models.DateTimeField(default=clock.now)
    # Hides what a commitment commits to once the row is erased. Null after erasure.
    salt = models.UUIDField(null=True, default=uuid.uuid4, editable=False)
    erased_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        db_table = "activity_logs"
        managed = True
        indexes = [
            # a person's own activity, newest first (admin, /me/activity)
            models.Index(fields=["user", "-created_at"], name="activity_by_user"),
            # one kind of act over time (detectors, admin)
            models.Index(fields=["action", "-created_at"], name="activity_by_action"),
            # what somebody of staff did, newest first (admin); erasure
            models.Index(
                fields=["actor", "-created_at"],
                name="activity_by_actor",
                condition=models.Q(actor__isnull=False),
            ),
            # admin: whom the request concerned whose id somebody reads to support
            models.Index(
                fields=["request_id"], name="activity_by_request",
                condition=~models.Q(request_id=""),
            ),
            # audit.metrics.roll_up: a day of everybody, in a table that grows by time
            BrinIndex(fields=["created_at"], name="activity_by_time"),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.action} at {self.created_at:%Y-%m-%d %H:%M:%S}"


class OutboxEntry(models.Model):
    """An activity that subscribers above have not handled yet; deleted when they have.

    Written in the transaction of the act itself, so neither exists without the other.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+", db_index=False
    )
    action = models.CharField(max_length=64)
    details = models.JSONField(default=dict)
    request_id = models.CharField(max_length=64, default="")
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "outbox"
        indexes = [
            # audit.tasks.sweep_outbox: what is still there after its moment
            models.Index(fields=["created_at"], name="outbox_by_age"),
        ]

    def __str__(self) -> str:
        return self.action


class UnsealedActivity(models.Model):
    """A log row that no seal covers yet; a trigger adds it, the sealer takes it away."""

    log_id = models.UUIDField(primary_key=True)
    created_at = models.DateTimeField()
    commitment = models.BinaryField(max_length=32)

    class Meta:
        db_table = "activity_unsealed"

    def __str__(self) -> str:
        return f"{self.log_id}"


class ActivitySeal(models.Model):
    """A link of the hash chain: the commitments of the rows since the link before.

    ``digest`` links each seal to the one before it, and ``mac`` says that we made it: its key is
    outside the database. A rotated key takes nothing away, because a later seal vouches for all
    earlier ones through the digests.
    """

    number = models.BigIntegerField(primary_key=True)
    sealed_at = models.DateTimeField()
    # 56 bytes a row, in the order of the ids: the log row's id, its instant, its commitment.
    members = models.BinaryField()
    previous = models.BinaryField(max_length=32)
    digest = models.BinaryField(max_length=32)
    # Which key of ENCRYPTION_KEY the code below was made with.
    key_id = models.CharField(max_length=16)
    mac = models.BinaryField(max_length=32)

    class Meta:
        db_table = "activity_seals"

    def __str__(self) -> str:
        return f"seal {self.number}"
