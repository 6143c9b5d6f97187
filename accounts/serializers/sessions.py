"""Shapes of the list of signed-in devices."""

from rest_framework import serializers


class SessionSerializer(serializers.Serializer):
    """A signed-in device."""

    id = serializers.UUIDField()
    device_name = serializers.CharField()
    platform = serializers.CharField()
    app_version = serializers.CharField()
    client = serializers.CharField(help_text="What kind of program: okhttp, Firefox …")
    created_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField(help_text="To about five minutes.")
    first_address = serializers.IPAddressField(allow_null=True)
    last_address = serializers.IPAddressField(allow_null=True)
    current = serializers.BooleanField(help_text="Whether it is the device that asks.")


class EndedSerializer(serializers.Serializer):
    """How many sessions were ended."""

    ended = serializers.IntegerField()
