"""Shapes of what a person enters by hand, and of their own accounts."""

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from exchanges.reports import Direction, TradeKind, Wallet
from portfolios.models import AdjustmentReason
from tracker import money
from tracker.api import StrictSerializer

_WALLETS = [item.value for item in Wallet]
REWARD_KINDS = [
    "reward", "interest", "staking", "airdrop", "mining", "income", "bonus", "dividend",
]  # fmt: skip
_ASSET = "Id of an asset, or its code; a code nobody knows becomes a new asset."
_TOO_LARGE = "This number is too large to be kept."
_SENTENCES = {
    "invalid": "Give an exact number, such as \"0.015\".",
    "max_digits": "This number has more digits than can be kept.",
    "max_decimal_places": "This number has more than 30 decimals.",
    "max_whole_digits": _TOO_LARGE,
    "max_string_length": "This number is too long.",
}  # fmt: skip


class UnitsField(serializers.DecimalField):
    """An exact number of units; above zero unless said otherwise."""

    def __init__(self, *, positive: bool = True, **kwargs: Any) -> None:
        self._positive = positive
        kwargs.setdefault("help_text", "Decimal as a string, exact.")
        super().__init__(max_digits=money.UNIT_DIGITS, decimal_places=money.UNIT_DECIMALS, **kwargs)
        self.error_messages = {**self.error_messages, **_SENTENCES}

    def to_internal_value(self, data: Any) -> Decimal:
        found = super().to_internal_value(data)
        if self._positive and found < 0:
            raise serializers.ValidationError("This may not be below zero.", "below_zero")
        if self._positive and not found:
            raise serializers.ValidationError("Give a number above zero.", "zero")
        if abs(found) >= money.MOST_UNITS:
            raise serializers.ValidationError(_TOO_LARGE, "too_large")
        return found


class _AssetField(serializers.CharField):
    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("help_text", _ASSET)
        super().__init__(max_length=36, **kwargs)


def _optional_asset() -> _AssetField:
    return _AssetField(required=False, allow_blank=True, default="")


def _optional_units(**kwargs: Any) -> UnitsField:
    return UnitsField(required=False, allow_null=True, default=None, **kwargs)


def _optional_text(length: int) -> serializers.CharField:
    return serializers.CharField(max_length=length, required=False, allow_blank=True, default="")


class NewManualAccountSerializer(StrictSerializer):
    """An account to keep by hand."""

    label = serializers.CharField(max_length=64)  # type: ignore[assignment]


class _NewEntry(StrictSerializer):
    connection = serializers.UUIDField(help_text="The account: one by hand, or at an exchange.")
    occurred_at = serializers.DateTimeField(help_text="Instant; without a zone it is UTC.")
    wallet = serializers.ChoiceField(_WALLETS, default=Wallet.SPOT.value)


class NewTradeEntrySerializer(_NewEntry):
    """A trade: what was bought or sold, for what, and the fee on top."""

    side = serializers.ChoiceField(["buy", "sell"], help_text="Seen from the base.")
    base = _AssetField()
    base_quantity = UnitsField()
    quote = _AssetField()
    quote_quantity = _optional_units(help_text="The amount paid or received; or give the price.")
    price = _optional_units(help_text="For one unit of the base; or give quote_quantity.")
    fee_asset = _optional_asset()
    fee_quantity = _optional_units()
    kind = serializers.ChoiceField(
        [item.value for item in TradeKind], default=TradeKind.FILL.value,
        help_text="fiat: the money came from outside, as with a card.",
    )  # fmt: skip


class NewTransferEntrySerializer(_NewEntry):
    """A deposit, a withdrawal, or a move between wallets of the account."""

    direction = serializers.ChoiceField([item.value for item in Direction])
    asset = _AssetField()
    quantity = UnitsField(help_text="What arrived, without the fee.")
    to_wallet = serializers.ChoiceField(
        _WALLETS, required=False, allow_blank=True, default="", help_text="Of a move alone."
    )
    fee_asset = _optional_asset()
    fee_quantity = _optional_units()
    txid = _optional_text(200)
    address = _optional_text(200)
    network = _optional_text(64)


