"""Shapes of what `portfolios` answers. Hot reads go from SQL to bytes without passing here; these
classes declare their shape for the schema, and a test holds the two together."""

from rest_framework import serializers

from exchanges.models import ConnectionState
from exchanges.reports import Direction, TradeKind
from portfolios.models import EntryKind, Status, SyncState
from portfolios.serializers.fields import ExactDecimalField

_PRICE_STATUS = ["complete", "stale", "unpriced"]


class HoldingValueSerializer(serializers.Serializer):
    """One asset over all connections and wallets, in the base currency."""

    asset = serializers.UUIDField()
    code = serializers.CharField()
    quantity = ExactDecimalField()
    price = ExactDecimalField(allow_null=True, help_text="For one unit; null when unpriced.")
    value = ExactDecimalField(allow_null=True, help_text="Null when unpriced, never zero for it.")
    share = ExactDecimalField(allow_null=True, help_text="Fraction of the total, 0 to 1.")
    status = serializers.ChoiceField(_PRICE_STATUS)
    source = serializers.CharField(allow_null=True, help_text="Exchange and markets crossed.")  # type: ignore[assignment]
    as_of = serializers.DateTimeField(allow_null=True, help_text="When the price was made.")


class ConnectionHealthSerializer(serializers.Serializer):
    """How one connection stands."""

    id = serializers.UUIDField()
    exchange = serializers.CharField()
    label = serializers.CharField(allow_blank=True)  # type: ignore[assignment]
    state = serializers.ChoiceField(ConnectionState.choices)
    reason = serializers.CharField(allow_blank=True)
    last_synced_at = serializers.DateTimeField(allow_null=True)
    status = serializers.ChoiceField(Status.choices)


class ChangeSerializer(serializers.Serializer):
    """What prices did to the present holdings in 24 hours."""

    value = ExactDecimalField()
    percent = ExactDecimalField()
    status = serializers.ChoiceField(["complete", "partial"])


class PortfolioSerializer(serializers.Serializer):
    """The home screen."""

    total_value = ExactDecimalField(
        help_text="Sum of all priced holdings; status says what is missing."
    )
    currency = serializers.CharField()
    status = serializers.ChoiceField(Status.choices)
    unpriced = serializers.IntegerField(help_text="How many assets have no price.")
    change_24h = ChangeSerializer(allow_null=True)
    holdings = HoldingValueSerializer(many=True)
    connections = ConnectionHealthSerializer(many=True)


class _Row(serializers.Serializer):
    id = serializers.UUIDField()
    connection = serializers.UUIDField()
    exchange = serializers.CharField()
    wallet = serializers.CharField()


class TradeSerializer(_Row):
    """A fill, conversion or dust sweep as the exchange reported it."""

    exchange_id = serializers.CharField()
    kind = serializers.ChoiceField([item.value for item in TradeKind])
    symbol = serializers.CharField()
    side = serializers.ChoiceField(["buy", "sell"])
    base_asset = serializers.UUIDField()
    base_code = serializers.CharField()
    base_quantity = ExactDecimalField()
    quote_asset = serializers.UUIDField()
    quote_code = serializers.CharField()
    quote_quantity = ExactDecimalField()
    price = ExactDecimalField()
    fee_asset = serializers.UUIDField(allow_null=True)
    fee_code = serializers.CharField(allow_null=True)
    fee_quantity = ExactDecimalField(allow_null=True)
    occurred_at = serializers.DateTimeField()


class TransferSerializer(_Row):
    """A deposit, withdrawal or internal move."""

    exchange_id = serializers.CharField()
    direction = serializers.ChoiceField([item.value for item in Direction])
    asset = serializers.UUIDField()
    code = serializers.CharField()
    quantity = ExactDecimalField()
    fee_asset = serializers.UUIDField(allow_null=True)
    fee_code = serializers.CharField(allow_null=True)
    fee_quantity = ExactDecimalField(allow_null=True)
    counter_wallet = serializers.CharField(allow_blank=True)
    is_settled = serializers.BooleanField()
    txid = serializers.CharField(allow_blank=True)
    address = serializers.CharField(allow_blank=True)
    network = serializers.CharField(allow_blank=True)
    occurred_at = serializers.DateTimeField()


class LedgerEntrySerializer(_Row):
    """One signed leg; exactly one of trade, transfer, reward names its fact."""

    kind = serializers.ChoiceField(EntryKind.choices)
    asset = serializers.UUIDField()
    code = serializers.CharField()
    quantity = ExactDecimalField(help_text="Positive came in, negative went out.")
    trade = serializers.UUIDField(allow_null=True)
    transfer = serializers.UUIDField(allow_null=True)
    reward = serializers.UUIDField(allow_null=True)
    occurred_at = serializers.DateTimeField()


class HoldingSerializer(_Row):
    """Units of an asset in one wallet of one connection."""

    asset = serializers.UUIDField()
    code = serializers.CharField()
    quantity = ExactDecimalField()
    changed_at = serializers.DateTimeField()
    last_confirmed_at = serializers.DateTimeField()


class SnapshotSerializer(serializers.Serializer):
    """The portfolio's total as it was shown at an instant."""

    id = serializers.UUIDField()
    taken_at = serializers.DateTimeField()
    total_value = ExactDecimalField(allow_null=True)
    currency = serializers.CharField()
    status = serializers.ChoiceField(Status.choices)


class SyncProblemSerializer(serializers.Serializer):
    """A feed that could not be read."""

    feed = serializers.CharField()
    scope = serializers.CharField(allow_blank=True)
    code = serializers.CharField()


class SyncRunSerializer(serializers.Serializer):
    """One visit to a connection."""

    id = serializers.UUIDField()
    connection = serializers.UUIDField()
    trigger = serializers.CharField()
    state = serializers.ChoiceField(SyncState.choices)
    requested_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    new_trades = serializers.IntegerField()
    new_transfers = serializers.IntegerField()
    new_rewards = serializers.IntegerField()
    quarantined = serializers.IntegerField(help_text="Rows we could not read and kept.")
    problems = SyncProblemSerializer(many=True)
    error = serializers.CharField(allow_blank=True)
    phase = serializers.CharField(
        allow_blank=True, help_text="The feed that is being read now; empty when it is over."
    )
    visits = serializers.IntegerField(help_text="A first import may take several visits.")
    calls_done = serializers.IntegerField(help_text="Calls to the exchange so far.")
    calls_left = serializers.IntegerField(
        allow_null=True, help_text="About how many calls are left; null when nobody knows."
    )
    seconds_left = serializers.IntegerField(
        allow_null=True, help_text="About how long they take, by what the exchange allows."
    )
