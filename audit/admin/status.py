"""The status page in the admin: disturbances that staff write about, and the service levels."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path

from audit import incidents, service_levels
from audit.admin.base import AuditedAdmin
from audit.models import ComponentDay, Incident, IncidentState, IncidentUpdate
from tracker import clock
from tracker.admin import ReadOnlyAdmin, one_of


class IncidentUpdateInline(admin.StackedInline):
    """What is said about it, the first first; a new one is added below."""

    model = IncidentUpdate
    extra = 1
    fields = ("state", "text", "created_at")
    ordering = ("created_at", "id")


@admin.register(Incident)
class IncidentAdmin(AuditedAdmin):
    """Disturbances; what is saved here is on the status page at once."""

    list_display = ("started_at", "title", "impact", "state", "resolved_at")
    list_filter = (one_of("state", IncidentState),)
    ordering = ("-started_at",)
    search_fields = ("title",)
    search_help_text = "Words of the title, id"
    fields = ("title", "impact", "components", "started_at")
    autocomplete_fields = ()
    filter_horizontal = ("components",)
    inlines = (IncidentUpdateInline,)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        incidents.settle(incident_id=form.instance.pk, now=clock.now())

    def delete_model(self, request: HttpRequest, obj: Incident) -> None:
        super().delete_model(request, obj)
        incidents.tell_after_commit(now=clock.now())

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        super().delete_queryset(request, queryset)
        incidents.tell_after_commit(now=clock.now())


@admin.register(ComponentDay)
class ComponentDayAdmin(ReadOnlyAdmin):
    """How each part did on each day; and above the list, the service levels."""

    list_display = ("day", "component", "up", "degraded", "down", "good", "total")
    list_select_related = ("component",)
    ordering = ("-day", "component_id")
    search_fields = ("component__title", "=component__key")
    search_help_text = "Name of the part"
    change_list_template = "admin/audit/component_days.html"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.levels)
        return [path("levels/", view, name="audit_service_levels"), *super().get_urls()]

    def levels(self, request: HttpRequest) -> HttpResponse:
        """What is promised, how far it was kept in 30 days, and the error budget."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = self.admin_site.each_context(request) | {
            "title": "Service levels", "opts": self.opts, "days": service_levels.WINDOW_DAYS,
            "standings": service_levels.standings(clock.now().date()),
        }  # fmt: skip
        return TemplateResponse(request, "admin/audit/service_levels.html", context)
