"""The shapes that `audit` answers with."""

from rest_framework import serializers


class ActivitySerializer(serializers.Serializer):
    """One act."""

    id = serializers.UUIDField()
    action = serializers.CharField(help_text="Stable machine name.")
    text = serializers.CharField(help_text="One sentence that the app can show.")
    outcome = serializers.CharField(help_text="ok, refused or failed.")
    by = serializers.ChoiceField(
        ["you", "support", "system", "unknown"],
        help_text="unknown: it needs no signing in, so it may have been somebody else.",
    )
    created_at = serializers.DateTimeField()
    ip_address = serializers.IPAddressField(allow_null=True, help_text="Not shown of support.")
    session_id = serializers.UUIDField(
        allow_null=True, help_text="A session of `/sessions`, or an API key."
    )
