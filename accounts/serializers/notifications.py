"""Shapes of notification choices and devices."""

import re
from typing import Any

from rest_framework import serializers

from accounts.models.notifications import Channel
from accounts.notifications import Event
from tracker.api import StrictSerializer

_EVENTS = [(event.value, event.value) for event in Event]
_EXPO_TOKEN = re.compile(r"(ExponentPushToken|ExpoPushToken)\[[A-Za-z0-9_\-:.]{1,200}\]")
PLATFORMS = ("ios", "android")


class ChoiceSerializer(serializers.Serializer):
    """One cell of the table event × channel."""

    event = serializers.ChoiceField(_EVENTS)
    channel = serializers.ChoiceField(Channel.choices)
    enabled = serializers.BooleanField()
    locked = serializers.BooleanField(help_text="It cannot be changed.")


class ChangedChoiceSerializer(StrictSerializer):
    """What one cell is to be."""

    event = serializers.ChoiceField(_EVENTS)
    channel = serializers.ChoiceField(Channel.choices)
    enabled = serializers.BooleanField()


class ChangedChoicesSerializer(StrictSerializer):
    """Cells to change; those that are not named stay."""

    choices = serializers.ListField(
        child=ChangedChoiceSerializer(), allow_empty=False, max_length=100
    )


class DeviceSerializer(serializers.Serializer):
    """A phone that is pushed to. Its token is not told again."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    platform = serializers.CharField()
    registered_at = serializers.DateTimeField()


class NewDeviceSerializer(StrictSerializer):
    """A phone that wants push messages."""

    token = serializers.CharField(max_length=255, help_text="ExponentPushToken[…]")
    name = serializers.CharField(max_length=64, required=False, allow_blank=True, default="")
    platform = serializers.ChoiceField(PLATFORMS, required=False, allow_blank=True, default="")

    def validate_token(self, value: Any) -> str:
        if not _EXPO_TOKEN.fullmatch(value):
            raise serializers.ValidationError("This is no Expo push token.")
        return value
