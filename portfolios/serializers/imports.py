"""Shapes of files of entries: what is sent, and what is said of them."""

import json
import zoneinfo
from typing import Any

from rest_framework import serializers
from rest_framework.fields import empty

from portfolios.importing.formats import registry
from portfolios.models import ImportState
from tracker.api import StrictSerializer

FORMATS = sorted(registry.FORMATS)


class _TimeZoneField(serializers.CharField):
    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("help_text", "For times without a zone, such as Europe/Vienna.")
        super().__init__(max_length=64, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        if name not in zoneinfo.available_timezones():
            raise serializers.ValidationError("Use a time zone such as Europe/Vienna.", "invalid")
        return name


class MappingField(serializers.DictField):
    """Our column by the file's; in a form it is sent as JSON."""

    child = serializers.CharField(max_length=100, allow_blank=True)

    def get_value(self, dictionary: Any) -> Any:
        if not hasattr(dictionary, "getlist"):
            return super().get_value(dictionary)
        return dictionary.get(self.field_name, empty)

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if isinstance(data, str):
            try:
                data = json.loads(data or "{}")
            except (ValueError, RecursionError):
                raise serializers.ValidationError("This is not valid JSON.") from None
        if isinstance(data, dict) and len(data) > 200:
            raise serializers.ValidationError("No file has so many columns.")
        return super().to_internal_value(data)


class NewImportSerializer(StrictSerializer):
    """A file of entries for one account."""

    file = serializers.FileField(allow_empty_file=True, max_length=1000)
    connection = serializers.UUIDField(help_text="The account: one by hand, or at an exchange.")
    format = serializers.ChoiceField(
        FORMATS, required=False, default="", allow_blank=True, help_text="Told by the file."
    )
    time_zone = _TimeZoneField(default="UTC")
    mapping = MappingField(required=False, help_text="Our column by the file's, as JSON.")


class ImportChangeSerializer(StrictSerializer):
    """How a file that waits is to be read; what is not named stays."""

    format = serializers.ChoiceField(FORMATS, required=False)
    time_zone = _TimeZoneField(required=False)
    mapping = MappingField(
        required=False, help_text="Our column by the file's; an empty text ignores a column."
    )


class ImportIssueSerializer(serializers.Serializer):
    """Lines that are not booked, and why."""

    outcome = serializers.ChoiceField(["skipped", "refused"])
    code = serializers.CharField()
    message = serializers.CharField()
    count = serializers.IntegerField()
    lines = serializers.ListField(
        child=serializers.IntegerField(), help_text="The first thousand line numbers."
    )


class ImportSampleSerializer(serializers.Serializer):
    """An entry as it would be booked, and the lines that it was read from."""

    lines = serializers.ListField(child=serializers.IntegerField())
    entry = serializers.DictField()


class ImportSummarySerializer(serializers.Serializer):
    """A file of entries. While it waits the counts say what booking it would do."""

    id = serializers.UUIDField()
    connection = serializers.UUIDField()
    format = serializers.ChoiceField(FORMATS)
    file_name = serializers.CharField()
    time_zone = serializers.CharField()
    mapping = serializers.DictField(child=serializers.CharField())
    state = serializers.ChoiceField(ImportState.choices)
    rows_total = serializers.IntegerField()
    rows_booked = serializers.IntegerField()
    rows_known = serializers.IntegerField(help_text="Already here.")
    rows_skipped = serializers.IntegerField(help_text="Understood, nothing to book.")
    rows_refused = serializers.IntegerField(help_text="Not understood.")
    issues = ImportIssueSerializer(many=True)
    error = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class ImportSerializer(ImportSummarySerializer):
    """A file with its columns and, while it waits, its first entries."""

    columns = serializers.ListField(child=serializers.CharField())
    our_columns = serializers.ListField(child=serializers.CharField())
    missing_columns = serializers.ListField(child=serializers.CharField())
    sample = ImportSampleSerializer(many=True)
