"""Facts as reported or entered, and the ledger made of them."""

from django.db import models

from exchanges.reports import Direction, TradeKind
from portfolios.models.references import (
    asset_of,
    connection_of,
    of_the_same_owner,
    once,
    owner_key,
    user_of,
)
from tracker import clock, ids
from tracker.money import UnitsField


class Trade(models.Model):
    """A fill, conversion or dust sweep exactly as the exchange reported it."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    connection = connection_of()
    feed = models.CharField(max_length=32)
    exchange_id = models.CharField(max_length=128)
    order_id = models.CharField(max_length=128, default="", blank=True)
    kind = models.CharField(max_length=12, choices=[(kind, kind) for kind in TradeKind])
    symbol = models.CharField(max_length=64)
    side = models.CharField(max_length=4, choices=[("buy", "buy"), ("sell", "sell")])
    base_asset = asset_of()
    base_quantity = UnitsField()
    quote_asset = asset_of()
    quote_quantity = UnitsField()
    price = UnitsField()
    fee_asset = asset_of(null=True)
    fee_quantity = UnitsField(null=True)
    wallet = models.CharField(max_length=16)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "trades"
        constraints = [
            once("trades"),
            owner_key("trades"),
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
            # admin: whose trade is this id of the exchange's
            models.Index(fields=["exchange_id"], name="trades_by_exchange_id"),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.symbol}"


class Transfer(models.Model):
    """A deposit, withdrawal or internal move as reported; pending ones are not in the ledger."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    connection = connection_of()
    feed = models.CharField(max_length=32)
    exchange_id = models.CharField(max_length=128)
    direction = models.CharField(max_length=12, choices=[(item, item) for item in Direction])
    asset = asset_of()
    quantity = UnitsField()
    fee_asset = asset_of(null=True)
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
            once("transfers"),
            owner_key("transfers"),
            models.CheckConstraint(condition=models.Q(quantity__gte=0), name="transfers_positive"),
        ]
        indexes = [
            # GET /transfers and admin: one person's transfers, newest first
            models.Index(fields=["user", "-occurred_at", "-id"], name="transfers_by_user"),
            # admin: whose transfer is this id of the exchange's or of the chain's
            models.Index(fields=["exchange_id"], name="transfers_by_exchange_id"),
            models.Index(fields=["txid"], name="transfers_by_txid", condition=~models.Q(txid="")),
        ]

    def __str__(self) -> str:
        return self.direction


class Reward(models.Model):
    """Units credited without a counterpart: interest, staking, airdrop, distribution."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    connection = connection_of()
    feed = models.CharField(max_length=32)
    exchange_id = models.CharField(max_length=128)
    kind = models.CharField(max_length=32)
    asset = asset_of()
    quantity = UnitsField()
    wallet = models.CharField(max_length=16)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "rewards"
        constraints = [once("rewards"), owner_key("rewards")]

    def __str__(self) -> str:
        return self.kind


class AdjustmentReason(models.TextChoices):
    """Why a person (or a remedy they chose) books units without a counterpart."""

    OPENING = "opening", "held before the history begins"
    CORRECTION = "correction", "what nothing else explains"
    FORK = "fork", "a fork or a migration"
    AIRDROP = "airdrop", "an airdrop"
    GIFT = "gift", "received or given"
    LOST = "lost", "lost or stolen"


class Adjustment(models.Model):
    """Units that a person books by hand, visibly: what no exchange reported.

    Never edits what an exchange said; it stands beside it. ``cost_quantity`` of ``cost_asset`` is
    what they paid for units that came in; without it their basis is unknown.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    connection = connection_of()
    feed = models.CharField(max_length=32)
    exchange_id = models.CharField(max_length=128)
    reason = models.CharField(max_length=12, choices=AdjustmentReason.choices)
    asset = asset_of()
    quantity = UnitsField(help_text="Positive came in, negative went out.")
    cost_asset = asset_of(null=True)
    cost_quantity = UnitsField(null=True)
    note = models.CharField(max_length=200, default="", blank=True)
    wallet = models.CharField(max_length=16)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "adjustments"
        constraints = [
            once("adjustments"),
            owner_key("adjustments"),
            models.CheckConstraint(
                condition=~models.Q(quantity=0), name="adjustments_of_something"
            ),
            models.CheckConstraint(
                condition=models.Q(cost_quantity=None) | models.Q(cost_quantity__gte=0),
                name="adjustments_cost",
            ),
        ]
        indexes = [
            # GET /entries and admin: one person's entries by hand, newest first
            models.Index(fields=["user", "-occurred_at", "-id"], name="adjustments_by_user"),
        ]

    def __str__(self) -> str:
        return self.reason


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


_FACTS = ("trade", "transfer", "reward", "adjustment")


def _one_fact() -> models.Q:
    """Exactly one of the columns that name a fact is set."""
    each = [models.Q(**{f"{name}__isnull": name != named for name in _FACTS}) for named in _FACTS]
    return each[0] | each[1] | each[2] | each[3]


class LedgerEntry(models.Model):
    """One signed leg of a fact. Everything computed reads only these rows."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    connection = connection_of()
    asset = asset_of()
    wallet = models.CharField(max_length=16)
    kind = models.CharField(max_length=12, choices=EntryKind.choices)
    quantity = UnitsField(help_text="Positive came in, negative went out.")
    occurred_at = models.DateTimeField()
    trade = of_the_same_owner(Trade, null=True)
    transfer = of_the_same_owner(Transfer, null=True)
    reward = of_the_same_owner(Reward, null=True)
    adjustment = of_the_same_owner(Adjustment, null=True)
    leg = models.PositiveSmallIntegerField()

    class Meta:
        db_table = "ledger_entries"
        verbose_name_plural = "ledger entries"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "trade", "transfer", "reward", "adjustment", "leg"],
                nulls_distinct=False,
                name="ledger_entries_once",
            ),
            owner_key("ledger_entries"),
            models.CheckConstraint(condition=_one_fact(), name="ledger_entries_one_fact"),
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
