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


class NotificationSettings(models.Model):
    """When somebody wants to be told; the defaults hold where there is no row."""

    user = models.OneToOneField(
        User, models.CASCADE, related_name="notification_settings", primary_key=True
    )
    # Local times between which nothing disturbs; both or none, and the second may be tomorrow's.
    quiet_from = models.TimeField(null=True, blank=True)
    quiet_until = models.TimeField(null=True, blank=True)
    weekly_summary_day = models.PositiveSmallIntegerField(default=0, help_text="0 is Monday.")
    # When the next summary is to be made; unset until it was worked out.
    summary_due_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "notification settings"
        db_table = "notification_settings"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(quiet_from=None, quiet_until=None)
                | models.Q(quiet_from__isnull=False, quiet_until__isnull=False),
                name="notification_settings_quiet_hours",
            ),
            models.CheckConstraint(
                condition=models.Q(weekly_summary_day__lte=6), name="notification_settings_weekday"
            ),
        ]
        indexes = [
            # portfolios.summaries.queue_due: whose summary's moment has come, or is not known yet
            models.Index(fields=["summary_due_at"], name="notification_settings_due"),
        ]

    def __str__(self) -> str:
        return f"quiet from {self.quiet_from} until {self.quiet_until}"


class EmailSuppression(models.Model):
    """An address of a person's that does not exist or takes nothing: spared until it is lifted."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(
        User, models.CASCADE, related_name="email_suppressions", db_index=False
    )
    address = models.CharField(max_length=255)
    # What the mail server or the provider said, as a code.
    reason = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=clock.now)
    lifted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "email_suppressions"
        constraints = [
            # Also for accounts.suppressions.is_suppressed: the one in force
            models.UniqueConstraint(
                fields=["user", "address"], name="email_suppressions_one_in_force",
                condition=models.Q(lifted_at=None),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.address}: {self.reason}"


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

    Those of the channel ``live`` are what the app lists as notices: they are there at once.
    Holds what the message is about, never a secret: links are signed when the text is written.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        SENT = "sent"
        # What it is about is no longer so: the link was used, the device is gone.
        DROPPED = "dropped"
        FAILED = "failed"

    class HeldBack(models.TextChoices):
        QUIET_HOURS = "quiet_hours"
        GATHERED = "gathered"  # one message for what was more than the limit of an hour

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
    # Why it was not sent at once, though nothing had failed.
    held_back = models.CharField(max_length=16, choices=HeldBack.choices, default="", blank=True)
    error = models.CharField(max_length=200, default="", blank=True)
    # Expo's number of the message until it was asked what became of it.
    receipt = models.CharField(max_length=64, default="", blank=True)
    created_at = models.DateTimeField(default=clock.now)
    sent_at = models.DateTimeField(null=True, blank=True)
    # Of a notice in the app.
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
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
            # accounts.inbox: a person's notices, newest first
            models.Index(
                fields=["user", "-created_at", "-id"], name="deliveries_notices",
                condition=models.Q(channel="live"),
            ),
            # accounts.inbox: how many of them are not read yet
            models.Index(
                fields=["user"], name="deliveries_unread",
                condition=models.Q(channel="live", read_at=None),
            ),
            # accounts.limits: what a person was told within the last hour
            models.Index(fields=["user", "created_at"], name="deliveries_of_late"),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.event} by {self.channel}"
