"""Shapes of what `exchanges` reads and writes."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from exchanges import allotment, candles, intervals
from exchanges.models import ConnectionState, Exchange, ExchangeConnection
from exchanges.reports import Privileges
from tracker.api import StrictSerializer

_FIELD: dict[str, Any] = {
    "required": False, "allow_blank": True, "max_length": 4096, "trim_whitespace": True,
    "write_only": True,
}  # fmt: skip


class ExchangeSerializer(serializers.ModelSerializer):
    """An exchange that can be connected."""

    required_fields = serializers.ListField(
        child=serializers.CharField(), help_text="What POST /connections needs for it."
    )
    supports = serializers.ListField(child=serializers.CharField(), help_text="Feeds we can read.")

    class Meta:
        model = Exchange
        fields = ["id", "name", "required_fields", "supports", "website"]


class ConnectionSerializer(serializers.ModelSerializer):
    """A connected account. The key is never shown again."""

    exchange = serializers.CharField(source="exchange_id")
    exchange_name = serializers.CharField(source="exchange.name")
    privileges = serializers.ChoiceField(
        [item.value for item in Privileges], help_text="What the exchange says the key may do."
    )

    state = serializers.SerializerMethodField()
    reason = serializers.SerializerMethodField(help_text="Stable code.")
    exchange_unreachable_since = serializers.DateTimeField(
        source="unreachable_since", allow_null=True, read_only=True,
        help_text="Set while the exchange answers nobody: it is not your key.",
    )  # fmt: skip

    class Meta:
        model = ExchangeConnection
        fields = [
            "id", "exchange", "exchange_name", "kind", "label", "position", "state", "reason",
            "privileges", "exchange_unreachable_since", "created_at", "last_synced_at",
            "last_complete_at", "next_sync_at",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(ConnectionState.choices))
    def get_state(self, row: ExchangeConnection) -> str:
        """What the plan leaves out is paused, whatever it was before."""
        return ConnectionState.PAUSED if self._is_surplus(row) else row.state

    def get_reason(self, row: ExchangeConnection) -> str:
        return allotment.REASON if self._is_surplus(row) else row.reason

    def _is_surplus(self, row: ExchangeConnection) -> bool:
        return allotment.is_surplus(row, self.context["granted"])


class NewConnectionSerializer(StrictSerializer):
    """An account to connect: a read-only API key of yours at an exchange."""

    exchange = serializers.CharField(max_length=32)
    label = serializers.CharField(  # type: ignore[assignment]
        max_length=64, required=False, allow_blank=True, default="",
        help_text="Tells two accounts at the same exchange apart.",
    )  # fmt: skip
    api_key = serializers.CharField(**_FIELD)
    api_secret = serializers.CharField(**_FIELD)
    passphrase = serializers.CharField(**_FIELD)


class ConnectionChangeSerializer(StrictSerializer):
    """What can be changed; what is not named stays. A new key is given whole."""

    label = serializers.CharField(max_length=64, required=False, allow_blank=True)  # type: ignore[assignment]
    paused = serializers.BooleanField(required=False)
    position = serializers.IntegerField(
        required=False, min_value=0, max_value=999,
        help_text="Your own order. Where your plan includes so many connections, the first count.",
    )  # fmt: skip
    api_key = serializers.CharField(**_FIELD)
    api_secret = serializers.CharField(**_FIELD)
    passphrase = serializers.CharField(**_FIELD)


class TestResultSerializer(serializers.Serializer):
    """The key works."""

    status = serializers.ChoiceField(["ok"])
    privileges = serializers.ChoiceField([item.value for item in Privileges])


class PriceSerializer(serializers.Serializer):
    """A latest price in the person's base currency."""

    asset = serializers.UUIDField()
    code = serializers.CharField()
    currency = serializers.CharField()
    price = serializers.CharField(allow_null=True, help_text="Decimal; null when unpriced.")
    change_24h_percent = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(["complete", "stale", "unpriced"])
    source = serializers.CharField(allow_null=True)  # type: ignore[assignment]
    as_of = serializers.DateTimeField(allow_null=True)


class CandleSerializer(serializers.Serializer):
    """What one unit cost in US dollars while an interval lasted."""

    at = serializers.DateTimeField(help_text="The first instant of the interval.")
    open = serializers.CharField()
    high = serializers.CharField(
        help_text="Where prices are crossed through another coin: the highest certainly reached."
    )
    low = serializers.CharField()
    close = serializers.CharField()
    volume = serializers.CharField(
        allow_null=True, help_text="Units of the asset; null where the market does not tell."
    )
    closed = serializers.BooleanField(help_text="False while it may still change.")
    source = serializers.CharField(  # type: ignore[assignment]
        help_text="Exchange and the markets crossed; of a sum its last part's."
    )


class CandleGapSerializer(serializers.Serializer):
    """A stretch without candles."""

    reason = serializers.ChoiceField(
        [reason.value for reason in candles.Reason],
        help_text="not_fetched: ask again in a moment. source_unavailable: an exchange does not "
        "answer, and is tried again by itself. no_market: no market quoted it.",
    )

    def get_fields(self) -> dict[str, Any]:
        # `from` is a keyword, so it cannot be an attribute
        ends = {"from": serializers.DateTimeField(), "to": serializers.DateTimeField()}
        return ends | super().get_fields()


class CandleSeriesSerializer(serializers.Serializer):
    """Candles of one asset in order, and what is missing of them."""

    asset = serializers.UUIDField()
    code = serializers.CharField()
    currency = serializers.ChoiceField(["USD"])
    interval = serializers.ChoiceField(list(intervals.LENGTHS))
    complete = serializers.BooleanField(help_text="There are no gaps.")
    updating = serializers.BooleanField(help_text="Something is on its way: ask again.")
    gaps = CandleGapSerializer(many=True)
    results = CandleSerializer(many=True)

    def get_fields(self) -> dict[str, Any]:
        ends = {"from": serializers.DateTimeField(), "to": serializers.DateTimeField()}
        return super().get_fields() | ends
