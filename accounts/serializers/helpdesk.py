"""Shapes of support requests."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.helpdesk import threads
from accounts.models import SupportMessage, SupportRequest
from accounts.models.helpdesk import (
    LONGEST_COMMENT,
    LONGEST_SUBJECT,
    LONGEST_TEXT,
    SupportCategory,
)
from tracker.api import StrictSerializer

_MOST_LISTED = 20
_PERHAPS_AN_INSTANT = serializers.DateTimeField(allow_null=True)


def _said(most: int = 64) -> serializers.CharField:
    return serializers.CharField(max_length=most, required=False, allow_blank=True)


def _listed(said: str) -> serializers.ListField:
    return serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=_MOST_LISTED, required=False,
        help_text=said,
    )  # fmt: skip


class DiagnosticsSerializer(StrictSerializer):
    """What the app may tell about itself and the phone. What looks like a key is redacted."""

    app_version = _said()
    app_build = _said()
    platform = _said(16)
    os_version = _said()
    device_model = _said()
    locale = _said(35)
    time_zone = _said()
    network_type = _said(16)
    screen = _said()
    connection_state = _said(32)
    last_error_codes = _listed("Machine codes of the last errors, the newest first.")
    last_request_ids = _listed("`request_id` of the last errors, the newest first.")


class NewSupportRequestSerializer(StrictSerializer):
    """What is asked."""

    category = serializers.ChoiceField(SupportCategory.choices)
    subject = serializers.CharField(max_length=LONGEST_SUBJECT)
    text = serializers.CharField(max_length=LONGEST_TEXT, trim_whitespace=False)
    connection_id = serializers.UUIDField(
        required=False, allow_null=True, default=None, help_text="Which connection it is about."
    )
    diagnostics_consent = serializers.BooleanField(
        required=False, default=False,
        help_text="The person agreed to send diagnostics. We then add what we know of the "
        "connection at this moment.",
    )  # fmt: skip
    diagnostics = DiagnosticsSerializer(
        required=False, help_text="Refused without `diagnostics_consent`."
    )


class NewSupportMessageSerializer(StrictSerializer):
    """What is added."""

    text = serializers.CharField(max_length=LONGEST_TEXT, trim_whitespace=False)


class RatingSerializer(StrictSerializer):
    """How the help was."""

    rating = serializers.IntegerField(min_value=1, max_value=5, help_text="5 is best.")
    comment = serializers.CharField(
        max_length=LONGEST_COMMENT, required=False, allow_blank=True, default=""
    )


class SupportMessageSerializer(serializers.Serializer):
    """One message of a thread."""

    id = serializers.UUIDField()
    by = serializers.SerializerMethodField(help_text="`you` or `support`.")
    text = serializers.CharField()
    created_at = serializers.DateTimeField()

    @extend_schema_field(serializers.ChoiceField(["you", "support"]))
    def get_by(self, row: SupportMessage) -> str:
        return "you" if row.kind == SupportMessage.Kind.PERSON else "support"


class SupportRequestSerializer(serializers.ModelSerializer):
    """One request without its thread."""

    closes_at = serializers.SerializerMethodField(
        help_text="When it closes by itself if you write nothing; of answered ones."
    )
    reopens_until = serializers.SerializerMethodField(
        help_text="Until when a message opens it again; of closed ones."
    )
    category = serializers.ChoiceField(SupportCategory.choices)
    state = serializers.ChoiceField(SupportRequest.State.choices)
    closed_by = serializers.ChoiceField(SupportRequest.ClosedBy.choices, allow_blank=True)

    class Meta:
        model = SupportRequest
        fields = [
            "id", "reference", "category", "subject", "state", "connection_id", "opened_at",
            "first_answered_at", "last_message_at", "closes_at", "closed_at", "closed_by",
            "reopens_until", "rating",
        ]  # fmt: skip
        read_only_fields = fields

    @staticmethod
    def _when(value: Any) -> Any:
        return serializers.DateTimeField().to_representation(value) if value else None

    @extend_schema_field(_PERHAPS_AN_INSTANT)
    def get_closes_at(self, row: SupportRequest) -> Any:
        return self._when(threads.closes_at(row))

    @extend_schema_field(_PERHAPS_AN_INSTANT)
    def get_reopens_until(self, row: SupportRequest) -> Any:
        return self._when(threads.reopens_until(row))


class SupportThreadSerializer(SupportRequestSerializer):
    """One request with everything that was written and what was sent along."""

    messages = SupportMessageSerializer(many=True, source="thread")
    diagnostics = serializers.DictField(help_text="As it was kept.")
    snapshot = serializers.DictField(help_text="What we knew of the connection as it was opened.")

    class Meta(SupportRequestSerializer.Meta):
        fields = [
            *SupportRequestSerializer.Meta.fields, "rating_comment", "diagnostics", "snapshot",
            "messages",
        ]  # fmt: skip
        read_only_fields = fields


def thread_data(thread: threads.Thread) -> Any:
    """A request with its thread as the API gives it."""
    thread.request.thread = thread.messages  # type: ignore[attr-defined]
    return SupportThreadSerializer(thread.request).data
