"""Shapes of what support is let see, and of resets that wait."""

from rest_framework import serializers

from accounts.support_access import MOST_HOURS
from tracker.api import StrictSerializer


class SupportAccessRequestSerializer(StrictSerializer):
    """For how long support may see what the app shows."""

    hours = serializers.IntegerField(min_value=1, max_value=MOST_HOURS)


class SupportViewingSerializer(serializers.Serializer):
    """One time that somebody of support looked."""

    id = serializers.UUIDField()
    began_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField(help_text="At the latest.")
    ended_at = serializers.DateTimeField(
        source="ended_early_at",
        allow_null=True,
        help_text="When it was ended before; null where nobody did.",
    )
    reason = serializers.CharField()
    pages = serializers.IntegerField(help_text="How many pages were looked at.")


class SupportAccessSerializer(serializers.Serializer):
    """What support may see at present, and each time that somebody looked."""

    is_allowed = serializers.BooleanField()
    given_at = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True)
    viewings = SupportViewingSerializer(many=True, help_text="The newest 50.")


class WaitingResetSerializer(serializers.Serializer):
    """A removal of every second factor that support was asked for."""

    is_waiting = serializers.BooleanField()
    asked_at = serializers.DateTimeField(allow_null=True)
    due_at = serializers.DateTimeField(allow_null=True, help_text="When it will be done.")
