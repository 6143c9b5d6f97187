"""Shapes of what `exchanges` reads and writes."""

from typing import Any

from rest_framework import serializers

from exchanges.models import Exchange, ExchangeConnection
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

    exchange_unreachable_since = serializers.DateTimeField(
        source="unreachable_since", allow_null=True, read_only=True,
        help_text="Set while the exchange answers nobody: it is not your key.",
    )  # fmt: skip

    class Meta:
        model = ExchangeConnection
        fields = [
            "id", "exchange", "exchange_name", "kind", "label", "state", "reason", "privileges",
            "exchange_unreachable_since", "created_at", "last_synced_at", "last_complete_at",
            "next_sync_at",
        ]  # fmt: skip
        read_only_fields = fields


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
