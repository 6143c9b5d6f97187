"""What was sent to people, what they want to be told, and their keys for programs."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts import delivery, suppressions
from accounts.models import (
    ApiKey,
    Delivery,
    EmailSuppression,
    NotificationChoice,
    NotificationSettings,
    PushDevice,
    WebhookEndpoint,
)
from accounts.models.notifications import Channel
from accounts.notifications import Event
from tracker import clock
from tracker.admin import ReadOnlyAdmin, one_of, staff_id


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """Messages: where each one is, and what stopped it."""

    list_display = (
        "created_at", "event", "channel", "state", "held_back", "attempts", "next_attempt_at",
        "sent_at", "error", "user",
    )  # fmt: skip
    list_filter = (
        one_of("state", Delivery.State.values), one_of("channel", Channel.values),
        one_of("event", Event), one_of("held_back", Delivery.HeldBack.values),
    )  # fmt: skip
    list_select_related = ("user",)
    ordering = ("-created_at",)
    search_fields = ("user__email",)
    search_help_text = "E-mail of the person or id"
    unlisted = ("parameters",)
    hidden = ("receipt",)
    actions = ("send_again",)

    @admin.action(permissions=["act"], description="Send again what failed or was dropped")
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        keys = self.chosen(request, queryset)
        rows = Delivery.objects.filter(id__in=keys)
        done = delivery.redeliver(deliveries=rows, actor_id=staff_id(request), now=clock.now())
        self.tell(request, "Queued again", done=done, skipped=len(keys) - done)


@admin.register(PushDevice)
class PushDeviceAdmin(ReadOnlyAdmin):
    """Phones; the token that reaches one is not shown."""

    list_display = ("user", "name", "platform", "registered_at", "refused_at")
    list_select_related = ("user",)
    ordering = ("-id",)
    search_fields = ("user__email",)
    search_help_text = "E-mail of the person or id"
    hidden = ("token",)


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """Keys by their prefix; what makes one work is stored as a digest, and not shown either."""

    list_display = (
        "user", "name", "prefix", "scopes", "created_at", "expires_at", "last_used_at",
        "last_used_address", "revoked_at",
    )  # fmt: skip
    list_select_related = ("user",)
    ordering = ("-id",)
    search_fields = ("user__email", "=prefix")
    search_help_text = "E-mail of the person, prefix of the key, id"


@admin.register(NotificationChoice)
class NotificationChoiceAdmin(ReadOnlyAdmin):
    """Where somebody chose otherwise than the default."""

    list_display = ("user", "event", "channel", "enabled")
    list_select_related = ("user",)
    ordering = ("-id",)
    search_fields = ("user__email",)
    search_help_text = "E-mail of the person or id"


@admin.register(NotificationSettings)
class NotificationSettingsAdmin(ReadOnlyAdmin):
    """Quiet hours, and when the next weekly summary is due."""

    list_display = (
        "user", "quiet_from", "quiet_until", "weekly_summary_day", "summary_due_at",
    )  # fmt: skip
    list_select_related = ("user",)
    ordering = ("-user_id",)
    search_fields = ("user__email",)
    search_help_text = "E-mail of the person or id"


@admin.register(EmailSuppression)
class EmailSuppressionAdmin(ReadOnlyAdmin):
    """Addresses that take no e-mail."""

    list_display = ("address", "reason", "created_at", "lifted_at", "user")
    list_select_related = ("user",)
    ordering = ("-id",)
    search_fields = ("user__email",)
    search_help_text = "E-mail of the person or id"
    actions = ("lift",)

    @admin.action(permissions=["act"], description="Send e-mail to these addresses again")
    def lift(self, request: HttpRequest, queryset: QuerySet[EmailSuppression]) -> None:
        keys = self.chosen(request, queryset)
        rows = EmailSuppression.objects.filter(id__in=keys)
        done = suppressions.lift(
            suppressions=rows, actor_id=staff_id(request), now=clock.now()
        )  # fmt: skip
        self.tell(request, "Lifted", done=done, skipped=len(keys) - done)


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ReadOnlyAdmin):
    """Addresses of people's programs by their host; the rest of one may be a secret."""

    list_display = (
        "user", "host", "created_at", "last_success_at", "failing_since", "last_error",
        "stopped_at",
    )  # fmt: skip
    list_select_related = ("user",)
    ordering = ("-id",)
    search_fields = ("user__email",)
    search_help_text = "E-mail of the person or id"
    hidden = ("sealed_url", "sealed_secret")
