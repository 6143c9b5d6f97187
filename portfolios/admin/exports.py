"""Files that people had made of their data, without what is in them."""

from django.contrib import admin

from portfolios.models import ExportState, FileExport
from tracker.admin import ReadOnlyAdmin, one_of


@admin.register(FileExport)
class FileExportAdmin(ReadOnlyAdmin):
    """How far files are, and why some failed."""

    list_display = (
        "requested_at", "user", "contents", "format", "state", "error", "rows_done", "rows_total",
        "bytes", "attempts", "leased_until", "ready_at", "expires_at",
    )  # fmt: skip
    list_filter = (one_of("state", ExportState),)
    list_select_related = ("user",)
    ordering = ("-pk",)
    search_fields = ("user__email", "=error")
    search_help_text = "E-mail, error code or id"
