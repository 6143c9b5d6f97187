"""What exchanges sent and we could not read: counted, and read again after an upgrade."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path

from exchanges import admin as exchanges_admin
from exchanges import drift
from exchanges.models import QuarantinedPage
from portfolios.sync import support
from tracker import charts
from tracker.admin import staff_id

SHOWN = 200  # kinds of trouble


@admin.register(QuarantinedPage)
class QuarantinedPageAdmin(exchanges_admin.QuarantinedPageAdmin):
    """The list, its counts, and the replay of chosen rows."""

    actions = ("replay",)
    change_list_template = "admin/exchanges/quarantine_list.html"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.counts)
        return [path("counts/", view, name="exchanges_quarantinedpage_counts"), *super().get_urls()]

    def counts(self, request: HttpRequest) -> HttpResponse:
        """How much waits, by exchange, feed, reason and release, and how many accounts it is."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = drift.counts()
        bars = charts.bars(
            ((f"{row.exchange} {row.feed}", row.accounts, "") for row in found[:SHOWN]),
            key="quarantine", title="Accounts that each kind of trouble strikes",
        )  # fmt: skip
        context = self.admin_site.each_context(request) | {
            "title": "What could not be read", "opts": self.opts,
            "rows": found[:SHOWN], "bars": bars, "kinds": len(found), "shown": SHOWN,
            "total": sum(row.rows for row in found),
        }  # fmt: skip
        return TemplateResponse(request, "admin/exchanges/quarantine_counts.html", context)

    @admin.action(permissions=["act"], description="Replay with today's release")
    def replay(self, request: HttpRequest, queryset: QuerySet[QuarantinedPage]) -> None:
        keys = self.chosen(request, queryset)
        outcome = support.replay_pages(page_ids=keys, actor_id=staff_id(request))
        self.tell(request, "Replays queued", done=outcome.done, skipped=outcome.skipped)
