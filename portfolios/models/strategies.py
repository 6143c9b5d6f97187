"""Strategies that people keep, what they watch, and backtests of them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from portfolios.models.references import asset_of, of_the_same_owner, owner_key, user_of
from tracker import clock, ids
from tracker.money import UnitsField, ValueField


class Strategy(models.Model):
    """One way to trade, as a person set it up: a built-in with its parameters, or own rules."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    name = models.CharField(max_length=64)
    kind = models.CharField(max_length=32, help_text="A key of the catalogue, or “custom”.")
    parameters = models.JSONField(default=dict)
    rules = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "strategies"
        verbose_name_plural = "strategies"
        constraints = [
            owner_key("strategies"),
            # GET /strategies reads by it, too
            models.UniqueConstraint(fields=["user", "name"], name="strategies_named_once"),
        ]

    def __str__(self) -> str:
        return self.name


class StrategyWatch(models.Model):
    """A strategy that says at each new candle what it would do with some assets.

    ``assets`` is empty where it watches what the person owns, also later on.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    strategy = of_the_same_owner(Strategy)
    assets = ArrayField(models.UUIDField(), default=list, blank=True)
    interval = models.CharField(max_length=4)
    # The end of the last candle that was judged; nothing older is ever told.
    judged_through = models.DateTimeField(null=True, blank=True)
    next_check_at = models.DateTimeField(null=True, blank=True)
    # What it would hold of each asset, by asset: a share of the whole, as text.
    wanted = models.JSONField(default=dict)
    error = models.CharField(max_length=48, default="", blank=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "strategy_watches"
        verbose_name_plural = "strategy watches"
        constraints = [
            models.UniqueConstraint(fields=["user", "strategy"], name="strategy_watches_once"),
        ]
        indexes = [
            # watching.dispatch: whose next candle has closed
            models.Index(fields=["next_check_at"], name="strategy_watches_due"),
        ]

    def __str__(self) -> str:
        return f"each {self.interval}"


class StrategySignal(models.Model):
    """What a watching strategy would have done as a candle closed. Nothing was traded."""

    class Action(models.TextChoices):
        BUY = "buy"
        INCREASE = "increase"
        REDUCE = "reduce"
        SELL = "sell"

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    strategy = of_the_same_owner(Strategy)
    asset = asset_of()
    interval = models.CharField(max_length=4)
    at = models.DateTimeField(help_text="When the candle closed.")
    action = models.CharField(max_length=8, choices=Action.choices)
    # Shares of all that the strategy manages: before, and as it wants it from now on.
    share_before = UnitsField()
    share_wanted = UnitsField()
    price = UnitsField(help_text="The close, US dollars for one unit.")
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "strategy_signals"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "strategy", "asset", "interval", "at"], name="strategy_signals_once"
            ),
        ]
        indexes = [
            # GET /strategies/signals: newest first
            models.Index(fields=["user", "-at", "-id"], name="strategy_signals_newest"),
        ]

    def __str__(self) -> str:
        return self.action


class BacktestState(models.TextChoices):
    """How far a backtest is."""

    WAITING = "waiting", "for candles, or for a worker"
    RUNNING = "running", "being computed"
    DONE = "done", "computed"
    FAILED = "failed", "could not be computed"
    CANCELLED = "cancelled", "stopped by the person"


class BacktestKind(models.TextChoices):
    """What is asked of a strategy's past."""

    RUN = "run", "one simulation"
    SWEEP = "sweep", "one simulation for each combination of parameters"
    WALK_FORWARD = "walk_forward", "parameters chosen on the past, tried on what follows"
    LOOK_AHEAD = "look_ahead", "whether any decision depends on the future"


class Backtest(models.Model):
    """What a strategy would have done with money in the past; simulated, never traded.

    It keeps the definition that it ran with, whatever becomes of the strategy.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = user_of()
    strategy_id = models.UUIDField(help_text="It may be gone, or be another one by now.")
    strategy_name = models.CharField(max_length=64)
    definition = models.JSONField(help_text="Kind, parameters and rules as they were.")
    kind = models.CharField(max_length=12, choices=BacktestKind.choices)
    options = models.JSONField(default=dict, help_text="Of sweeps and walk-forward tests.")
    assets = ArrayField(models.UUIDField())
    interval = models.CharField(max_length=4)
    since = models.DateTimeField()
    until = models.DateTimeField()
    cash = ValueField(help_text="US dollars at the beginning.")
    fee = UnitsField(help_text="A share of what is traded.")
    fee_source = models.CharField(max_length=12, help_text="given, own_fills or default")
    slippage = UnitsField(help_text="A share of the price.")
    fills_gaps = models.BooleanField(default=False, help_text="Carry the last price on.")
    state = models.CharField(
        max_length=12, choices=BacktestState.choices, default=BacktestState.WAITING
    )
    cancel_asked = models.BooleanField(default=False)
    done = models.PositiveIntegerField(default=0)
    planned = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=48, default="", blank=True)
    message = models.CharField(max_length=300, default="", blank=True)
    result = models.JSONField(null=True, blank=True, help_text="Figures, comparisons, warnings.")
    # Curves and trades: large, and only read for one backtest at a time.
    details = models.JSONField(null=True, blank=True)
    result_hash = models.CharField(max_length=64, default="", blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    # Until when nobody need look, and since when: candles are being fetched.
    looked_after = models.DateTimeField(null=True, blank=True)
    awaited_since = models.DateTimeField(null=True, blank=True)
    # When it was last queued again, so that a long queue does not grow by itself.
    swept_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "backtests"
        indexes = [
            # GET /backtests: one person's, newest first
            models.Index(fields=["user", "-created_at", "-id"], name="backtests_newest"),
            # backtesting.sweep: those that wait or that a dead worker left
            models.Index(
                fields=["created_at"], name="backtests_open",
                condition=models.Q(state__in=["waiting", "running"]),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.strategy_name}, {self.since:%Y-%m-%d} to {self.until:%Y-%m-%d}"
