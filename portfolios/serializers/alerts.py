"""Shapes of alerts."""

from decimal import Decimal

from rest_framework import serializers

from accounts.models import BaseCurrency
from portfolios.models import AlertDirection, AlertKind, AlertState
from portfolios.serializers.entries import UnitsField
from portfolios.serializers.fields import ExactDecimalField
from tracker.api import StrictSerializer

_MOST_SECONDS = 365 * 86_400


class AlertFigureSerializer(serializers.Serializer):
    """The watched figure as it stands, in the alert's unit."""

    value = ExactDecimalField(allow_null=True, help_text="Null when nothing is known.")
    as_of = serializers.DateTimeField(allow_null=True)
    status = serializers.ChoiceField(
        ["complete", "stale", "partial", "unpriced"], help_text="Only `complete` tells anything."
    )


class PriceAlertSerializer(serializers.Serializer):
    """What is watched, how it stands, and how often it came true."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(AlertKind.choices)
    asset = serializers.UUIDField(allow_null=True, help_text="Null of the whole portfolio.")
    code = serializers.CharField()
    threshold = ExactDecimalField(help_text="A price or worth in the currency, or percent.")
    currency = serializers.CharField()
    direction = serializers.ChoiceField(AlertDirection.choices, allow_null=True)
    window_seconds = serializers.IntegerField(allow_null=True)
    repeats = serializers.BooleanField()
    hysteresis = ExactDecimalField(help_text="Percent of the threshold.")
    note = serializers.CharField()
    state = serializers.ChoiceField(AlertState.choices)
    armed = serializers.BooleanField(
        help_text="False from when it was told until the figure has gone back."
    )
    told_count = serializers.IntegerField()
    told_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    current = AlertFigureSerializer()


class NewPriceAlertSerializer(StrictSerializer):
    """What to be told of."""

    kind = serializers.ChoiceField(AlertKind.choices)
    asset = serializers.UUIDField(
        required=False, allow_null=True, default=None, help_text="Asset id; of prices only."
    )
    threshold = UnitsField()
    currency = serializers.ChoiceField(
        BaseCurrency.choices, required=False, help_text="Your base currency when left out."
    )
    direction = serializers.ChoiceField(
        AlertDirection.choices, required=False, default="",
        help_text="Which moves a change counts; `any` when left out.",
    )  # fmt: skip
    window_seconds = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=1, max_value=_MOST_SECONDS,
        help_text="Of changes (5 minutes to 30 days) and drawdowns (1 to 365 days).",
    )  # fmt: skip
    repeats = serializers.BooleanField(required=False, default=False)
    hysteresis = UnitsField(
        required=False, default=Decimal(0),
        help_text="How far it must go back before it is told again: 0.1 to 50 percent of the "
        "threshold. 1, or 10 of percentages, when left out.",
    )  # fmt: skip
    note = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")


class PriceAlertChangeSerializer(StrictSerializer):
    """What may be changed of an alert."""

    threshold = UnitsField(required=False)
    repeats = serializers.BooleanField(required=False)
    hysteresis = UnitsField(required=False)
    note = serializers.CharField(max_length=200, required=False, allow_blank=True)
    state = serializers.ChoiceField([AlertState.ACTIVE.value, AlertState.PAUSED.value],
                                    required=False)  # fmt: skip


class AlertFiringSerializer(serializers.Serializer):
    """An alert came true."""

    id = serializers.UUIDField()
    at = serializers.DateTimeField(help_text="As of which price or valuation.")
    value = ExactDecimalField(help_text="The watched figure in the alert's unit.")
