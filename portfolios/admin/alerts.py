"""Price alerts, for support: what people wait for, and what they were told."""

from django.contrib import admin

from portfolios.models import AlertFiring, AlertKind, AlertState, PriceAlert
from tracker.admin import FactAdmin, one_of


@admin.register(PriceAlert)
class PriceAlertAdmin(FactAdmin):
    """What people want to be told of."""

    list_display = (
        "created_at", "user", "kind", "asset", "threshold", "currency", "direction", "window",
        "repeats", "state", "armed", "told_count", "told_at",
    )  # fmt: skip
    list_filter = (one_of("kind", AlertKind.values), one_of("state", AlertState.values))
    list_select_related = ("user", "asset")
    ordering_of_person = ("-created_at", "-id")
    search_fields = ("user__email", "asset__code")
    search_help_text = "E-mail, asset or id"


@admin.register(AlertFiring)
class AlertFiringAdmin(FactAdmin):
    """When alerts came true, and at which figure."""

    list_display = ("at", "user", "alert", "value")
    list_select_related = ("user", "alert")
    ordering_of_person = ("-alert_id", "-at")
    search_fields = ("user__email",)
    search_help_text = "E-mail, or id of the firing or its alert"
