"""What a person wants to be told and how, and what was sent to them."""

from django.db import models

from accounts.models.people import User
from tracker import clock, ids


class Channel(models.TextChoices):
    """How a message reaches somebody."""

    EMAIL = "email"
    PUSH = "push"
    LIVE = "live"  # in the app: kept to be read there, and shown at once where it is open
    WEBHOOK = "webhook"


class NotificationChoice(models.Model):
    """One cell of the table event × channel that differs from the default."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(
        User, models.CASCADE, related_name="notification_choices", db_index=False
    )
    event = models.CharField(max_length=32)
    channel = models.CharField(max_length=8, choices=Channel.choices)
    enabled = models.BooleanField()

    class Meta:
        db_table = "notification_choices"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "event", "channel"], name="notification_choices_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} by {self.channel}: {'on' if self.enabled else 'off'}"


class PushDevice(models.Model):
    """A phone that receives push messages through Expo."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="push_devices", db_index=False)
    # The session that registered it; the device is forgotten when the session ends.
    session_id = models.UUIDField(null=True, blank=True)
    token = models.CharField(max_length=255)
    name = models.CharField(max_length=64, default="", blank=True)
    platform = models.CharField(max_length=16, default="", blank=True)
    created_at = models.DateTimeField(default=clock.now)
    registered_at = models.DateTimeField(default=clock.now)
    # Set when Expo says that the token is no longer valid.
    refused_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "push_devices"
        constraints = [
            # A phone is one person's: whoever registers it takes it over.
            models.UniqueConstraint(fields=["token"], name="push_devices_unique"),
            models.UniqueConstraint(fields=["user", "id"], name="push_devices_owner"),
        ]

    def __str__(self) -> str:
        return self.name or self.platform or "device"


class Delivery(models.Model):
    """One message to one person by one channel: written with the act, sent after it.

    Holds what the message is about, never a secret: links are signed when the text is written.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        SENT = "sent"
        # What it is about is no longer so: the link was used, the device is gone.
        DROPPED = "dropped"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="deliveries", db_index=False)
    event = models.CharField(max_length=32)
    channel = models.CharField(max_length=8, choices=Channel.choices)
    # Where it goes when that is not the person's address of the moment (an old or a new one).
    address = models.CharField(max_length=255, default="", blank=True)
    parameters = models.JSONField(default=dict)
    # The same key twice is the same message: subscribers and tasks may run twice.
    dedupe_key = models.CharField(max_length=128)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=clock.now)
    error = models.CharField(max_length=200, default="", blank=True)
    # Expo's number of the message until it was asked what became of it.
    receipt = models.CharField(max_length=64, default="", blank=True)
    created_at = models.DateTimeField(default=clock.now)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "channel", "dedupe_key"], name="deliveries_once"
            ),
        ]
        indexes = [
            # accounts.tasks.send_due: what waits and whose moment has come
            models.Index(
                fields=["next_attempt_at"], name="deliveries_due",
                condition=models.Q(state="waiting"),
            ),
            # accounts.tasks.check_push_receipts: what Expo took and did not yet report on
            models.Index(
                fields=["sent_at"], name="deliveries_open_receipts",
                condition=~models.Q(receipt=""),
            ),
            # accounts.retention, admin: newest first
            models.Index(fields=["-created_at"], name="deliveries_newest"),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.event} by {self.channel}"