class NewRewardEntrySerializer(_NewEntry):
    """Units that came as income."""

    kind = serializers.ChoiceField(REWARD_KINDS)
    asset = _AssetField()
    quantity = UnitsField()


class NewAdjustmentEntrySerializer(_NewEntry):
    """Units that came or went without a counterpart."""

    reason = serializers.ChoiceField(AdjustmentReason.choices)
    asset = _AssetField()
    quantity = UnitsField(positive=False, help_text="Above zero came in, below zero went out.")
    cost_asset = _optional_asset()
    cost_quantity = _optional_units(help_text="What all the units that came in cost.")
    note = _optional_text(200)


# --- answers ------------------------------------------------------------------------------------
class _Exact(serializers.CharField):
    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("help_text", "Decimal as a string, exact.")
        super().__init__(**kwargs)


class EntryTradeSerializer(serializers.Serializer):
    """What belongs to a trade."""

    exchange_id = serializers.CharField()
    kind = serializers.ChoiceField([item.value for item in TradeKind])
    symbol = serializers.CharField()
    side = serializers.ChoiceField(["buy", "sell"])
    base_asset = serializers.UUIDField()
    base_code = serializers.CharField()
    base_quantity = _Exact()
    quote_asset = serializers.UUIDField()
    quote_code = serializers.CharField()
    quote_quantity = _Exact()
    price = _Exact()
    fee_asset = serializers.UUIDField(allow_null=True)
    fee_code = serializers.CharField(allow_null=True)
    fee_quantity = _Exact(allow_null=True)


class EntryTransferSerializer(serializers.Serializer):
    """What belongs to a transfer."""

    exchange_id = serializers.CharField()
    direction = serializers.ChoiceField([item.value for item in Direction])
    asset = serializers.UUIDField()
    code = serializers.CharField()
    quantity = _Exact()
    fee_asset = serializers.UUIDField(allow_null=True)
    fee_code = serializers.CharField(allow_null=True)
    fee_quantity = _Exact(allow_null=True)
    counter_wallet = serializers.CharField(allow_blank=True)
    is_settled = serializers.BooleanField()
    txid = serializers.CharField(allow_blank=True)
    address = serializers.CharField(allow_blank=True)
    network = serializers.CharField(allow_blank=True)


class EntryRewardSerializer(serializers.Serializer):
    """What belongs to a reward."""

    kind = serializers.CharField()
    asset = serializers.UUIDField()
    code = serializers.CharField()
    quantity = _Exact()


class EntryAdjustmentSerializer(serializers.Serializer):
    """What belongs to an adjustment."""

    reason = serializers.ChoiceField(AdjustmentReason.choices)
    asset = serializers.UUIDField()
    code = serializers.CharField()
    quantity = _Exact()
    cost_asset = serializers.UUIDField(allow_null=True)
    cost_code = serializers.CharField(allow_null=True)
    cost_quantity = _Exact(allow_null=True)
    note = serializers.CharField(allow_blank=True)


class EntrySerializer(serializers.Serializer):
    """An entry by hand or from a file; the part named by ``kind`` is filled, the others null."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(["trade", "transfer", "reward", "adjustment"])
    source = serializers.CharField(help_text="manual, or import: and the format of the file.")  # type: ignore[assignment]
    connection = serializers.UUIDField()
    exchange = serializers.CharField()
    wallet = serializers.CharField()
    occurred_at = serializers.DateTimeField()
    trade = EntryTradeSerializer(allow_null=True)
    transfer = EntryTransferSerializer(allow_null=True)
    reward = EntryRewardSerializer(allow_null=True)
    adjustment = EntryAdjustmentSerializer(allow_null=True)
