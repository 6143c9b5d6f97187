"""Security alerts in the admin: what they rest on, who deals with them, whom they were sent to."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from audit import alerts
from audit.models import SecurityAlert, SecurityEvent, WebhookDelivery
from audit.models.alerts import Severity
from audit.webhooks import outbound
from tracker import clock
from tracker.admin import Panel, ReadOnlyAdmin, one_of, staff_id


@admin.register(SecurityAlert)
class SecurityAlertAdmin(ReadOnlyAdmin):
    """What looked wrong, newest first; acted on by the two actions, never by hand."""

    list_display = ("created_at", "severity", "kind", "state", "user", "handled_by")
    list_filter = (one_of("state", SecurityAlert.State), one_of("severity", Severity))
    list_select_related = ("user", "handled_by")
    ordering = ("-id",)
    search_fields = ("user__email", "=kind")
    search_help_text = "E-mail of the person, kind of alert, id"
    unlisted = ("evidence",)
    linked_by = "alert"
    actions = ("acknowledge", "resolve")

    def panels(self, request: HttpRequest, found: SecurityAlert) -> list[Panel]:
        return [
            *self.panel(request, WebhookDelivery, found),
            *self.panel(request, SecurityEvent, found),
        ]

    @admin.action(permissions=["act"], description="Acknowledge")
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[SecurityAlert]) -> None:
        self._handle(request, queryset, SecurityAlert.State.ACKNOWLEDGED, "Acknowledged")

    @admin.action(permissions=["act"], description="Resolve")
    def resolve(self, request: HttpRequest, queryset: QuerySet[SecurityAlert]) -> None:
        self._handle(request, queryset, SecurityAlert.State.RESOLVED, "Resolved")

    def _handle(
        self, request: HttpRequest, queryset: QuerySet[SecurityAlert], to: str, said: str
    ) -> None:
        keys = self.chosen(request, queryset)
        done = alerts.handle_by_staff(
            alert_ids=keys, to=to, actor_id=staff_id(request), now=clock.now()
        )
        self.tell(request, said, done=done, skipped=len(keys) - done)


@admin.register(SecurityEvent)
class SecurityEventAdmin(ReadOnlyAdmin):
    """What came in at the security webhook."""

    list_display = ("received_at", "kind", "source", "alert", "message_id")
    list_select_related = ("alert",)
    ordering = ("-received_at", "-id")
    search_fields = ("=kind", "=source", "=message_id")
    search_help_text = "Kind, source, message id"
    unlisted = ("payload",)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    """Every alert on its way to the operators' addresses, with the end of each attempt."""

    list_display = (
        "created_at", "state", "endpoint", "host", "attempts", "last_status", "last_error",
        "next_attempt_at", "alert",
    )  # fmt: skip
    list_filter = (one_of("state", WebhookDelivery.State),)
    list_select_related = ("alert",)
    ordering = ("-id",)
    search_fields = ("=endpoint", "=host")
    search_help_text = "Name of the address, host, id"
    unlisted = ("attempts_log",)
    actions = ("redeliver",)

    @admin.action(permissions=["act"], description="Deliver again")
    def redeliver(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        keys = self.chosen(request, queryset)
        done = outbound.redeliver(delivery_ids=keys, actor_id=staff_id(request), now=clock.now())
        self.tell(request, "Queued", done=done, skipped=len(keys) - done)
