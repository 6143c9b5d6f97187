"""Subscriptions, invoices, grants and revenue in the admin."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path

from billing import figures, grants, plans
from billing.models import BillingAccount, Invoice, MeterReport, PlanGrant, Subscription
from tracker import charts, clock, touching
from tracker.admin import BaseAdmin, ReadOnlyAdmin, one_of, staff_id

DAYS, MONTHS, WEEKS = 90, 6, 12
LONGEST_GRANT = 366  # days
REVENUE = "billing.view_revenue"  # of everybody together; one person's is another matter


@admin.register(BillingAccount)
class BillingAccountAdmin(ReadOnlyAdmin):
    """Which plan is in force for whom, why, and until when."""

    list_display = (
        "user", "tier", "reason", "until", "next_tier", "stripe_customer_id", "spending_cap",
        "refreshed_at",
    )  # fmt: skip
    list_filter = (one_of("tier", plans.table()),)
    list_select_related = ("user",)
    ordering = ("-user_id",)
    search_fields = ("user__email", "=stripe_customer_id")
    search_help_text = "E-mail, customer id (cus_…)"


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    """Subscriptions as Stripe had them when they were last read."""

    list_display = (
        "user", "tier", "status", "price", "currency", "started_at", "current_period_end",
        "cancel_at_period_end", "past_due_since", "withdrawn", "ended_at", "stripe_id",
    )  # fmt: skip
    list_filter = (
        one_of("status", ("active", "trialing", "past_due", "unpaid", "incomplete", "canceled")),
        one_of("tier", plans.table()),
    )
    list_select_related = ("user",)
    ordering = ("-started_at",)
    search_fields = ("user__email", "=stripe_id")
    search_help_text = "E-mail, subscription id (sub_…)"
    change_list_template = "admin/billing/subscription_list.html"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.revenue)
        return [path("revenue/", view, name="billing_revenue"), *super().get_urls()]

    def revenue(self, request: HttpRequest) -> HttpResponse:
        """Recurring revenue, churn, conversion, and use of the API."""
        if not request.user.has_perm(REVENUE):
            raise PermissionDenied
        context = self.admin_site.each_context(request) | _shown() | {
            "title": "Revenue and usage", "opts": self.opts,
        }  # fmt: skip
        return TemplateResponse(request, "admin/billing/revenue.html", context)


def _shown() -> dict[str, Any]:
    today = clock.now().date()
    first = today - timedelta(days=DAYS - 1)
    labels = [f"{first + timedelta(days=n):%-d %b}" for n in range(DAYS)]
    recurring = figures.recurring(first, today)
    used = figures.groups(today - timedelta(days=29), today)
    churn = [_share(row, "%Y-%m") for row in figures.churn(today, months=MONTHS)]
    conversion = [_share(row, "%Y-%m-%d") for row in figures.conversion(today, weeks=WEEKS)]
    return {
        "recurring": charts.line_chart(
            {"MRR": [float(total) for total in recurring]}, labels, key="mrr",
            title="Monthly recurring revenue by day",
            sentence=f"Today: {recurring[-1]} USD. All numbers are in the table below.",
        ),
        "recurring_now": recurring[-1],
        "calls": charts.line_chart(
            {"calls": figures.calls(first, today)}, labels, key="calls",
            title="Data calls of everybody by day",
            sentence="The last point is today. All numbers are in the table below.",
        ),
        "groups": charts.bars(
            ((name, calls, f"{people:,}") for name, calls, people in used),
            key="groups", title="Calls by group of endpoints",
        ),
        "plans": charts.bars(
            ((name, people, "") for name, people in figures.on_plans()),
            key="plans", title="People on each plan",
        ),
        "churn": churn, "churn_drawn": _drawn(churn, "churn", "Churn by month, in percent"),
        "conversion": conversion,
        "conversion_drawn": _drawn(conversion, "conversion", "Conversion by week, in percent"),
        "days": DAYS,
    }  # fmt: skip


def _share(row: figures.Share, how: str) -> dict[str, Any]:
    return {
        "since": f"{row.since:{how}}", "of": row.of, "part": row.part,
        "text": f"{row.ratio:.1%}" if row.of else "–",
        "percent": round(100 * row.ratio, 1) if row.of else None,
    }  # fmt: skip


def _drawn(shares: list[dict[str, Any]], key: str, title: str) -> charts.Columns:
    by_time = sorted((row["since"], row["percent"]) for row in shares)
    return charts.columns(by_time, key=key, title=title)


@admin.register(Invoice)
class InvoiceAdmin(ReadOnlyAdmin):
    """What was charged."""

    list_display = (
        "user", "number", "status", "total", "paid", "currency", "created_at", "stripe_id",
    )  # fmt: skip
    list_filter = (one_of("status", ("draft", "open", "paid", "uncollectible", "void")),)
    list_select_related = ("user",)
    ordering = ("-created_at",)
    search_fields = ("user__email", "=number", "=stripe_id")
    search_help_text = "E-mail, number, invoice id (in_…)"


@admin.register(MeterReport)
class MeterReportAdmin(ReadOnlyAdmin):
    """Calls beyond the included ones that were told to Stripe."""

    list_display = ("created_at", "user", "month", "calls", "sent_at", "attempts")
    list_select_related = ("user",)
    ordering = ("-id",)
    search_fields = ("user__email",)
    search_help_text = "E-mail or id"


class GrantForm(forms.ModelForm):
    """To whom, what, for how long, and why."""

    email = forms.EmailField(label="E-mail of the person")
    tier = forms.ChoiceField(label="Plan")
    days = forms.IntegerField(min_value=1, max_value=LONGEST_GRANT, initial=30)
    reason = forms.CharField(max_length=200)

    class Meta:
        model = PlanGrant
        fields = ("tier", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(tier, plan.name or tier) for tier, plan in plans.table().items()]
        self.fields["tier"].choices = [  # type: ignore[attr-defined]
            choice for choice in choices if choice[0] != plans.DEFAULT_TIER
        ]

    def clean_email(self) -> str:
        email = self.cleaned_data["email"].strip().lower()
        found = get_user_model().objects.filter(email=email).first()
        if found is None:
            raise forms.ValidationError("There is nobody with this e-mail address.")
        self.instance.user_id = found.pk
        return email


@admin.register(PlanGrant)
class PlanGrantAdmin(BaseAdmin):
    """Plans that staff gave somebody for a time. Given here, taken back here, never changed."""

    form = GrantForm
    fields = ("email", "tier", "days", "reason")
    list_display = (
        "user", "tier", "reason", "starts_at", "ends_at", "revoked_at", "granted_by",
    )  # fmt: skip
    list_select_related = ("user",)
    ordering = ("-id",)
    search_fields = ("user__email",)
    search_help_text = "E-mail or id"
    actions = ("take_back",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if obj is None else [f.name for f in self.opts.concrete_fields]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_act_permission(self, request: HttpRequest) -> bool:
        """Taking back needs what giving needs."""
        return self.has_add_permission(request)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Give the plan by the service, which logs it and lets it be in force."""
        if not touching.may_act_on_key(request, obj.user_id):
            raise PermissionDenied
        now = clock.now()
        made = grants.grant(
            user_id=obj.user_id, tier=form.cleaned_data["tier"], now=now,
            until=now + timedelta(days=form.cleaned_data["days"]),
            reason=form.cleaned_data["reason"], actor_id=staff_id(request),
        )  # fmt: skip
        obj.pk, obj.starts_at, obj.ends_at = made.pk, made.starts_at, made.ends_at

    @admin.action(permissions=["act"], description="Take back now")
    def take_back(self, request: HttpRequest, queryset: QuerySet[PlanGrant]) -> None:
        keys = self.chosen(request, queryset)
        done = sum(
            grants.revoke(grant_id=key, actor_id=staff_id(request), now=clock.now()) for key in keys
        )
        self.tell(request, "Taken back", done=done, skipped=len(keys) - done)
