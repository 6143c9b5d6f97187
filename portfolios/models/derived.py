"""What is computed from the ledger: lots, disposals, daily valuations, discrepancies.

All of it can be thrown away and computed again (``manage.py rebuild_portfolio``), to the digit.
Amounts of money are in the person's base currency; costs keep 30 decimals, so that parts add up
to what was paid. Nobody writes these rows but ``derivation``.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from exchanges.models import Asset, ExchangeConnection
from portfolios.models.facts import LedgerEntry
from portfolios.models.references import asset_of, connection_of, derived_from, derived_of, user_of
from tracker import ids
from tracker.money import UnitsField, ValueField


class Basis(models.TextChoices):
    """Whether it is known what units cost."""

    KNOWN = "known"
    UNKNOWN = "unknown"


class Term(models.TextChoices):
    """How long disposed units were held; unknown when their acquisition is."""

    SHORT = "short"
    LONG = "long"
    UNKNOWN = "unknown"


class AssetBasis(models.Model):
    """How far one asset's lots are computed, and from when on they must be again.

    ``dirty_from`` is the earliest entry that changed since; null when the lots are up to date.
    ``waits_for`` names assets whose prices may still come and are wanted here.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    asset = derived_from(Asset)
    dirty_from = models.DateTimeField(null=True, blank=True)
    derived_through = models.DateTimeField(null=True, blank=True, help_text="Of the last entry.")
    derived_with = models.CharField(
        max_length=96, db_default="", blank=True, help_text="The person's choices in force then."
    )
    waits_for = ArrayField(models.UUIDField(), null=True, blank=True)
    waits_from = models.DateTimeField(null=True, blank=True, help_text="First entry that waits.")

    class Meta:
        verbose_name_plural = "asset bases"
        db_table = "asset_bases"
        constraints = [
            models.UniqueConstraint(fields=["user", "asset"], name="asset_bases_once"),
        ]
        indexes = [
            # derivation.prices_arrived: whose lots wait for some price
            models.Index(
                fields=["user"], name="asset_bases_waiting",
                condition=models.Q(waits_for__isnull=False),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return "dirty" if self.dirty_from else "clean"


class Lot(models.Model):
    """An acquisition and what is left of it. Cost is total, never per unit.

    ``connection`` is where it lies (with cost basis per account) or where it was acquired.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = derived_of()
    asset = derived_from(Asset)
    connection = derived_from(ExchangeConnection)
    entry = derived_from(LedgerEntry)
    kind = models.CharField(max_length=16, help_text="trade, reward, deposit, transfer …")
    position = models.BigIntegerField(help_text="Order of acquisition among an asset's lots.")
    acquired_at = models.DateTimeField()
    quantity = UnitsField()
    cost = UnitsField(null=True, help_text="Of all units acquired; null when unknown.")
    remaining = UnitsField()
    remaining_cost = UnitsField(null=True)
    price = UnitsField(null=True, help_text="Of one unit before fees: HIFO and LOFO go by it.")
    basis = models.CharField(max_length=8, choices=Basis.choices)
    price_source = models.CharField(max_length=96, default="", blank=True)

    class Meta:
        db_table = "lots"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(remaining__gte=0, quantity__gt=0), name="lots_positive"
            ),
        ]
        indexes = [
            # GET /lots, explain: an asset's lots in order
            models.Index(fields=["user", "asset", "position"], name="lots_in_order"),
            # the next disposal: what it may take from
            models.Index(
                fields=["user", "asset", "acquired_at", "position"],
                name="lots_open",
                condition=models.Q(remaining__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.remaining} of {self.quantity}"


class DisposalKind(models.TextChoices):
    """What a disposal was. Of a withdrawal nobody has explained, no gain is computed."""

    SALE = "sale"
    FEE = "fee"
    GIFT = "gift"
    DONATION = "donation"
    PAYMENT = "payment"
    LOST = "lost"
    WITHDRAWAL = "withdrawal"
    ADJUSTMENT = "adjustment"


class Disposal(models.Model):
    """A part of one lot given up, or of none when nothing says where the units came from."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = derived_of()
    asset = derived_from(Asset)
    connection = derived_from(ExchangeConnection)
    entry = derived_from(LedgerEntry)
    lot = derived_from(Lot, null=True)
    kind = models.CharField(max_length=12, choices=DisposalKind.choices)
    position = models.BigIntegerField(help_text="Order among an asset's disposals.")
    disposed_at = models.DateTimeField()
    acquired_at = models.DateTimeField(null=True)
    quantity = UnitsField()
    cost = UnitsField(null=True)
    proceeds = UnitsField(null=True, help_text="Null when unpriced, or not a sale.")
    gain = UnitsField(null=True)
    held_days = models.IntegerField(null=True)
    term = models.CharField(max_length=8, choices=Term.choices)
    basis = models.CharField(max_length=8, choices=Basis.choices)
    price_source = models.CharField(max_length=96, default="", blank=True)

    class Meta:
        db_table = "disposals"
        constraints = [
            models.CheckConstraint(condition=models.Q(quantity__gt=0), name="disposals_positive"),
        ]
        indexes = [
            # explain, and computing an asset anew
            models.Index(fields=["user", "asset", "position"], name="disposals_in_order"),
            # GET /gains?year=
            models.Index(fields=["user", "disposed_at"], name="disposals_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.quantity}"


class Income(models.Model):
    """Units that came in as income, at what they were worth then: rewards, interest, airdrops."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = derived_of()
    asset = derived_from(Asset)
    connection = derived_from(ExchangeConnection)
    entry = derived_from(LedgerEntry)
    kind = models.CharField(max_length=32)
    received_at = models.DateTimeField()
    quantity = UnitsField()
    value = UnitsField(null=True, help_text="Null when unpriced.")
    price_source = models.CharField(max_length=96, default="", blank=True)

    class Meta:
        db_table = "incomes"
        indexes = [
            # GET /gains?year=
            models.Index(fields=["user", "received_at"], name="incomes_by_time"),
            # computing an asset anew
            models.Index(fields=["user", "asset"], name="incomes_by_asset"),
        ]

    def __str__(self) -> str:
        return self.kind


class Scope(models.TextChoices):
    """Of what a daily valuation is."""

    PORTFOLIO = "portfolio"
    CONNECTION = "connection"
    ASSET = "asset"


class DailyValuation(models.Model):
    """What a portfolio, a connection or an asset was worth at a UTC day's end, as known today.

    ``scope_id`` is the user's, the connection's or the asset's id. The parts of the day's change
    add up to ``value`` − the day before's: ``price_effect`` + ``currency_effect`` + ``deposits`` −
    ``withdrawals`` + ``traded`` + ``trade_effect`` − ``fees`` + ``income`` + ``corrections``.
    The row of the day that has not ended yet is as of the last computation.
    """

    id = models.BigAutoField(primary_key=True)
    user = user_of()
    scope = models.CharField(max_length=10, choices=Scope.choices)
    scope_id = models.UUIDField()
    day = models.DateField()
    value = ValueField(help_text="Of everything that had a price.")
    cost = ValueField(help_text="Of what is held, where known.")
    value_without_cost = ValueField(default=0, help_text="Of units whose cost is not known.")
    deposits = ValueField(default=0)
    withdrawals = ValueField(default=0)
    income = ValueField(default=0)
    fees = ValueField(default=0)
    realized = ValueField(default=0)
    price_effect = ValueField(default=0)
    currency_effect = ValueField(default=0)
    traded = ValueField(default=0, help_text="What trades brought in less what they took.")
    trade_effect = ValueField(default=0, help_text="From the price of a trade to the day's end.")
    corrections = ValueField(default=0)
    growth = models.FloatField(
        null=True, help_text="One and the day's return, linked at each flow; null without value."
    )
    unpriced = models.PositiveSmallIntegerField(default=0, help_text="Assets without a price.")
    is_partial = models.BooleanField(default=False)
    restated_at = models.DateTimeField(null=True, help_text="When late data last changed it.")

    class Meta:
        db_table = "daily_valuations"
        constraints = [
            # Also how a series is read: one scope's days in order.
            models.UniqueConstraint(
                fields=["user", "scope_id", "day"], name="daily_valuations_once"
            ),
        ]
        indexes = [
            # "had you only held": the few days on which an asset came from outside or went there
            models.Index(
                fields=["user", "day"], name="daily_valuations_flows",
                condition=models.Q(scope="asset")
                & (~models.Q(deposits=0) | ~models.Q(withdrawals=0) | ~models.Q(corrections=0)),
            ),
            # derivation.prices_arrived: who valued which asset without a price
            models.Index(
                fields=["scope_id", "user"], name="daily_valuations_unpriced",
                condition=models.Q(unpriced__gt=0),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.scope} {self.day}"


class Discrepancy(models.Model):
    """Reported units less the ledger's, of one asset in one wallet, when the two differ."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    connection = connection_of()
    wallet = models.CharField(max_length=16)
    asset = asset_of()
    reported = UnitsField()
    ledger = UnitsField()
    difference = UnitsField(help_text="Reported less the ledger.")
    reported_at = models.DateTimeField()
    agreed_at = models.DateTimeField(null=True, help_text="The last report that still agreed.")
    appeared_at = models.DateTimeField(help_text="The first report that did not.")
    causes = models.JSONField(default=list, help_text="Likeliest first, with evidence and remedy.")
    computed_at = models.DateTimeField()

    class Meta:
        db_table = "discrepancies"
        verbose_name_plural = "discrepancies"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "connection", "wallet", "asset"], name="discrepancies_once"
            ),
        ]
        indexes = [
            # admin: whose books differ since lately
            models.Index(fields=["-appeared_at"], name="discrepancies_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.difference}"
