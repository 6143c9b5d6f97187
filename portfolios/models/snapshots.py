"""How far a person's figures have been computed, and the portfolio as it was shown."""

from django.conf import settings
from django.db import models

from tracker import ids
from tracker.money import ValueField


class PortfolioState(models.Model):
    """One row per user: which revision the ledger has, and how far its consequences are computed.

    ``ledger_revision`` grows with every change of facts, decisions or settings that figures depend
    on; what is derived reflects ``derived_revision``, and is behind while that is smaller.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+"
    )
    ledger_revision = models.BigIntegerField(default=0)
    derived_revision = models.BigIntegerField(default=0)
    derived_at = models.DateTimeField(null=True, blank=True)
    # Whoever computes holds this lease, renewed while it works; a dead worker's lapses.
    derive_claimed_by = models.UUIDField(null=True, blank=True)
    derive_lease_until = models.DateTimeField(null=True, blank=True)
    # When a worker or the sweep first saw what has not been computed yet; null once it is.
    behind_since = models.DateTimeField(null=True, blank=True)
    # The first day whose valuation may have changed; null when none has.
    revalue_from = models.DateField(null=True, blank=True)
    # The last full day that is valued.
    valued_through = models.DateField(null=True, blank=True)
    # The base currency in which days are valued; another one than the person's while updating.
    valued_in = models.CharField(max_length=8, default="", db_default="", blank=True)
    # Something is unpriced for want of a price that is still being fetched.
    waits_for_prices = models.BooleanField(default=False)
    next_snapshot_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "portfolio_states"
        indexes = [
            # derivation.sweep: who is behind and in nobody's hands
            models.Index(
                fields=["user"],
                name="portfolio_states_behind",
                condition=models.Q(ledger_revision__gt=models.F("derived_revision")),
            ),
            # valuations.extend_due: whose last valued day is not yesterday
            models.Index(fields=["valued_through"], name="portfolio_states_valued"),
            # snapshots.take_due
            models.Index(fields=["next_snapshot_at"], name="portfolio_states_due"),
        ]
        permissions = [("rebuild", "Can have a portfolio computed anew")]

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
