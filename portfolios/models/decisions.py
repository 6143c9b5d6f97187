"""What a person decided about their facts: pairs of transfers, their meaning, prices, imports."""

from django.db import models

from portfolios.models.facts import Transfer
from portfolios.models.references import asset_of, connection_of, of_the_same_owner, user_of
from tracker import clock, ids
from tracker.money import UnitsField


class MatchOrigin(models.TextChoices):
    """Who paired a withdrawal and a deposit."""

    AUTOMATIC = "automatic", "found by us"
    PERSON = "person", "decided by the person"


class TransferMatch(models.Model):
    """A withdrawal and a deposit that are one move between own accounts, or are said not to be.

    An automatic pair stays when later data arrives, unless nobody confirmed it and a transfer of
    the same transaction turns up; it gives way to what the person decides.
    ``is_pair`` False remembers that the person took the two apart.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    withdrawal = of_the_same_owner(Transfer)
    deposit = of_the_same_owner(Transfer)
    origin = models.CharField(max_length=12, choices=MatchOrigin.choices)
    is_pair = models.BooleanField(default=True)
    evidence = models.JSONField(default=dict, help_text="Seconds apart, units apart, same txid.")
    created_at = models.DateTimeField(default=clock.now)
    confirmed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "transfer_matches"
        verbose_name_plural = "transfer matches"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "withdrawal", "deposit"], name="transfer_matches_once"
            ),
            models.UniqueConstraint(
                fields=["user", "withdrawal"], name="transfer_matches_one_withdrawal",
                condition=models.Q(is_pair=True),
            ),
            models.UniqueConstraint(
                fields=["user", "deposit"], name="transfer_matches_one_deposit",
                condition=models.Q(is_pair=True),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.origin


class TransferMeaning(models.TextChoices):
    """What a transfer that has no counterpart here was. The first four came in."""

    PURCHASE = "purchase", "bought elsewhere, at a cost the person gives"
    GIFT_RECEIVED = "gift_received", "received as a gift"
    INCOME = "income", "earned: wages, mining, an airdrop"
    OWN_DEPOSIT = "own_deposit", "from a wallet of their own, with the cost and date they give"
    OWN_WITHDRAWAL = "own_withdrawal", "to a wallet of their own"
    GIFT_GIVEN = "gift_given", "given away"
    DONATION = "donation", "given to a charity"
    PAYMENT = "payment", "paid for something"
    LOST = "lost", "lost or stolen"


class TransferNote(models.Model):
    """What a person says a transfer was, and for units that came in what they cost and since when.

    ``cost_quantity`` of ``cost_asset`` is the whole cost. ``acquired_at`` is when they were first
    acquired, for the term of a later gain.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    transfer = of_the_same_owner(Transfer)
    meaning = models.CharField(max_length=16, choices=TransferMeaning.choices)
    cost_asset = asset_of(null=True)
    cost_quantity = UnitsField(null=True)
    acquired_at = models.DateTimeField(null=True, blank=True)
    note = models.CharField(max_length=200, default="", blank=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "transfer_notes"
        constraints = [
            models.UniqueConstraint(fields=["user", "transfer"], name="transfer_notes_once"),
            models.CheckConstraint(
                condition=models.Q(cost_quantity=None) | models.Q(cost_quantity__gte=0),
                name="transfer_notes_cost",
            ),
        ]

    def __str__(self) -> str:
        return self.meaning


class ManualPrice(models.Model):
    """A price that a person set because no market has one: shown as theirs, never as a market's.

    Holds from ``day`` on, until the next one of the person's or a market's.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    asset = asset_of()
    day = models.DateField()
    price = UnitsField(help_text="Units of the currency for one unit of the asset.")
    currency = models.CharField(max_length=3)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "manual_prices"
        constraints = [
            models.UniqueConstraint(fields=["user", "asset", "day"], name="manual_prices_once"),
            models.CheckConstraint(condition=models.Q(price__gte=0), name="manual_prices_price"),
        ]

    def __str__(self) -> str:
        return f"{self.price} {self.currency}"


class ProblemDismissal(models.Model):
    """A problem that the person does not want to be reminded of; it still counts."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    problem = models.UUIDField(help_text="The problem's id, made of what it is about.")
    dismissed_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "problem_dismissals"
        constraints = [
            models.UniqueConstraint(fields=["user", "problem"], name="problem_dismissals_once"),
        ]

    def __str__(self) -> str:
        return "dismissed"


class ImportState(models.TextChoices):
    """How far a file is."""

    PREVIEW = "preview", "read, nothing booked yet"
    QUEUED = "queued", "to be booked"
    APPLYING = "applying", "being booked"
    APPLIED = "applied", "booked"
    FAILED = "failed", "could not be booked"


class FileImport(models.Model):
    """A file of entries: uploaded, looked at, then booked into one account.

    The file itself is sealed with the person's data key and forgotten once it is booked.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    connection = connection_of()
    format = models.CharField(max_length=24)
    file_name = models.CharField(max_length=200)
    content = models.BinaryField(null=True, help_text="Sealed with the user's data key.")
    content_digest = models.BinaryField(max_length=32)
    mapping = models.JSONField(default=dict, help_text="Our column by the file's.")
    time_zone = models.CharField(max_length=64, default="UTC", help_text="Of bare times.")
    state = models.CharField(
        max_length=12, choices=ImportState.choices, default=ImportState.PREVIEW
    )
    rows_total = models.PositiveIntegerField(default=0)
    rows_booked = models.PositiveIntegerField(default=0)
    rows_known = models.PositiveIntegerField(default=0, help_text="Already here.")
    rows_skipped = models.PositiveIntegerField(default=0, help_text="Understood, nothing to book.")
    rows_refused = models.PositiveIntegerField(default=0, help_text="Not understood.")
    issues = models.JSONField(default=list, help_text="Lines with codes and sentences.")
    error = models.CharField(max_length=48, default="", blank=True)
    created_at = models.DateTimeField(default=clock.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "file_imports"
        indexes = [
            # GET /imports: one person's, newest first
            models.Index(fields=["user", "-created_at", "-id"], name="file_imports_by_user"),
            # importing.sweep: queued ones that no worker holds
            models.Index(
                fields=["created_at"], name="file_imports_open",
                condition=models.Q(state__in=["queued", "applying"]),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.file_name
