"""Shapes of exports, closing and consents."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import DataExport
from tracker.api import StrictSerializer


class NothingSerializer(StrictSerializer):
    """A body without fields."""


class DataExportSerializer(serializers.ModelSerializer):
    """One copy of a person's data."""

    progress = serializers.SerializerMethodField(help_text="Percent of the rows that are written.")
    download = serializers.SerializerMethodField(help_text="Path of the file once it is ready.")

    class Meta:
        model = DataExport
        fields = [
            "id", "state", "progress", "bytes", "requested_at", "ready_at", "expires_at",
            "download",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.IntegerField())
    def get_progress(self, row: DataExport) -> int:
        if row.state in (DataExport.State.READY, DataExport.State.EXPIRED):
            return 100
        return min(99, row.rows_done * 100 // max(1, row.rows_total))

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_download(self, row: DataExport) -> str | None:
        ready = row.state == DataExport.State.READY
        return f"/api/v1/me/export/{row.id}/download" if ready else None


class ClosingSerializer(serializers.Serializer):
    """When everything will be deleted, and what backups hold after that."""

    closes_at = serializers.DateTimeField(help_text="Signing in before this cancels it.")
    backups = serializers.CharField()


class StandingSerializer(serializers.Serializer):
    """One document and what the person agreed to."""

    document = serializers.CharField()
    version = serializers.CharField(help_text="The version in force.")
    agreed_version = serializers.CharField(allow_null=True)
    agreed_at = serializers.DateTimeField(allow_null=True)
    due = serializers.BooleanField(help_text="Whether the person is to be asked.")
    url = serializers.CharField(help_text="Where it can be read.")


class AgreementSerializer(StrictSerializer):
    """Versions that the person agrees to; at least one."""

    terms = serializers.CharField(max_length=32, required=False)
    privacy = serializers.CharField(max_length=32, required=False)

    def validate(self, attrs: Any) -> Any:
        if not attrs:
            raise serializers.ValidationError("Name at least one document.", code="required")
        return attrs
