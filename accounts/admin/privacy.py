"""What people agreed to, and the copies of their data that they asked for; for reading."""

from django.contrib import admin

from accounts.models import Consent, DataExport
from tracker.admin import ReadOnlyAdmin, one_of


@admin.register(Consent)
class ConsentAdmin(ReadOnlyAdmin):
    """Agreements; rows are only ever added."""

    list_display = ("user", "document", "version", "agreed_at", "ip_address")
    list_filter = (one_of("document", Consent.Document.values),)
    list_select_related = ("user",)
    ordering = ("-id",)
    search_fields = ("user__email", "=version")
    search_help_text = "E-mail of the person, version"


@admin.register(DataExport)
class DataExportAdmin(ReadOnlyAdmin):
    """Copies: how far each one is, and what stopped it. The file itself is the person's."""

    list_display = (
        "user", "state", "requested_at", "ready_at", "expires_at", "attempts", "error",
    )  # fmt: skip
    list_filter = (one_of("state", DataExport.State.values),)
    list_select_related = ("user",)
    ordering = ("-id",)
    search_fields = ("user__email",)
    search_help_text = "E-mail of the person or id"
    hidden = ("file_name",)
