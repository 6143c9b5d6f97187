"""Shapes of the prices that a person sets."""

from rest_framework import serializers

from accounts.models import BaseCurrency
from portfolios.serializers.fields import ExactDecimalField
from tracker.api import StrictSerializer
from tracker.money import UNIT_DECIMALS, UNIT_DIGITS


class ManualPriceSerializer(serializers.Serializer):
    """A price of the person's own; it holds from its day on, until the next one or a market's."""

    id = serializers.UUIDField()
    asset = serializers.UUIDField()
    code = serializers.CharField()
    day = serializers.DateField()
    price = ExactDecimalField(help_text="Units of the currency for one unit.")
    currency = serializers.CharField()


class NewManualPriceSerializer(StrictSerializer):
    """What a price is set with."""

    asset = serializers.UUIDField(help_text="Asset id.")
    day = serializers.DateField(help_text="From which day on, in your time zone.")
    price = serializers.DecimalField(
        UNIT_DIGITS, UNIT_DECIMALS, help_text="Of one unit, 0 or more; as a string."
    )
    currency = serializers.ChoiceField(
        BaseCurrency.choices, required=False, help_text="Your base currency when left out."
    )
