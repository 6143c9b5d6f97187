"""What is computed from the ledger, for support: lots, gains, income, daily valuations."""

from django.contrib import admin

from portfolios.models import (
    AssetBasis,
    Basis,
    DailyValuation,
    Disposal,
    DisposalKind,
    Income,
    Lot,
    PortfolioState,
    Scope,
    Term,
)
from tracker.admin import FactAdmin, ReadOnlyAdmin, one_of


@admin.register(PortfolioState)
class PortfolioStateAdmin(ReadOnlyAdmin):
    """How far each person's figures are computed."""

    list_display = (
        "user", "ledger_revision", "derived_revision", "derived_at", "derive_lease_until",
        "revalue_from", "valued_through", "waits_for_prices",
    )  # fmt: skip
    list_select_related = ("user",)
    ordering = ("-pk",)
    search_fields = ("user__email",)
    search_help_text = "E-mail or id"


@admin.register(AssetBasis)
class AssetBasisAdmin(FactAdmin):
    """From when on an asset's lots must be computed anew."""

    list_display = ("user", "asset", "dirty_from", "derived_through")
    list_select_related = ("user", "asset")
    search_fields = ("user__email", "asset__code")
    search_help_text = "E-mail, asset or id"


@admin.register(Lot)
class LotAdmin(FactAdmin):
    """Acquisitions, what they cost, and what is left of them."""

    list_display = (
        "acquired_at", "user", "connection", "kind", "asset", "quantity", "cost", "remaining",
        "remaining_cost", "basis", "price_source",
    )  # fmt: skip
    list_filter = (one_of("basis", Basis),)
    list_select_related = ("user", "connection", "asset")
    ordering_of_person = ("-asset", "-position")
    search_fields = ("user__email", "connection__label", "asset__code")
    search_help_text = "E-mail, label of the connection, asset, id of the lot or of its entry"


@admin.register(Disposal)
class DisposalAdmin(FactAdmin):
    """Parts of lots given up, and what was gained by them."""

    list_display = (
        "disposed_at", "user", "connection", "kind", "asset", "quantity", "cost", "proceeds",
        "gain", "held_days", "term", "basis", "price_source",
    )  # fmt: skip
    list_filter = (one_of("kind", DisposalKind), one_of("term", Term), one_of("basis", Basis))
    list_select_related = ("user", "connection", "asset")
    ordering_of_person = ("-disposed_at", "-position")
    search_fields = ("user__email", "connection__label", "asset__code")
    search_help_text = "E-mail, label of the connection, asset, id of the piece, lot or entry"


@admin.register(Income)
class IncomeAdmin(FactAdmin):
    """Rewards, interest and airdrops at what they were worth."""

    list_display = (
        "received_at", "user", "connection", "kind", "asset", "quantity", "value", "price_source",
    )  # fmt: skip
    list_select_related = ("user", "connection", "asset")
    ordering_of_person = ("-received_at", "-id")
    search_fields = ("user__email", "connection__label", "asset__code")
    search_help_text = "E-mail, label of the connection, asset, id of the row or its entry"


@admin.register(DailyValuation)
class DailyValuationAdmin(FactAdmin):
    """What a portfolio, a connection or an asset was worth at a day's end."""

    list_display = (
        "day", "user", "scope", "value", "cost", "deposits", "withdrawals", "income", "fees",
        "realized", "unpriced", "is_partial", "restated_at",
    )  # fmt: skip
    list_filter = (one_of("scope", Scope),)
    list_select_related = ("user",)
    ordering_of_person = ("-scope_id", "-day")
    search_fields = ("user__email",)
    search_help_text = "E-mail, or id of the user, connection or asset"
