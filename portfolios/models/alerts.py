"""What a person wants to be told about prices and worth, and what they were told."""

from django.db import models

from portfolios.models.references import asset_of, of_the_same_owner, owner_key, user_of
from tracker import clock, ids
from tracker.money import UnitsField


class AlertKind(models.TextChoices):
    """What is watched. The first three need an asset, the others are about the whole portfolio."""

    PRICE_ABOVE = "price_above", "the price is above a threshold"
    PRICE_BELOW = "price_below", "the price is below a threshold"
    PRICE_CHANGE = "price_change", "the price moved by a percentage within a window"
    VALUE_ABOVE = "value_above", "the portfolio is worth more than a threshold"
    VALUE_BELOW = "value_below", "the portfolio is worth less than a threshold"
    DRAWDOWN = "drawdown", "the portfolio fell by a percentage below its highest worth in a window"


class AlertDirection(models.TextChoices):
    """Which moves a change counts: a rise, a fall, or the larger of the two."""

    UP = "up"
    DOWN = "down"
    ANY = "any"


class AlertState(models.TextChoices):
    """Whether an alert is watched."""

    ACTIVE = "active"
    PAUSED = "paused"
    TRIGGERED = "triggered", "told once, and over"
    IMPOSSIBLE = "impossible", "no market quotes the asset any more"


class PriceAlert(models.Model):
    """One condition that a person is told about: once, or again and again.

    A repeating one is told when its condition comes true, and is armed again once the watched
    figure has gone back by ``hysteresis`` percent of the threshold, so that trembling around it
    tells nothing new.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    kind = models.CharField(max_length=16, choices=AlertKind.choices)
    asset = asset_of(null=True)
    threshold = UnitsField(help_text="A price or worth in the currency, or a percentage.")
    currency = models.CharField(max_length=3)
    direction = models.CharField(
        max_length=4, choices=AlertDirection.choices, default="", blank=True,
        help_text="Of changes.",
    )  # fmt: skip
    window = models.DurationField(null=True, blank=True, help_text="Of changes and drawdowns.")
    repeats = models.BooleanField(default=False)
    hysteresis = UnitsField(default=0, help_text="Percent of the threshold.")
    note = models.CharField(max_length=200, default="", blank=True)
    state = models.CharField(max_length=12, choices=AlertState.choices, default=AlertState.ACTIVE)
    # Whether it may be told: false from when it was until the figure has gone back.
    armed = models.BooleanField(default=True)
    # As of which figure it was last told or armed, or when it was last changed: an older figure
    # changes nothing, whoever brings it.
    judged_at = models.DateTimeField(default=clock.now)
    told_count = models.PositiveIntegerField(default=0)
    told_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "price_alerts"
        constraints = [
            owner_key("price_alerts"),
            models.CheckConstraint(
                condition=models.Q(threshold__gt=0, hysteresis__gte=0), name="price_alerts_positive"
            ),
            models.CheckConstraint(
                condition=models.Q(kind__startswith="price_", asset__isnull=False)
                | (~models.Q(kind__startswith="price_") & models.Q(asset__isnull=True)),
                name="price_alerts_asset",
            ),
            models.CheckConstraint(
                condition=models.Q(kind__in=["price_change", "drawdown"], window__isnull=False)
                | (
                    ~models.Q(kind__in=["price_change", "drawdown"]) & models.Q(window__isnull=True)
                ),
                name="price_alerts_window",
            ),
        ]
        indexes = [
            # GET /alerts: one person's, newest first
            models.Index(fields=["user", "-created_at", "-id"], name="price_alerts_by_user"),
            # watch_alerts: those that changed since they were read
            models.Index(fields=["updated_at"], name="price_alerts_changed"),
            # check_alerts: those of a figure that it reaches
            models.Index(
                fields=["kind", "asset", "currency", "threshold"], name="price_alerts_armed",
                condition=models.Q(state="active", armed=True),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.kind


class AlertFiring(models.Model):
    """An alert came true: when, and at which figure."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    alert = of_the_same_owner(PriceAlert)
    at = models.DateTimeField()
    value = UnitsField(help_text="The watched figure in the alert's unit.")
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "alert_firings"
        indexes = [
            # GET /alerts/{id}/firings, and retention
            models.Index(fields=["user", "alert", "-at"], name="alert_firings_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}"


class PriceRange(models.Model):
    """The lowest and the highest price that was seen in a minute or an hour, in one currency.

    Kept of what alerts on changes watch, so that a window is known after a restart and to the
    sweep. Minutes are kept for a day, hours for a month.
    """

    id = models.BigAutoField(primary_key=True)
    asset = asset_of()
    currency = models.CharField(max_length=3)
    step = models.DurationField()
    at = models.DateTimeField(help_text="The first instant of the step.")
    low = UnitsField()
    high = UnitsField()

    class Meta:
        db_table = "price_ranges"
        constraints = [
            # Also how a window is read.
            models.UniqueConstraint(
                fields=["asset", "currency", "step", "at"], name="price_ranges_once"
            ),
        ]
        indexes = [
            # check_alerts: forgetting what no window reaches
            models.Index(fields=["step", "at"], name="price_ranges_oldest"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}"
