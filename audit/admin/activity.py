"""The activity log in the admin."""

from django.contrib import admin

from audit.actions import Action
from audit.models import ActivityLog
from tracker.admin import ReadOnlyAdmin, one_of


@admin.register(ActivityLog)
class ActivityLogAdmin(ReadOnlyAdmin):
    """What happened, newest first."""

    list_display = ("created_at", "action", "outcome", "user", "actor", "ip_address", "request_id")
    list_filter = (one_of("action", Action), one_of("outcome", ["ok", "refused"]))
    list_select_related = ("user", "actor")
    ordering = ("-id",)
    search_fields = ("user__email", "actor__email", "=action", "=request_id")
    search_help_text = "E-mail of the person or of staff, action, request id"
    unlisted = ("details",)
