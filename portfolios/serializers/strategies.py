"""Shapes of strategies, their watches and signals."""

from rest_framework import serializers

from exchanges.intervals import LENGTHS
from portfolios.models import StrategySignal
from portfolios.serializers.fields import ExactDecimalField
from portfolios.strategies import catalogue, running
from tracker.api import StrictSerializer

KINDS = (*catalogue.CATALOGUE, running.CUSTOM)
INTERVALS = tuple(LENGTHS)


class BuiltInSerializer(serializers.Serializer):
    """One strategy of the catalogue, with what its form needs."""

    key = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    source = serializers.CharField(  # type: ignore[assignment]  # DRF takes fields off the class
        help_text="Where it comes from."
    )
    fewest_assets = serializers.IntegerField()
    most_assets = serializers.IntegerField()
    schema = serializers.DictField(help_text="JSON Schema (2020-12) of its parameters.")
    included = serializers.BooleanField(help_text="Whether your plan includes it.")


class CustomSerializer(serializers.Serializer):
    """The language of own rules."""

    schema = serializers.DictField(help_text="JSON Schema (2020-12) of a document of rules.")
    included = serializers.BooleanField()


class CatalogueSerializer(serializers.Serializer):
    """Everything that a strategy can be made of."""

    results = BuiltInSerializer(many=True)
    custom = CustomSerializer()


class WatchSerializer(serializers.Serializer):
    """What a strategy watches."""

    assets = serializers.ListField(
        child=serializers.UUIDField(), help_text="Empty: what you own, also later on."
    )
    interval = serializers.ChoiceField(INTERVALS)
    judged_through = serializers.DateTimeField(
        allow_null=True, help_text="When the last candle that was judged closed."
    )
    wanted = serializers.DictField(
        child=ExactDecimalField(), help_text="What it holds on paper: a share of the whole, by "
        "asset.",
    )  # fmt: skip
    error = serializers.CharField(allow_blank=True, help_text="Why it cannot judge just now.")
    since = serializers.DateTimeField(source="created_at")


class NewWatchSerializer(StrictSerializer):
    """What a strategy shall watch."""

    assets = serializers.ListField(
        child=serializers.UUIDField(), required=False, default=list, max_length=10,
        help_text="Asset ids; left out or empty: the largest of what you own, also later on.",
    )  # fmt: skip
    interval = serializers.ChoiceField(INTERVALS)


class StrategySerializer(serializers.Serializer):
    """A strategy as you set it up."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(KINDS)
    parameters = serializers.DictField(help_text="Complete with defaults.")
    rules = serializers.DictField(allow_null=True, help_text="Of custom strategies only.")
    watch = WatchSerializer(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class NewStrategySerializer(StrictSerializer):
    """What a strategy is made of."""

    name = serializers.CharField(max_length=64)
    kind = serializers.ChoiceField(KINDS)
    parameters = serializers.DictField(required=False, default=dict)
    rules = serializers.DictField(required=False, allow_null=True, default=None)


class ChangedStrategySerializer(StrictSerializer):
    """What is to change. Parameters and rules are replaced whole."""

    name = serializers.CharField(max_length=64, required=False)
    parameters = serializers.DictField(required=False)
    rules = serializers.DictField(required=False, allow_null=True)


class SignalSerializer(serializers.Serializer):
    """What a watching strategy would have done as a candle closed. Nothing was traded."""

    id = serializers.UUIDField()
    strategy = serializers.UUIDField()
    strategy_name = serializers.CharField()
    asset = serializers.UUIDField()
    code = serializers.CharField()
    interval = serializers.ChoiceField(INTERVALS)
    at = serializers.DateTimeField(help_text="When the candle closed.")
    action = serializers.ChoiceField(StrategySignal.Action.choices)
    share_before = ExactDecimalField(help_text="Share of the whole before.")
    share_wanted = ExactDecimalField(help_text="Share of the whole from now on.")
    price = ExactDecimalField(help_text="The close, US dollars for one unit.")
