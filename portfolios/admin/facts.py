"""What people own and how it got here, for support: facts, ledger, holdings, snapshots, syncs."""

import math

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from audit.models import ActivityLog
from exchanges.models import ExchangeConnection
from exchanges.reports import Wallet
from portfolios.admin.doctor import DoctorAdmin
from portfolios.models import (
    Holding,
    HoldingChange,
    LedgerEntry,
    PortfolioSnapshot,
    Reward,
    SyncRun,
    Trade,
    Transfer,
)
from portfolios.sync import support
from tracker import clock
from tracker.admin import FactAdmin, Panel, one_of, staff_id

_TRIGGERS = ("first", "schedule", "manual", "repair", "staff")


@admin.register(ExchangeConnection)
class ConnectionAdmin(DoctorAdmin):
    """A connection with its syncs and holdings, and what support does about it."""

    actions = ("sync_now", "pause", "resume")

    def panels(self, request: HttpRequest, found: ExchangeConnection) -> list[Panel]:
        acts = {"user__id__exact": found.user_id, "details__connection_id": str(found.id)}
        return [
            *self.panel(request, SyncRun, found),
            *self.panel(request, ActivityLog, found, by=acts),
            *self.panel(request, Holding, found),
            *super().panels(request, found),
        ]

    @admin.action(permissions=["act"], description="Sync now")
    def sync_now(self, request: HttpRequest, queryset: QuerySet[ExchangeConnection]) -> None:
        keys = self.chosen(request, queryset)
        outcome = support.sync_now(connection_ids=keys, actor_id=staff_id(request), now=clock.now())
        self.tell(request, "Syncs queued", done=outcome.done, skipped=outcome.skipped)

    @admin.action(permissions=["act"], description="Pause")
    def pause(self, request: HttpRequest, queryset: QuerySet[ExchangeConnection]) -> None:
        keys = self.chosen(request, queryset)
        outcome = support.pause(connection_ids=keys, actor_id=staff_id(request))
        self.tell(request, "Paused", done=outcome.done, skipped=outcome.skipped)

    @admin.action(permissions=["act"], description="Resume")
    def resume(self, request: HttpRequest, queryset: QuerySet[ExchangeConnection]) -> None:
        keys = self.chosen(request, queryset)
        outcome = support.resume(connection_ids=keys, actor_id=staff_id(request), now=clock.now())
        self.tell(request, "Resumed", done=outcome.done, skipped=outcome.skipped)


@admin.register(Trade)
class TradeAdmin(FactAdmin):
    """Fills, conversions and dust sweeps as reported."""

    list_display = (
        "occurred_at", "user", "connection", "kind", "side", "symbol", "base_quantity", "price",
        "quote_quantity", "fee_quantity", "fee_asset", "exchange_id",
    )  # fmt: skip
    list_filter = ("kind", "side")
    list_select_related = ("user", "connection", "fee_asset")
    ordering_of_person = ("-occurred_at", "-id")
    search_fields = (
        "user__email", "=exchange_id", "connection__label", "base_asset__code", "quote_asset__code",
    )  # fmt: skip
    search_help_text = "E-mail, the exchange's trade id, label of the connection, asset or id"


@admin.register(Transfer)
class TransferAdmin(FactAdmin):
    """Deposits, withdrawals and moves as reported."""

    list_display = (
        "occurred_at", "user", "connection", "direction", "quantity", "asset", "is_settled",
        "wallet", "network", "exchange_id",
    )  # fmt: skip
    list_filter = ("direction", "is_settled")
    list_select_related = ("user", "connection", "asset")
    ordering_of_person = ("-occurred_at", "-id")
    search_fields = ("user__email", "=exchange_id", "=txid", "connection__label", "asset__code")
    search_help_text = "E-mail, exchange's or chain's id, label of the connection, asset or id"


@admin.register(Reward)
class RewardAdmin(FactAdmin):
    """Interest, staking, airdrops as reported."""

    list_display = (
        "occurred_at", "user", "connection", "kind", "quantity", "asset", "wallet", "exchange_id",
    )  # fmt: skip
    list_select_related = ("user", "connection", "asset")
    search_fields = ("user__email", "=exchange_id", "connection__label", "asset__code")
    search_help_text = "E-mail, the exchange's id, label of the connection, asset or id"


@admin.register(LedgerEntry)
class LedgerEntryAdmin(FactAdmin):
    """The signed legs that every figure is computed from."""

    list_display = ("occurred_at", "user", "connection", "kind", "quantity", "asset", "wallet")
    list_filter = ("kind",)
    list_select_related = ("user", "connection", "asset")
    ordering_of_person = ("-occurred_at", "-id")
    search_fields = ("user__email", "connection__label", "asset__code")
    search_help_text = "E-mail, label of the connection, asset, id of the entry or of its fact"


@admin.register(Holding)
class HoldingAdmin(FactAdmin):
    """Units now, as the exchanges report them."""

    list_display = (
        "user", "connection", "wallet", "exchange_code", "asset", "quantity", "changed_at",
        "last_confirmed_at",
    )  # fmt: skip
    list_filter = (one_of("wallet", Wallet),)
    list_select_related = ("user", "connection", "asset")
    search_fields = ("user__email", "connection__label", "asset__code", "=exchange_code")
    search_help_text = "E-mail, label of the connection, asset or id"


@admin.register(HoldingChange)
class HoldingChangeAdmin(FactAdmin):
    """Since when an exchange says so."""

    list_display = (
        "reported_at", "user", "connection", "wallet", "exchange_code", "previous", "quantity",
    )  # fmt: skip
    list_filter = (one_of("wallet", Wallet),)
    search_fields = ("user__email", "connection__label", "asset__code", "=exchange_code")
    search_help_text = "E-mail, label of the connection, asset or id"


@admin.register(SyncRun)
class SyncRunAdmin(FactAdmin):
    """Visits to connections and what came of them."""

    list_display = (
        "requested_at", "user", "connection", "trigger", "state", "progress", "error",
        "new_trades", "new_transfers", "new_rewards", "quarantined", "finished_at",
    )  # fmt: skip
    list_filter = ("state", one_of("trigger", _TRIGGERS))
    hidden = ("timeline",)  # the doctor shows it
    search_fields = ("user__email", "connection__label", "=error")
    search_help_text = "E-mail, label of the connection, error code or id"

    @admin.display(description="progress")
    def progress(self, run: SyncRun) -> str:
        """How far an open run is, with what is left in calls and minutes."""
        if run.calls_left is None:
            return f"{run.calls_done} calls" if run.calls_done else "–"
        minutes = math.ceil((run.seconds_left or 0) / 60)
        return (
            f"{run.phase}: {run.calls_done} of {run.calls_done + run.calls_left} calls, "
            f"about {minutes} min left"
        )


@admin.register(PortfolioSnapshot)
class SnapshotAdmin(FactAdmin):
    """Portfolios as they were shown."""

    list_display = ("taken_at", "user", "total_value", "currency", "status")
    list_filter = ("status",)
    list_select_related = ("user",)
    ordering = ("-taken_at", "-id")
    ordering_of_person = ("-taken_at", "-id")
    search_fields = ("user__email",)
    search_help_text = "E-mail or id"
    unlisted = ("snapshot_data",)
