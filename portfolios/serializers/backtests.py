"""Shapes of backtests: what is asked, how far it is, and what it came to."""

from decimal import Decimal

from rest_framework import serializers

from portfolios.models import BacktestKind, BacktestState
from portfolios.serializers.fields import ExactDecimalField
from portfolios.serializers.strategies import INTERVALS, KINDS
from tracker.api import StrictSerializer

MOST_CASH = Decimal(10) ** 12


class OptionsSerializer(StrictSerializer):
    """Of sweeps and walk-forward tests."""

    grid = serializers.DictField(
        child=serializers.ListField(max_length=200), required=False,
        help_text='Values to try, by parameter: {"fast": [5, 10, 20]}.',
    )  # fmt: skip
    folds = serializers.IntegerField(min_value=1, max_value=50, required=False)
    train_share = serializers.FloatField(
        min_value=0.1, max_value=0.95, required=False,
        help_text="The part of a fold that chooses; 0.7 when left out.",
    )  # fmt: skip


class NewBacktestSerializer(StrictSerializer):
    """What is to be tried on the past."""

    strategy = serializers.UUIDField(help_text="Id of one of your strategies.")
    kind = serializers.ChoiceField(BacktestKind.choices, required=False, default=BacktestKind.RUN)
    options = OptionsSerializer(required=False)
    assets = serializers.ListField(
        child=serializers.UUIDField(), min_length=1, max_length=10, help_text="Asset ids."
    )
    interval = serializers.ChoiceField(INTERVALS)
    cash = serializers.DecimalField(
        28, 8, min_value=Decimal("0.01"), max_value=MOST_CASH, required=False,
        default=Decimal(10_000), help_text="US dollars at the beginning.",
    )  # fmt: skip
    fee = serializers.DecimalField(
        10, 8, min_value=Decimal(0), max_value=Decimal("0.5"), required=False, allow_null=True,
        default=None,
        help_text="Share of what is traded; the median of your own fills when left out.",
    )  # fmt: skip
    slippage = serializers.DecimalField(
        10, 8, min_value=Decimal(0), max_value=Decimal("0.5"), required=False,
        default=Decimal(0), help_text="How much worse than the open a fill is, as a share.",
    )  # fmt: skip
    fills_gaps = serializers.BooleanField(
        required=False, default=False,
        help_text="Carry the last price on where candles are missing; refused otherwise.",
    )  # fmt: skip

    def get_fields(self):
        # `from` is a keyword, so these two cannot be class attributes
        return {
            **super().get_fields(),
            "from": serializers.DateTimeField(help_text="Included; instant with its zone."),
            "to": serializers.DateTimeField(
                required=False, allow_null=True, help_text="Not included; now when left out."
            ),
        }


class BacktestSummarySerializer(serializers.Serializer):
    """One backtest without what is large."""

    id = serializers.UUIDField()
    strategy = serializers.UUIDField(help_text="It may be gone by now.")
    strategy_name = serializers.CharField()
    strategy_kind = serializers.ChoiceField(KINDS)
    kind = serializers.ChoiceField(BacktestKind.choices)
    state = serializers.ChoiceField(BacktestState.choices)
    progress = serializers.DictField(help_text="`done` of `total` steps, while it runs.")
    assets = serializers.ListField(child=serializers.UUIDField())
    interval = serializers.ChoiceField(INTERVALS)
    cash = ExactDecimalField(help_text="US dollars.")
    fee = ExactDecimalField(help_text="Share of what is traded.")
    fee_source = serializers.ChoiceField(
        ["given", "own_fills", "default"],
        help_text="Whether you gave it, it is the median of your own fills, or assumed.",
    )  # fmt: skip
    slippage = ExactDecimalField()
    error = serializers.CharField(allow_blank=True, help_text="Stable code; empty without one.")
    message = serializers.CharField(allow_blank=True)
    total_return = ExactDecimalField(allow_null=True, help_text="As a share; of runs only.")
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_fields(self):
        return {
            **super().get_fields(),
            "from": serializers.DateTimeField(),
            "to": serializers.DateTimeField(),
        }


class BacktestSerializer(BacktestSummarySerializer):
    """One backtest with everything that it came to."""

    definition = serializers.DictField(help_text="Kind, parameters and rules as they were.")
    options = serializers.DictField()
    fills_gaps = serializers.BooleanField()
    result = serializers.DictField(
        allow_null=True,
        help_text="Figures by name, what it is compared with, warnings, the range that had "
        "candles. Rates are shares and money is US dollars, as strings; null where undefined.",
    )  # fmt: skip
    details = serializers.DictField(
        allow_null=True,
        help_text="Curves as pairs of instant and value (thinned without losing an extreme), the "
        "last 500 round trips, what is held at the end, or the trials of a sweep.",
    )  # fmt: skip
    result_hash = serializers.CharField(
        allow_blank=True, help_text="SHA-256: same inputs, same digits, same hash."
    )
