"""What the exchanges report that a person holds, its history, and the visits that asked."""

from django.db import models

from exchanges.models import ExchangeConnection
from portfolios.models.references import asset_of, connection_of, user_of
from tracker import clock, ids
from tracker.money import UnitsField


class Holding(models.Model):
    """Units now, per connection, wallet and asset, as the exchange reports them."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    connection = connection_of()
    wallet = models.CharField(max_length=16)
    asset = asset_of()
    exchange_code = models.CharField(max_length=64, help_text="The exchange's own code.")
    quantity = UnitsField()
    changed_at = models.DateTimeField()
    last_confirmed_at = models.DateTimeField()

    class Meta:
        db_table = "holdings"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "connection", "wallet", "exchange_code"], name="holdings_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} {self.exchange_code}"


class HoldingChange(models.Model):
    """A reported balance that differs from the one before: since when the exchange says so."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    connection = connection_of()
    wallet = models.CharField(max_length=16)
    asset = asset_of()
    exchange_code = models.CharField(max_length=64)
    quantity = UnitsField()
    previous = UnitsField(null=True)
    reported_at = models.DateTimeField()

    class Meta:
        db_table = "holding_changes"
        indexes = [
            # reconciliation: a wallet's reports of an asset in order
            models.Index(
                fields=["user", "connection", "wallet", "asset", "reported_at"],
                name="holding_changes_in_order",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.exchange_code} → {self.quantity}"


class SyncState(models.TextChoices):
    """How far a sync run is."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"


class SyncRun(models.Model):
    """One visit to a connection: why, when, what came of it."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    connection = models.ForeignKey(ExchangeConnection, models.CASCADE, related_name="sync_runs")
    trigger = models.CharField(max_length=16)
    state = models.CharField(max_length=12, choices=SyncState.choices, default=SyncState.QUEUED)
    requested_at = models.DateTimeField(default=clock.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    new_trades = models.PositiveIntegerField(default=0)
    new_transfers = models.PositiveIntegerField(default=0)
    new_rewards = models.PositiveIntegerField(default=0)
    quarantined = models.PositiveIntegerField(default=0)
    problems = models.JSONField(default=list, help_text="Feeds that failed, with stable codes.")
    error = models.CharField(max_length=48, default="", blank=True)
    # How far it is, while it runs; a first import may take several visits.
    phase = models.CharField(max_length=32, default="", blank=True)
    visits = models.PositiveIntegerField(default=0)
    calls_done = models.PositiveIntegerField(default=0)
    calls_left = models.PositiveIntegerField(null=True)
    seconds_left = models.PositiveIntegerField(null=True)
    timeline = models.JSONField(
        default=dict, blank=True, help_text="The calls of the visit, of a few newest runs."
    )

    class Meta:
        db_table = "sync_runs"
        permissions = [("sync_now", "Can have a person's connections synced")]
        constraints = [
            # at most one run of a connection is open: asking twice gives the same run
            models.UniqueConstraint(
                fields=["user", "connection"],
                name="sync_runs_one_open",
                condition=models.Q(state__in=["queued", "running"]),
            ),
        ]
        indexes = [
            # GET …/sync-runs and admin: newest first
            models.Index(fields=["user", "connection", "-requested_at"], name="sync_runs_newest"),
            # admin: which visits failed, newest first, and how many of the last day
            models.Index(
                fields=["-id"], name="sync_runs_failed", condition=models.Q(state="failed")
            ),
            # admin: the visits that ended with one error, newest first
            models.Index(
                fields=["error", "-id"], name="sync_runs_by_error", condition=~models.Q(error="")
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.trigger}: {self.state}"
