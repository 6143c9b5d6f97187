"""Shapes of API keys."""

from rest_framework import serializers

from accounts.api_keys import MOST_DAYS, USUAL_DAYS, Scope
from tracker.api import StrictSerializer

_SCOPES = [(scope.value, scope.value) for scope in Scope]


class ApiKeySerializer(serializers.Serializer):
    """A key, without what makes it work."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    prefix = serializers.CharField(help_text="The middle part of the key, to tell keys apart.")
    scopes = serializers.ListField(child=serializers.ChoiceField(_SCOPES))
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(
        allow_null=True, help_text="To about five minutes; null while it was never used."
    )
    last_used_address = serializers.IPAddressField(allow_null=True)


class CreatedApiKeySerializer(ApiKeySerializer):
    """A new key, with its text: this once."""

    key = serializers.CharField(help_text="`trk_<prefix>_<secret>`; it is not shown again.")


class NewApiKeySerializer(StrictSerializer):
    """What a new key is to be."""

    name = serializers.CharField(max_length=64)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(_SCOPES), allow_empty=False, max_length=len(_SCOPES)
    )
    expires_in_days = serializers.IntegerField(min_value=1, max_value=MOST_DAYS, default=USUAL_DAYS)
