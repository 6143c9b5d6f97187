"""Tables of `portfolios`: facts as reported, the ledger made of them, holdings, snapshots.

Every table has its user first in each unique constraint and index, because every read is one
user's, and the policies compare that column.
"""

from django.conf import settings
from django.db import models

from exchanges.models import Asset, ExchangeConnection
from exchanges.reports import Direction, TradeKind
from tracker import clock, ids
from tracker.money import UnitsField, ValueField


def _user() -> models.ForeignKey:
    return models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )


def _connection() -> models.ForeignKey:
    return _of_the_same_owner(ExchangeConnection)


def _of_the_same_owner(target: type[models.Model], *, null: bool = False) -> models.ForeignKey:
    """A row of the same person. The constraint is the composite one (``tenancy.same_owner``).

    Django's own would be checked by the column alone, for which there is no index: with it,
    deleting a row reads the whole table of everybody's.
    """
    return models.ForeignKey(
        target, models.CASCADE, null=null, related_name="+", db_index=False, db_constraint=False
    )


def _asset(*, null: bool = False) -> models.ForeignKey:
    return models.ForeignKey(Asset, models.PROTECT, related_name="+", db_index=False, null=null)


def _once(name: str) -> models.UniqueConstraint:
    """Facts are unique per connection, feed and exchange id: a page seen twice changes nothing."""
    return models.UniqueConstraint(
        fields=["user", "connection", "feed", "exchange_id"], name=f"{name}_once"
    )


def _owner(name: str) -> models.UniqueConstraint:
    """What composite foreign keys (user, id) refer to."""
    return models.UniqueConstraint(fields=["user", "id"], name=f"{name}_owner")


class Trade(models.Model):
    """A fill, conversion or dust sweep exactly as the exchange reported it."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = _user()
    connection = _connection()
    feed = models.CharField(max_length=32)
    exchange_id = models.CharField(max_length=128)
    order_id = models.CharField(max_length=128, default="", blank=True)
    kind = models.CharField(max_length=12, choices=[(kind, kind) for kind in TradeKind])
    symbol = models.CharField(max_length=64)
    side = models.CharField(max_length=4, choices=[("buy", "buy"), ("sell", "sell")])
    base_asset = _asset()
    base_quantity = UnitsField()
    quote_asset = _asset()
    quote_quantity = UnitsField()
    price = UnitsField()
    fee_asset = _asset(null=True)
    fee_quantity = UnitsField(null=True)
    wallet = models.CharField(max_length=16)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "trades"
        constraints = [
            _once("trades"),
            _owner("trades"),
            models.CheckConstraint(
                condition=models.Q(base_quantity__gt=0, quote_quantity__gte=0, price__gte=0),
                name="trades_positive",
            ),
            models.CheckConstraint(
                condition=models.Q(side__in=["buy", "sell"]), name="trades_side"
            ),
        ]
        indexes = [
            # GET /trades and admin: one person's trades, newest first
            models.Index(fields=["user", "-occurred_at", "-id"], name="trades_by_user"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.symbol}"


class Transfer(models.Model):
    """A deposit, withdrawal or internal move as reported; pending ones are not in the ledger."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = _user()
    connection = _connection()
    feed = models.CharField(max_length=32)
    exchange_id = models.CharField(max_length=128)
    direction = models.CharField(max_length=12, choices=[(item, item) for item in Direction])
    asset = _asset()
    quantity = UnitsField()
    fee_asset = _asset(null=True)
    fee_quantity = UnitsField(null=True)
    wallet = models.CharField(max_length=16)
    counter_wallet = models.CharField(max_length=16, default="", blank=True)
    is_settled = models.BooleanField(default=True)
    txid = models.CharField(max_length=200, default="", blank=True)
    address = models.CharField(max_length=200, default="", blank=True)
    network = models.CharField(max_length=64, default="", blank=True)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "transfers"
        constraints = [
            _once("transfers"),
            _owner("transfers"),
            models.CheckConstraint(condition=models.Q(quantity__gte=0), name="transfers_positive"),
        ]
        indexes = [
            # GET /transfers and admin: one person's transfers, newest first
            models.Index(fields=["user", "-occurred_at", "-id"], name="transfers_by_user"),
        ]

    def __str__(self) -> str:
        return self.direction


