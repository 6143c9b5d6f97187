"""Strategies, what they watch and say, and backtests, as support sees them."""

from django.contrib import admin

from portfolios.models import (
    Backtest,
    BacktestKind,
    BacktestState,
    Strategy,
    StrategySignal,
    StrategyWatch,
)
from portfolios.strategies import catalogue, running
from tracker.admin import ReadOnlyAdmin, one_of


@admin.register(Strategy)
class StrategyAdmin(ReadOnlyAdmin):
    """Ways to trade that people keep."""

    list_display = ("user", "name", "kind", "created_at", "updated_at")
    list_filter = (one_of("kind", [*catalogue.CATALOGUE, running.CUSTOM]),)
    list_select_related = ("user",)
    ordering = ("-id",)
    search_fields = ("user__email",)
    search_help_text = "E-mail of the person or id"
    unlisted = ("parameters", "rules")


@admin.register(StrategyWatch)
class StrategyWatchAdmin(ReadOnlyAdmin):
    """What watches: when it judged last, and what keeps it from judging."""

    list_display = ("user", "strategy", "interval", "judged_through", "next_check_at", "error")
    list_select_related = ("user", "strategy")
    ordering = ("-id",)
    search_fields = ("user__email",)
    search_help_text = "E-mail of the person or id"
    unlisted = ("assets", "wanted")


@admin.register(StrategySignal)
class StrategySignalAdmin(ReadOnlyAdmin):
    """What watching strategies said."""

    list_display = (
        "at", "user", "strategy", "asset", "interval", "action", "share_before", "share_wanted",
        "price",
    )  # fmt: skip
    list_filter = (one_of("action", StrategySignal.Action.values),)
    list_select_related = ("user", "strategy", "asset")
    ordering = ("-id",)
    search_fields = ("user__email",)
    search_help_text = "E-mail of the person or id"


@admin.register(Backtest)
class BacktestAdmin(ReadOnlyAdmin):
    """Where each backtest is, and what stopped it."""

    list_display = (
        "created_at", "user", "strategy_name", "kind", "state", "interval", "since", "until",
        "attempts", "error", "finished_at",
    )  # fmt: skip
    list_filter = (
        one_of("state", BacktestState.values), one_of("kind", BacktestKind.values),
    )  # fmt: skip
    list_select_related = ("user",)
    ordering = ("-id",)
    search_fields = ("user__email",)
    search_help_text = "E-mail of the person or id"
    unlisted = ("definition", "options", "assets", "result", "details")
