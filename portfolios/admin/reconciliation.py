"""Where reports and books differ, over all accounts, and what people decided about transfers."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, F
from django.db.models.functions import TruncDate
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path

from exchanges.models import ConnectionKind, ExchangeConnection
from exchanges.reports import Wallet
from portfolios.models import Discrepancy, ProblemDismissal, TransferMatch, TransferNote
from tracker import charts, clock
from tracker.admin import FactAdmin, one_of

DAYS = 60
_LONGEST = 12  # rows of a table of bars


@admin.register(Discrepancy)
class DiscrepancyAdmin(FactAdmin):
    """Reported units less booked ones, with the likeliest cause on the page of each."""

    list_display = (
        "appeared_at", "user", "connection", "wallet", "asset", "difference", "reported", "ledger",
        "agreed_at",
    )  # fmt: skip
    list_filter = (one_of("wallet", Wallet),)
    list_select_related = ("user", "connection", "asset")
    ordering = ("-appeared_at",)
    search_fields = ("user__email", "connection__label", "asset__code")
    search_help_text = "E-mail, label of the connection, asset or id"
    unlisted = ("causes",)
    change_list_template = "admin/portfolios/discrepancy_list.html"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.charts)
        return [path("charts/", view, name="portfolios_discrepancy_charts"), *super().get_urls()]

    def charts(self, request: HttpRequest) -> HttpResponse:
        """How many accounts differ, since when, why, and at which exchanges."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = self.admin_site.each_context(request) | shown(clock.now()) | {
            "title": "Reconciliation", "opts": self.opts,
        }  # fmt: skip
        return TemplateResponse(request, "admin/portfolios/discrepancy_charts.html", context)


def shown(now: datetime) -> dict[str, Any]:
    """What the page draws. Call inside ``as_system``."""
    rows = Discrepancy.objects.order_by()
    return {
        "days": DAYS,
        "appeared": _appeared(now),
        "tables": [
            ("Likeliest causes", _bars("causes__0__code", "Cause"), "Cause"),
            ("Exchanges", _bars("connection__exchange_id", "Exchange"), "Exchange"),
            ("Assets", _bars("asset__code", "Asset"), "Asset"),
        ],
        "accounts": rows.values("connection_id").distinct().count(),
        "all_accounts": ExchangeConnection.objects.filter(kind=ConnectionKind.EXCHANGE).count(),
        "differences": rows.count(),
    }


def _appeared(now: datetime) -> charts.LineChart:
    first = now.astimezone(UTC).date() - timedelta(days=DAYS - 1)
    days = [first + timedelta(days=number) for number in range(DAYS)]
    since = datetime(first.year, first.month, first.day, tzinfo=UTC)
    found = dict(
        Discrepancy.objects.filter(appeared_at__gte=since)
        .order_by()
        .values_list(TruncDate("appeared_at", tzinfo=UTC))
        .annotate(Count("id"))
    )
    counts = [found.get(day, 0) for day in days]
    return charts.line_chart(
        {"appeared": counts}, [f"{day:%-d %b}" for day in days], key="appeared",
        title="Differences by the day they appeared",
        sentence=f"Appeared today: {counts[-1]}. All numbers are in the table below.",
    )  # fmt: skip


def _bars(column: str, what: str) -> charts.Bars:
    rows = (
        Discrepancy.objects.order_by()
        .values_list(F(column))
        .annotate(found=Count("id"), accounts=Count("connection_id", distinct=True))
        .order_by("-found", column)[:_LONGEST]
    )
    return charts.bars(
        ((str(name or "-"), found, f"{accounts:,}") for name, found, accounts in rows),
        key=what.lower(), title=f"Differences by {what.lower()}",
    )  # fmt: skip


@admin.register(TransferMatch)
class TransferMatchAdmin(FactAdmin):
    """Withdrawals and deposits that are one move, or were taken apart."""

    list_display = ("created_at", "user", "origin", "is_pair", "confirmed_at", "evidence")
    list_filter = ("origin", "is_pair")
    list_select_related = ("user",)
    search_fields = ("user__email",)
    search_help_text = "E-mail, id of the pair or of one of its transfers"


@admin.register(TransferNote)
class TransferNoteAdmin(FactAdmin):
    """What people said that transfers were."""

    list_display = (
        "created_at", "user", "meaning", "cost_quantity", "cost_asset", "acquired_at", "note",
    )  # fmt: skip
    list_filter = ("meaning",)
    list_select_related = ("user", "cost_asset")
    search_fields = ("user__email",)
    search_help_text = "E-mail, id of the note or of its transfer"


@admin.register(ProblemDismissal)
class ProblemDismissalAdmin(FactAdmin):
    """Problems that people put aside."""

    list_display = ("dismissed_at", "user", "problem")
    list_select_related = ("user",)
    search_fields = ("user__email",)
    search_help_text = "E-mail or id"
