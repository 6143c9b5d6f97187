"""Shapes of what `billing` reads and writes. Money is a decimal string in the named currency."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.models import Subscription
from tracker.api import StrictSerializer

_STATUSES = [
    "incomplete", "incomplete_expired", "trialing", "active", "past_due", "unpaid", "paused",
    "canceled",
]  # fmt: skip


class PlanOfferSerializer(serializers.Serializer):
    """What one plan includes. A limit of null does not limit."""

    tier = serializers.CharField()
    name = serializers.CharField()
    price = serializers.DecimalField(12, 2, help_text="A month.")
    currency = serializers.CharField()
    is_current = serializers.BooleanField(help_text="Whether it is in force for you.")
    trial_days = serializers.IntegerField()
    connections = serializers.IntegerField(allow_null=True)
    strategies = serializers.IntegerField(allow_null=True)
    custom_strategies = serializers.BooleanField()
    alerts = serializers.IntegerField(allow_null=True)
    api_keys = serializers.BooleanField()
    live_prices = serializers.BooleanField()
    sync_every_seconds = serializers.IntegerField()
    snapshot_every_seconds = serializers.IntegerField()
    calls_per_hour = serializers.IntegerField()
    calls_per_day = serializers.IntegerField()
    calls_per_month = serializers.IntegerField(help_text="Included.")
    call_price = serializers.DecimalField(
        12, 6, allow_null=True, help_text="Of each call beyond; null refuses it."
    )


class SubscriptionSerializer(serializers.ModelSerializer):
    """A subscription as Stripe has it."""

    status = serializers.ChoiceField(_STATUSES)

    class Meta:
        model = Subscription
        fields = [
            "tier", "status", "price", "currency", "current_period_start", "current_period_end",
            "cancel_at_period_end", "trial_end", "past_due_since", "started_at", "ended_at",
        ]  # fmt: skip
        read_only_fields = fields


class PlanInForceSerializer(serializers.Serializer):
    """The plan in force and the subscription behind it, if there is one."""

    tier = serializers.CharField()
    reason = serializers.ChoiceField(
        ["", "subscription", "grant", "grace"],
        help_text="What gives the plan; `grace` while a payment is owed.",
    )
    until = serializers.DateTimeField(allow_null=True, help_text="When it gives way by itself.")
    next_tier = serializers.CharField(help_text="To which plan; empty without an end.")
    subscription = SubscriptionSerializer(allow_null=True)


class NewSubscriptionSerializer(StrictSerializer):
    """The plan to subscribe to."""

    tier = serializers.CharField(max_length=32)
    promotion_code = serializers.RegexField(
        r"^[A-Za-z0-9_-]*$", max_length=64, required=False, allow_blank=True, default=""
    )


class CheckoutSerializer(StrictSerializer):
    """The plan to subscribe to; a promotion code is entered on the page itself."""

    tier = serializers.CharField(max_length=32)


class SheetSerializer(serializers.Serializer):
    """What Stripe's PaymentSheet takes. Shown once; keep it in memory alone."""

    intent = serializers.ChoiceField(["payment", "setup"])
    client_secret = serializers.CharField()
    customer = serializers.CharField()
    ephemeral_key = serializers.CharField()
    publishable_key = serializers.CharField()


class BegunSerializer(serializers.Serializer):
    """A subscription that waits for its first payment."""

    subscription = SubscriptionSerializer()
    payment = SheetSerializer(
        source="sheet", allow_null=True, help_text="Null when nothing has to be paid now."
    )


class SubscriptionChangeSerializer(StrictSerializer):
    """Another plan, or whether the subscription ends with its period; one of the two."""

    tier = serializers.CharField(max_length=32, required=False)
    preview = serializers.BooleanField(
        required=False, default=False, help_text="Only say what it would cost."
    )
    proration_at = serializers.DateTimeField(
        required=False,
        help_text="That of a preview of the last minutes: what it showed is charged.",
    )
    cancel_at_period_end = serializers.BooleanField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("tier" in attrs) == ("cancel_at_period_end" in attrs):
            raise serializers.ValidationError(
                "Send either tier or cancel_at_period_end.", code="one_of"
            )
        return attrs


class PreviewLineSerializer(serializers.Serializer):
    """One line of an invoice to come; credits are negative."""

    description = serializers.CharField()
    amount = serializers.DecimalField(14, 3)


class PreviewSerializer(serializers.Serializer):
    """What a change would cost."""

    currency = serializers.CharField()
    due_now = serializers.DecimalField(14, 3)
    proration_at = serializers.DateTimeField(help_text="Send it along with the change.")
    lines = serializers.SerializerMethodField()

    @extend_schema_field(PreviewLineSerializer(many=True))
    def get_lines(self, shown: Any) -> list[dict[str, Any]]:
        return [{"description": text, "amount": amount} for text, amount in shown.lines]


class ChangedSerializer(serializers.Serializer):
    """The subscription as it is now, or what a change would cost."""

    subscription = SubscriptionSerializer(allow_null=True)
    preview = PreviewSerializer(allow_null=True)


class EndSerializer(StrictSerializer):
    """When to end: with what was paid for, or at once."""

    when = serializers.ChoiceField(["period_end", "now"], required=False, default="period_end")


class HostedPageSerializer(serializers.Serializer):
    """An address to open in a browser, good for some minutes."""

    url = serializers.URLField()


class InvoiceSerializer(serializers.Serializer):
    """An invoice and its pages."""

    id = serializers.CharField()
    number = serializers.CharField()
    status = serializers.CharField(help_text="draft, open, paid, uncollectible or void")
    total = serializers.DecimalField(14, 3)
    paid = serializers.DecimalField(14, 3)
    currency = serializers.CharField()
    created_at = serializers.DateTimeField()
    period_start = serializers.DateTimeField(allow_null=True)
    period_end = serializers.DateTimeField(allow_null=True)
    page_url = serializers.CharField(
        help_text="Where it is shown and can be paid; empty while our provider does not answer."
    )
    pdf_url = serializers.CharField()


class DayUsageSerializer(serializers.Serializer):
    """Calls of one UTC day."""

    day = serializers.DateField()
    calls = serializers.IntegerField()


class GroupUsageSerializer(serializers.Serializer):
    """Calls of one group of endpoints, by the first word of their address."""

    group = serializers.CharField()
    calls = serializers.IntegerField()


class UsageSerializer(serializers.Serializer):
    """Data calls of this UTC month, as of some seconds ago."""

    month = serializers.DateField(help_text="Its first day.")
    used = serializers.IntegerField()
    included = serializers.IntegerField()
    resets_at = serializers.DateTimeField()
    beyond = serializers.IntegerField(help_text="Calls beyond the included ones that are billed.")
    call_price = serializers.DecimalField(12, 6, allow_null=True, help_text="USD; null: refused.")
    cost = serializers.DecimalField(14, 6, help_text="USD for the calls beyond, so far.")
    spending_cap = serializers.DecimalField(
        12, 2, allow_null=True, help_text="USD a month, after which calls are refused."
    )
    days = DayUsageSerializer(many=True)
    groups = GroupUsageSerializer(many=True)


class SpendingCapSerializer(StrictSerializer):
    """How much calls beyond the included ones may cost a month; null is the plan's price."""

    spending_cap = serializers.DecimalField(
        12, 2, min_value=0, max_value=100_000, allow_null=True, help_text="USD."
    )
