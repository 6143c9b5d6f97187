"""Shapes of webhooks."""

from rest_framework import serializers

from accounts import webhooks
from tracker.api import StrictSerializer


class NewWebhookSerializer(StrictSerializer):
    """An address to call."""

    url = serializers.CharField(max_length=webhooks.LONGEST_URL, help_text="https://…")


class WebhookSerializer(serializers.Serializer):
    """An address that is called."""

    id = serializers.UUIDField(source="row.id")
    url = serializers.CharField()
    created_at = serializers.DateTimeField(source="row.created_at")
    last_success_at = serializers.DateTimeField(source="row.last_success_at", allow_null=True)
    failing_since = serializers.DateTimeField(source="row.failing_since", allow_null=True)
    last_error = serializers.CharField(source="row.last_error", allow_blank=True)
    stopped_at = serializers.DateTimeField(
        source="row.stopped_at", allow_null=True,
        help_text="It failed for days and is called no more; a test that succeeds starts it again.",
    )  # fmt: skip


class CreatedWebhookSerializer(WebhookSerializer):
    """The same with its secret, which is told once."""

    secret = serializers.CharField(help_text="whsec_…, as https://www.standardwebhooks.com has it")


class WebhookTestSerializer(serializers.Serializer):
    """How a test went."""

    delivered = serializers.BooleanField()
    error = serializers.CharField(allow_blank=True)
