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


class NoticeSerializer(serializers.Serializer):
    """Something that you were told."""

    id = serializers.UUIDField()
    event = serializers.ChoiceField(_EVENTS)
    title = serializers.CharField()
    text = serializers.CharField()
    at = serializers.DateTimeField()
    read_at = serializers.DateTimeField(allow_null=True)
    data = serializers.DictField(  # type: ignore[assignment]
        child=serializers.CharField(), help_text="What it is about, by ids such as `alert_id`."
    )


class ReadSerializer(StrictSerializer):
    """Which notices were read: some, or all up to an instant."""

    ids = serializers.ListField(
        child=serializers.UUIDField(), required=False, allow_empty=False, max_length=200
    )
    until = serializers.DateTimeField(required=False)

    def validate(self, attrs: Any) -> Any:
        if ("ids" in attrs) == ("until" in attrs):
            raise serializers.ValidationError({"ids": "Give either ids or an instant."})
        return attrs


class UnreadSerializer(serializers.Serializer):
    """How many notices are not read yet."""

    unread = serializers.IntegerField()


class SettingsSerializer(serializers.Serializer):
    """When you want to be told."""

    quiet_from = serializers.TimeField(allow_null=True, format="%H:%M")
    quiet_until = serializers.TimeField(allow_null=True, format="%H:%M")
    weekly_summary_day = serializers.IntegerField(help_text="0 is Monday, 6 is Sunday.")
    time_zone = serializers.CharField(help_text="Of `/me`, where it can be changed.")
    email_undeliverable_since = serializers.DateTimeField(
        allow_null=True, help_text="Your address takes no e-mail: show it, and offer to prove it."
    )


class ChangedSettingsSerializer(StrictSerializer):
    """What is to be; what is not named stays. Null ends the quiet hours."""

    quiet_from = serializers.TimeField(
        allow_null=True, required=False, input_formats=["%H:%M"], help_text="HH:MM, local time"
    )
    quiet_until = serializers.TimeField(
        allow_null=True, required=False, input_formats=["%H:%M"], help_text="HH:MM, local time"
    )
    weekly_summary_day = serializers.IntegerField(required=False, min_value=0, max_value=6)


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
