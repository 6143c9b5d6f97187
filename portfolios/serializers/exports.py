"""Shapes of files of data: what is asked for, and how far it is."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from portfolios.exporting.archive import Format
from portfolios.exporting.tables import Content
from portfolios.models import ExportState
from tracker.api import StrictSerializer

_CONTENTS = [content.value for content in Content]
_FORMATS = [item.value for item in Format]


class _InstantField(serializers.DateTimeField):
    """An instant that says its zone: a guess would move the edge of the range by hours."""

    def enforce_timezone(self, value: datetime) -> Any:
        if timezone.is_naive(value):
            text = "Give the instant with its zone, such as 2026-01-01T00:00:00Z."
            raise serializers.ValidationError(text, "without_zone")
        return super().enforce_timezone(value)


class NewFileExportSerializer(StrictSerializer):
    """What a file is to hold. The range has its beginning, not its end."""

    contents = serializers.ListField(
        child=serializers.ChoiceField(_CONTENTS), min_length=1, max_length=len(_CONTENTS),
        help_text="What the file holds; a table each, gains and backtests two.",
    )  # fmt: skip
    format = serializers.ChoiceField(_FORMATS)
    since = _InstantField(required=False, allow_null=True, default=None)
    until = _InstantField(required=False, allow_null=True, default=None)


class FileExportSerializer(serializers.Serializer):
    """A file of data: how far it is, where it is when it is ready, why it is not when it failed."""

    id = serializers.UUIDField()
    contents = serializers.ListField(child=serializers.ChoiceField(_CONTENTS))
    format = serializers.ChoiceField(_FORMATS)
    since = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True)
    state = serializers.ChoiceField(ExportState.choices)
    rows_done = serializers.IntegerField()
    rows_total = serializers.IntegerField(help_text="0 until they are counted.")
    requested_at = serializers.DateTimeField()
    ready_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True, help_text="The file is removed then.")
    file_name = serializers.CharField(allow_blank=True)
    bytes = serializers.IntegerField(allow_null=True)
    sha256 = serializers.CharField(allow_blank=True)
    url = serializers.URLField(
        allow_null=True, help_text="Of the zip, once it is ready; needs no token. Keep it secret."
    )
    url_expires_at = serializers.DateTimeField(
        allow_null=True, help_text="Ask again for another address after this."
    )
    error = serializers.CharField(allow_blank=True, help_text="Stable code of what failed.")
    message = serializers.CharField(allow_blank=True, help_text="The same as a sentence.")
