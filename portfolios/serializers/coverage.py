"""Shapes of how complete what we know is."""

from rest_framework import serializers

_STATES = ["complete", "behind", "not_read", "failed"]
_REASONS = ["not_read", "behind", "failed", "horizon", "closed", "not_offered"]


class ExceptionSerializer(serializers.Serializer):
    """Something that is not known, and why."""

    feed = serializers.CharField(allow_null=True)
    kind = serializers.CharField(help_text="trades, deposits, withdrawals, conversions, dust …")
    reason = serializers.ChoiceField(_REASONS)
    since = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True)
    sentence = serializers.CharField()


class FeedCoverageSerializer(serializers.Serializer):
    """One kind of history, read without gaps from ``since`` to ``until``."""

    name = serializers.CharField()
    kind = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True)
    exists_since = serializers.DateTimeField(help_text="Nothing of this kind is older.")
    horizon_days = serializers.IntegerField(
        allow_null=True, help_text="How far back the exchange answers; null without a limit."
    )
    reaches_back = serializers.BooleanField(
        allow_null=True, help_text="Whether it was read from its very beginning."
    )
    scopes = serializers.IntegerField(help_text="Markets or accounts that were read for it.")
    closed_scopes = serializers.ListField(
        child=serializers.CharField(), help_text="Markets that the exchange has closed."
    )
    error = serializers.CharField(allow_null=True, help_text="Stable code of the last failure.")
    state = serializers.ChoiceField(_STATES)


class PlanSerializer(serializers.Serializer):
    """What is left of the run that is open: its price in calls and time."""

    run = serializers.UUIDField()
    state = serializers.ChoiceField(["queued", "running"])
    phase = serializers.CharField(allow_blank=True)
    calls_done = serializers.IntegerField()
    calls_left = serializers.IntegerField(allow_null=True)
    seconds_left = serializers.IntegerField(allow_null=True)


class CoverageSerializer(serializers.Serializer):
    """Complete since when, and except for what."""

    connection = serializers.UUIDField()
    exchange = serializers.CharField()
    last_complete_at = serializers.DateTimeField(allow_null=True)
    complete_since = serializers.DateTimeField(allow_null=True)
    exceptions = ExceptionSerializer(many=True)
    feeds = FeedCoverageSerializer(many=True)
    not_covered = serializers.ListField(
        child=serializers.CharField(), help_text="Kinds that the exchange has no feed for."
    )
    plan = PlanSerializer(allow_null=True)


class AccountExceptionSerializer(ExceptionSerializer):
    """Something that is not known of one account."""

    connection = serializers.UUIDField()
    exchange = serializers.CharField()
    label = serializers.CharField(allow_blank=True)  # type: ignore[assignment]


class CompletenessSerializer(serializers.Serializer):
    """Of all accounts together: complete since when, and except for what."""

    complete_since = serializers.DateTimeField(allow_null=True)
    exceptions = AccountExceptionSerializer(many=True)
    more_exceptions = serializers.IntegerField(help_text="That are not listed here.")
    importing = serializers.ListField(
        child=serializers.UUIDField(), help_text="Connections whose history is still being read."
    )
