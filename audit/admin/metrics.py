"""User metrics in the admin: the rows, and what they say together as charts."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path

from audit import figures
from audit.models import UserMetric
from tracker import charts, clock
from tracker.admin import ReadOnlyAdmin

DAYS, WEEKS = 60, 10


@admin.register(UserMetric)
class UserMetricAdmin(ReadOnlyAdmin):
    """One row per person and day."""

    list_display = ("date", "user", "daily_active", "session_duration", "rolled_up_at")
    list_filter = ("daily_active",)
    list_select_related = ("user",)
    ordering = ("-id",)
    search_fields = ("user__email",)
    search_help_text = "E-mail of the person"
    unlisted = ("features_used",)
    change_list_template = "admin/audit/metrics_list.html"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.charts)
        return [path("charts/", view, name="audit_usermetric_charts"), *super().get_urls()]

    def charts(self, request: HttpRequest) -> HttpResponse:
        """Active people, retention and use of features."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = self.admin_site.each_context(request) | _shown() | {
            "title": "User metrics", "opts": self.opts,
        }  # fmt: skip
        return TemplateResponse(request, "admin/audit/metrics_charts.html", context)


def _shown() -> dict[str, Any]:
    today = clock.now().date()
    first = today - timedelta(days=DAYS - 1)
    labels = [f"{first + timedelta(days=n):%-d %b}" for n in range(DAYS)]
    used = figures.features(today, days=30)
    return {
        "active": _active(figures.active_people(first, today), labels),
        "weeks": list(range(WEEKS)),
        "cohorts": [_row(cohort) for cohort in figures.cohorts(today, weeks=WEEKS)],
        "features": charts.bars(
            ((name, people, f"{times:,}") for name, people, times in used),
            key="features", title="People who used each feature",
        ),
        "days": DAYS,
    }  # fmt: skip


def _active(people: dict[str, list[int]], labels: list[str]) -> charts.LineChart:
    today = " ".join(
        f"{name.capitalize()} active people today: {counts[-1]}." for name, counts in people.items()
    )
    return charts.line_chart(
        people, labels, key="active", title="Daily, weekly and monthly active people",
        sentence=f"{today} All numbers are in the table below.",
    )  # fmt: skip


def _row(cohort: figures.Cohort) -> dict[str, Any]:
    shares = [active / cohort.people for active in cohort.active]
    cells = [
        {"text": f"{share:.0%}", "people": active, "level": charts.level(share)}
        for share, active in zip(shares, cohort.active, strict=True)
    ]
    return {"week": cohort.week, "people": cohort.people, "cells": cells}
