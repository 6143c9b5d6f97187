"""Stripe's messages in the admin, and dj-stripe's copies, for reading."""

from django.apps import apps
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from djstripe import models as djstripe

from billing import webhooks
from billing.models import StripeEvent
from tracker import clock
from tracker.admin import ReadOnlyAdmin, one_of, staff_id

# dj-stripe's own pages ask Stripe and show keys; what is read here is read-only.
for _model in apps.get_app_config("djstripe").get_models():
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)


@admin.register(StripeEvent)
class StripeEventAdmin(ReadOnlyAdmin):
    """Every message that was verified, what became of it, and why."""

    list_display = (
        "received_at", "type", "state", "reason", "attempts", "next_attempt_at", "user",
        "customer_id", "object_id", "created_at",
    )  # fmt: skip
    list_filter = (one_of("state", StripeEvent.State),)
    list_select_related = ("user",)
    ordering = ("-received_at",)
    search_fields = ("user__email", "=id", "=type", "=customer_id", "=object_id")
    search_help_text = "E-mail, ids of Stripe's (evt_…, cus_…, sub_…), type"
    actions = ("work_again",)

    @admin.action(permissions=["act"], description="Work on it again")
    def work_again(self, request: HttpRequest, queryset: QuerySet[StripeEvent]) -> None:
        keys = self.chosen(request, queryset)
        for event_id in keys:
            webhooks.redeliver(event_id=event_id, actor_id=staff_id(request), now=clock.now())
        self.tell(request, "Queued", done=len(keys), skipped=0)


@admin.register(djstripe.Product, djstripe.Price)
class CatalogueCopyAdmin(ReadOnlyAdmin):
    """What is sold: dj-stripe's copy."""

    list_display = ("id", "created", "djstripe_updated")
    ordering = ("-djstripe_id",)
    search_fields = ("=id",)
    search_help_text = "Id of Stripe's"
    unlisted = ("stripe_data",)


@admin.register(djstripe.Subscription)
class SubscriptionCopyAdmin(ReadOnlyAdmin):
    """What was bought, in Stripe's own words: dj-stripe's copy."""

    list_display = ("id", "customer", "created", "djstripe_updated")
    list_select_related = ("customer",)
    ordering = ("-djstripe_id",)
    search_fields = ("=id",)
    search_help_text = "Id of Stripe's"
    unlisted = ("stripe_data",)


@admin.register(djstripe.Customer)
class CustomerCopyAdmin(ReadOnlyAdmin):
    """Who pays: dj-stripe's copy."""

    list_display = ("id", "subscriber", "email", "created", "djstripe_updated")
    list_select_related = ("subscriber",)
    ordering = ("-djstripe_id",)
    search_fields = ("subscriber__email", "=id")
    search_help_text = "E-mail, id of Stripe's"
    unlisted = ("stripe_data",)
