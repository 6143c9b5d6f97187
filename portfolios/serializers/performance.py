"""Shapes of performance, allocation, series and attribution."""

from rest_framework import serializers

from portfolios.models import Scope, Status
from portfolios.serializers.fields import ExactDecimalField


class RateField(serializers.CharField):
    """A rate as a fraction in text: ``"0.1"`` is ten per cent."""


class ScopeSerializer(serializers.Serializer):
    kind = serializers.ChoiceField(Scope.choices)
    id = serializers.UUIDField()


class RangeSerializer(serializers.Serializer):
    name = serializers.CharField()
    to = serializers.DateField()
    since = serializers.DateTimeField(help_text="The close that it begins with.")
    until = serializers.DateTimeField(
        allow_null=True, help_text="The close that it ends with; null when that is now."
    )

    def get_fields(self) -> dict[str, serializers.Field]:
        return {"from": serializers.DateField(), **super().get_fields()}


class _SaidSerializer(serializers.Serializer):
    """What every answer says about itself."""

    scope = ScopeSerializer()
    currency = serializers.CharField()
    range = RangeSerializer()
    status = serializers.ChoiceField(Status.choices)
    unpriced = serializers.IntegerField(help_text="Assets without a price.")
    complete_through = serializers.DateField(
        allow_null=True, help_text="The last day up to which nothing is missing."
    )
    updating = serializers.BooleanField(help_text="Figures are being computed anew.")


class EndsSerializer(serializers.Serializer):
    opening = ExactDecimalField()
    closing = ExactDecimalField()


class FlowsSerializer(serializers.Serializer):
    deposits = ExactDecimalField()
    withdrawals = ExactDecimalField()
    traded = ExactDecimalField(help_text="Of an asset: bought less sold.")
    corrections = ExactDecimalField(help_text="What no entry explains.")
    net = ExactDecimalField()


class ProfitSerializer(serializers.Serializer):
    total = ExactDecimalField(help_text="Price, currency, trading and income less fees.")
    realized = ExactDecimalField(help_text="Gains of disposals whose cost is known.")
    unrealized = ExactDecimalField(help_text="Value less cost, of units whose cost is known.")
    unrealized_change = ExactDecimalField()
    income = ExactDecimalField()
    fees = ExactDecimalField()
    value_without_cost = ExactDecimalField(help_text="Value of units whose cost is not known.")


class ReturnsSerializer(serializers.Serializer):
    twr = RateField(allow_null=True, help_text="Time-weighted, linked at each flow.")
    twr_annualised = RateField(allow_null=True, help_text="Null for less than a year.")
    xirr = RateField(allow_null=True, help_text="Money-weighted, a year.")
    xirr_code = serializers.CharField(
        allow_null=True, help_text="no_sign_change, too_short, too_large or not_found, when null."
    )


class DrawdownSerializer(serializers.Serializer):
    depth = RateField()
    peak = serializers.DateField()
    trough = serializers.DateField()
    recovered = serializers.DateField(allow_null=True)


class DayReturnSerializer(serializers.Serializer):
    day = serializers.DateField()

    def get_fields(self) -> dict[str, serializers.Field]:
        return {**super().get_fields(), "return": RateField()}


class RiskSerializer(serializers.Serializer):
    volatility = RateField(allow_null=True, help_text="A year's.")
    sharpe = RateField(allow_null=True)
    sortino = RateField(allow_null=True)
    max_drawdown = DrawdownSerializer(allow_null=True)
    best_day = DayReturnSerializer()
    worst_day = DayReturnSerializer()


class CoinSerializer(serializers.Serializer):
    excess = RateField(allow_null=True, help_text="The scope's TWR less this return.")

    def get_fields(self) -> dict[str, serializers.Field]:
        return {"return": RateField(allow_null=True), **super().get_fields()}


class HeldSerializer(serializers.Serializer):
    value = ExactDecimalField(allow_null=True, help_text="Now, had nothing been traded.")
    difference = ExactDecimalField(allow_null=True)


class BenchmarksSerializer(serializers.Serializer):
    btc = CoinSerializer(required=False)
    eth = CoinSerializer(required=False)
    half = CoinSerializer(required=False)
    held = HeldSerializer(required=False)


class PerformanceSerializer(_SaidSerializer):
    value = EndsSerializer()
    flows = FlowsSerializer()
    profit = ProfitSerializer()
    returns = ReturnsSerializer()
    risk = RiskSerializer(allow_null=True)
    benchmarks = BenchmarksSerializer()


class PointSerializer(serializers.Serializer):
    day = serializers.DateField(help_text="The UTC day that ended with this value.")
    value = ExactDecimalField()
    net_flows = ExactDecimalField(help_text="Of this day.")
    twr = RateField(help_text="Since the beginning of the range.")


class SeriesSerializer(_SaidSerializer):
    results = PointSerializer(many=True)


class PartsSerializer(serializers.Serializer):
    price = ExactDecimalField()
    deposits = ExactDecimalField()
    withdrawals = ExactDecimalField(help_text="Negative.")
    trades = ExactDecimalField(help_text="From the price of each trade to the day's end.")
    fees = ExactDecimalField(help_text="Negative.")
    income = ExactDecimalField()
    currency = ExactDecimalField()
    corrections = ExactDecimalField(help_text="What no entry explains, or got its first price.")
    late_data = ExactDecimalField(help_text="What is known of the beginning since it was shown.")


class ShownSerializer(serializers.Serializer):
    taken_at = serializers.DateTimeField()
    value = ExactDecimalField()


class AttributionSerializer(_SaidSerializer):
    opening = ExactDecimalField(help_text="As known today.")
    closing = ExactDecimalField()
    shown = ShownSerializer(
        allow_null=True, help_text="What a snapshot showed, where late data changed it since."
    )
    change = ExactDecimalField(help_text="The sum of the parts: closing less shown, or opening.")
    parts = PartsSerializer()
    restated_at = serializers.DateTimeField(
        allow_null=True, help_text="When late data last changed a day of this range."
    )


class AssetShareSerializer(serializers.Serializer):
    asset = serializers.UUIDField()
    code = serializers.CharField()
    quantity = ExactDecimalField()
    value = ExactDecimalField(allow_null=True)
    status = serializers.CharField()
    share = RateField(allow_null=True)


class ConnectionShareSerializer(serializers.Serializer):
    connection = serializers.UUIDField()
    value = ExactDecimalField()
    unpriced = serializers.IntegerField()
    share = RateField(allow_null=True)


class ConcentrationSerializer(serializers.Serializer):
    hhi = RateField(allow_null=True, help_text="Sum of squared shares, from 1 ÷ n to 1.")
    effective_assets = serializers.CharField(allow_null=True, help_text="1 ÷ hhi.")


class AllocationSerializer(serializers.Serializer):
    total_value = ExactDecimalField()
    currency = serializers.CharField()
    status = serializers.ChoiceField(Status.choices)
    updating = serializers.BooleanField()
    assets = AssetShareSerializer(many=True)
    connections = ConnectionShareSerializer(many=True)
    concentration = ConcentrationSerializer()
