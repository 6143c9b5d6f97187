"""What people booked by hand and by file, and the prices they set."""

from django.contrib import admin

from portfolios.models import Adjustment, FileImport, ImportState, ManualPrice
from tracker.admin import FactAdmin, one_of


@admin.register(Adjustment)
class AdjustmentAdmin(FactAdmin):
    """Units that no exchange reported."""

    list_display = (
        "occurred_at", "user", "connection", "reason", "quantity", "asset", "cost_quantity",
        "cost_asset", "note",
    )  # fmt: skip
    list_filter = ("reason",)
    list_select_related = ("user", "connection", "asset", "cost_asset")
    ordering_of_person = ("-occurred_at", "-id")
    search_fields = ("user__email", "connection__label", "asset__code")
    search_help_text = "E-mail, label of the connection, asset or id"


@admin.register(FileImport)
class FileImportAdmin(FactAdmin):
    """Files of entries, without what stands in them."""

    list_display = (
        "created_at", "user", "connection", "format", "file_name", "state", "error", "rows_total",
        "rows_booked", "rows_known", "rows_skipped", "rows_refused", "finished_at",
    )  # fmt: skip
    list_filter = (one_of("state", ImportState),)
    ordering_of_person = ("-created_at", "-id")
    search_fields = ("user__email", "connection__label", "=error")
    search_help_text = "E-mail, label of the connection, error code or id"
    unlisted = ("issues", "mapping")


@admin.register(ManualPrice)
class ManualPriceAdmin(FactAdmin):
    """Prices that people set themselves."""

    list_display = ("day", "user", "asset", "price", "currency", "created_at")
    list_select_related = ("user", "asset")
    search_fields = ("user__email", "asset__code")
    search_help_text = "E-mail, asset or id"
