"""Exchanges, coins, prices and connections, for support. Keys are nowhere on these pages.

The pages of connections and of the quarantine are finished and registered in `portfolios`, which
knows syncs and replays.
"""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from exchanges import quarantine
from exchanges.models import (
    Asset,
    Coverage,
    Exchange,
    ExchangeConnection,
    Price,
    PriceNeed,
    QuarantinedPage,
)
from exchanges.reports import Form
from tracker.admin import FactAdmin, Panel, ReadOnlyAdmin, one_of


@admin.register(Exchange)
class ExchangeAdmin(ReadOnlyAdmin):
    """The catalogue, as the release wrote it."""

    list_display = ("name", "id", "is_available", "ccxt_version", "updated_at")
    list_filter = ("is_available",)
    ordering = ("name", "id")
    search_fields = ("id", "name")
    linked_by = "exchange"


@admin.register(Asset)
class AssetAdmin(ReadOnlyAdmin):
    """Coins and currencies."""

    list_display = ("code", "slug", "name", "created_at")
    ordering = ("code", "id")
    search_fields = ("code", "slug", "name")
    search_help_text = "Code, name or id"
    linked_by = "asset"

    def panels(self, request: HttpRequest, found: Any) -> list[Panel]:
        return self.panel(request, Price, found)


@admin.register(Price)
class PriceAdmin(ReadOnlyAdmin):
    """The latest known prices."""

    list_display = ("asset", "usd", "usd_24h_ago", "source", "as_of", "fetched_at")
    list_select_related = ("asset",)
    ordering = ("asset__code", "asset_id")
    search_fields = ("asset__code", "asset__name")
    search_help_text = "Code or name of the asset"


@admin.register(PriceNeed)
class PriceNeedAdmin(ReadOnlyAdmin):
    """Past prices that figures and charts want: which are still to come, and what keeps them."""

    list_display = (
        "asset", "kind", "interval", "since", "until", "state", "attempts", "next_try_at", "error",
    )  # fmt: skip
    list_filter = ("state", "kind", "interval")
    list_select_related = ("asset",)
    ordering = ("-id",)
    search_fields = ("asset__code", "=error")
    search_help_text = "Code of the asset or error"


class ConnectionAdmin(ReadOnlyAdmin):
    """How an account at an exchange is doing, and why."""

    list_display = (
        "user", "exchange", "label", "state", "reason", "failures", "last_synced_at",
        "last_complete_at", "next_sync_at",
    )  # fmt: skip
    list_display_links = ("exchange", "label")
    # only exchanges that somebody connected: the catalogue has eighty
    list_filter = ("state", ("exchange", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("user", "exchange")
    ordering = ("-id",)
    search_fields = ("user__email", "label", "=exchange", "=reason")
    search_help_text = "E-mail, label, exchange, reason or id"
    linked_by = "connection"

    def panels(self, request: HttpRequest, found: ExchangeConnection) -> list[Panel]:
        return [
            *self.panel(request, Coverage, found),
            *self.panel(request, QuarantinedPage, found),
        ]


@admin.register(Coverage)
class CoverageAdmin(FactAdmin):
    """What was read to its end, feed by feed."""

    list_display = ("user", "connection", "feed", "scope", "since", "until")
    search_fields = ("user__email", "connection__label", "=feed", "=scope")
    search_help_text = "E-mail, label of the connection, feed, scope or id"


class QuarantinedPageAdmin(FactAdmin):
    """What could not be read: that it happened and why, never what it said."""

    list_display = (
        "user", "connection", "feed", "scope", "reason", "form", "is_whole", "ccxt_version",
        "created_at",
    )  # fmt: skip
    list_filter = ("is_whole", one_of("form", Form))
    search_fields = ("user__email", "connection__label", "=feed", "=reason")
    search_help_text = "E-mail, label of the connection, feed, reason or id"

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [*super().get_list_display(request), "fate"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [*super().get_fields(request, obj), "fate"]

    @admin.display(description="What becomes of it")
    def fate(self, row: QuarantinedPage) -> str:
        return quarantine.FATES[Form(row.form)] if row.is_whole else quarantine.TOO_LARGE