class Reward(models.Model):
    """Units credited without a counterpart: interest, staking, airdrop, distribution."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = _user()
    connection = _connection()
    feed = models.CharField(max_length=32)
    exchange_id = models.CharField(max_length=128)
    kind = models.CharField(max_length=32)
    asset = _asset()
    quantity = UnitsField()
    wallet = models.CharField(max_length=16)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "rewards"
        constraints = [_once("rewards"), _owner("rewards")]

    def __str__(self) -> str:
        return self.kind


class EntryKind(models.TextChoices):
    """Why units came or went."""

    TRADE = "trade"
    FEE = "fee"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    REWARD = "reward"
    CONVERSION = "conversion"
    TRANSFER = "transfer"
    ADJUSTMENT = "adjustment"


class LedgerEntry(models.Model):
    """One signed leg of a fact. Everything computed reads only these rows."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = _user()
    connection = _connection()
    asset = _asset()
    wallet = models.CharField(max_length=16)
    kind = models.CharField(max_length=12, choices=EntryKind.choices)
    quantity = UnitsField(help_text="Positive came in, negative went out.")
    occurred_at = models.DateTimeField()
    trade = _of_the_same_owner(Trade, null=True)
    transfer = _of_the_same_owner(Transfer, null=True)
    reward = _of_the_same_owner(Reward, null=True)
    leg = models.PositiveSmallIntegerField()

    class Meta:
        db_table = "ledger_entries"
        verbose_name_plural = "ledger entries"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "trade", "transfer", "reward", "leg"],
                nulls_distinct=False,
                name="ledger_entries_once",
            ),
            models.CheckConstraint(
                condition=models.Q(trade__isnull=False, transfer=None, reward=None)
                | models.Q(trade=None, transfer__isnull=False, reward=None)
                | models.Q(trade=None, transfer=None, reward__isnull=False),
                name="ledger_entries_one_fact",
            ),
        ]
        indexes = [
            # GET /ledger: newest first; later lots and valuations read the same order backwards
            models.Index(fields=["user", "-occurred_at", "-id"], name="ledger_by_user"),
            # one asset's entries (filters, explain)
            models.Index(fields=["user", "asset", "occurred_at"], name="ledger_by_asset"),
            # deleting a connection, and its reconciliation
            models.Index(fields=["user", "connection"], name="ledger_by_connection"),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.kind} {self.quantity}"


class Holding(models.Model):
    """Units now, per connection, wallet and asset, as the exchange reports them."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = _user()
    connection = _connection()
    wallet = models.CharField(max_length=16)
    asset = _asset()
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
    user = _user()
    connection = _connection()
    wallet = models.CharField(max_length=16)
    asset = _asset()
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
    user = _user()
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

    class Meta:
        db_table = "sync_runs"
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
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.trigger}: {self.state}"


class PortfolioState(models.Model):
    """One row per user: which revision the ledger has, and when the last snapshot was taken."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+"
    )
    ledger_revision = models.BigIntegerField(default=0)
    next_snapshot_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "portfolio_states"
        indexes = [
            # snapshots.take_due
            models.Index(fields=["next_snapshot_at"], name="portfolio_states_due"),
        ]

    def __str__(self) -> str:
        return f"revision {self.ledger_revision}"


class Status(models.TextChoices):
    """How far a total can be trusted."""

    COMPLETE = "complete", "everything known and fresh"
    STALE = "stale", "everything known, some of it old"
    PARTIAL = "partial", "something is missing"


class PortfolioSnapshot(models.Model):
    """The portfolio as it was shown at an instant, never restated.

    Partitioned by month on ``taken_at`` (the migration says how).
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    taken_at = models.DateTimeField()
    total_value = ValueField(null=True, help_text="Null when the currency itself had no price.")
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=12, choices=Status.choices)
    snapshot_data = models.JSONField()

    class Meta:
        db_table = "portfolio_snapshots"
        indexes = [
            # GET /snapshots, and the newest one of a person
            models.Index(fields=["user", "-taken_at"], name="snapshots_by_user"),
            # admin: everybody's newest snapshots
            models.Index(fields=["-taken_at"], name="snapshots_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.total_value} {self.currency}"
