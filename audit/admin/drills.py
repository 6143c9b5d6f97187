"""Restore drills in the admin: the newest on top, red when backups cannot be relied on."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join

from audit import drills
from audit.models import DrillResult
from tracker import clock
from tracker.admin import ReadOnlyAdmin

_RED = "color: var(--error-fg); font-weight: bold"


@admin.register(DrillResult)
class DrillResultAdmin(ReadOnlyAdmin):
    """What came of restoring a backup."""

    list_display = ("ran_at", "result", "backup", "backup_made_at", "seconds")
    list_filter = ("ok",)
    ordering = ("-id",)
    search_fields = ("=backup",)
    search_help_text = "Name of the backup"
    unlisted = ("steps",)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Say first what is wrong, if anything."""
        if request.method == "GET" and (trouble := drills.trouble(now=clock.now())):
            self.message_user(request, f"{trouble} Run manage.py restore_drill.", messages.ERROR)
        return super().changelist_view(request, *args, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return ["ran_at", "result", "backup", "backup_made_at", "seconds", "looked_at"]

    @admin.display(description="result", ordering="ok")
    def result(self, found: DrillResult) -> str:
        """A word, not a colour alone."""
        if not found.ok:
            return format_html('<span style="{}">failed</span>', _RED)
        if clock.now() - found.ran_at > drills.OVERDUE:
            return format_html('<span style="{}">ok, but too old</span>', _RED)
        return "ok"

    @admin.display(description="what was looked at")
    def looked_at(self, found: DrillResult) -> str:
        rows = (
            ("ok" if step["ok"] else "FAILED", step["name"], step["said"], step["seconds"])
            for step in found.steps
        )
        line = "<li><strong>{}</strong> {}: {} ({} s)</li>"
        return format_html("<ul>{}</ul>", format_html_join("", line, rows))
