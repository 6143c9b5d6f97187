"""Plans, the subscription, invoices and usage; and Stripe's webhook."""

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from billing import customers, entitlements, plans, subscribing, usage, webhooks
from billing.serializers import (
    BegunSerializer,
    ChangedSerializer,
    CheckoutSerializer,
    EndSerializer,
    HostedPageSerializer,
    InvoiceSerializer,
    NewSubscriptionSerializer,
    PlanInForceSerializer,
    PlanOfferSerializer,
    SpendingCapSerializer,
    SubscriptionChangeSerializer,
    SubscriptionSerializer,
    UsageSerializer,
)
from billing.throttling import PaymentThrottle
from tracker import api, clock
from tracker.api import ConditionalMixin, OnceMixin
from tracker.errors import DomainError
from tracker.schema import results_of


def _valid(serializer: Any) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


class PlansView(ConditionalMixin, APIView):
    throttle_classes = ()

    @extend_schema(
        operation_id="billing_plans", tags=["billing"], responses=results_of(PlanOfferSerializer)
    )
    def get(self, request: Any) -> Response:
        """Every plan, what it includes and costs."""
        current = entitlements.for_user(request.user).tier
        rows = [
            {
                **{name: getattr(plan, name) for name in (
                    "price", "trial_days", "connections", "strategies", "custom_strategies",
                    "alerts", "api_keys", "live_prices", "calls_per_hour", "calls_per_day",
                    "calls_per_month", "call_price",
                )},
                "tier": tier, "name": plan.name or tier, "currency": plans.CURRENCY,
                "is_current": tier == current,
                "sync_every_seconds": int(plan.sync_every.total_seconds()),
                "snapshot_every_seconds": int(plan.snapshot_every.total_seconds()),
            }
            for tier, plan in plans.table().items()
        ]  # fmt: skip
        return Response({"results": PlanOfferSerializer(rows, many=True).data})


class SubscriptionView(OnceMixin, ConditionalMixin, APIView):
    throttle_classes = ()

    def get_throttles(self) -> list[Any]:
        """Reading asks nobody."""
        return [] if self.request.method == "GET" else [PaymentThrottle()]

    @extend_schema(
        operation_id="billing_subscription_read", tags=["billing"], responses=PlanInForceSerializer
    )
    def get(self, request: Any) -> Response:
        """The plan in force, and your subscription."""
        return Response(PlanInForceSerializer(_standing(request.user)).data)

    @extend_schema(
        operation_id="billing_subscription_create", tags=["billing"],
        request=NewSubscriptionSerializer, responses={201: BegunSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """Subscribe. The plan begins when the app has made the payment with what is returned."""
        data = _valid(NewSubscriptionSerializer(data=request.data))
        return self.once(
            request,
            lambda: Response(
                BegunSerializer(
                    subscribing.subscribe(user=request.user, now=clock.now(), **data)
                ).data,
                status=201,
            ),
        )

    @extend_schema(
        operation_id="billing_subscription_change", tags=["billing"],
        request=SubscriptionChangeSerializer, responses=ChangedSerializer,
    )  # fmt: skip
    def patch(self, request: Any) -> Response:
        """Change the plan, look at what that would cost, or take an end back."""
        data = _valid(SubscriptionChangeSerializer(data=request.data))
        shown = _changed(request.user.pk, data)
        return Response(ChangedSerializer(shown).data)

    @extend_schema(
        operation_id="billing_subscription_end", tags=["billing"], request=EndSerializer,
        responses=SubscriptionSerializer,
    )  # fmt: skip
    def delete(self, request: Any) -> Response:
        """End the subscription with the period that is paid for, or at once. Nothing of yours is
        deleted: what a smaller plan leaves out waits."""
        data = _valid(EndSerializer(data=request.data or request.query_params.dict()))
        ended = subscribing.end(
            user_id=request.user.pk, at_once=data["when"] == "now", now=clock.now()
        )
        return Response(SubscriptionSerializer(ended).data)


def _standing(user: Any) -> dict[str, Any]:
    granted, account = entitlements.for_user(user), customers.find(user.pk)
    now = clock.now()
    stands = account is not None and not (account.until and account.until <= now)
    return {
        "tier": granted.tier, "reason": account.reason if account and stands else "",
        "until": account.until if account and stands else None,
        "next_tier": account.next_tier if account and stands else "",
        "subscription": subscribing.current(user.pk),
    }  # fmt: skip


def _changed(user_id: Any, data: dict[str, Any]) -> dict[str, Any]:
    now = clock.now()
    if "cancel_at_period_end" in data:
        act = subscribing.end if data["cancel_at_period_end"] else subscribing.go_on
        more = {"at_once": False} if data["cancel_at_period_end"] else {}
        return {"subscription": act(user_id=user_id, now=now, **more), "preview": None}
    tier = data["tier"]
    if data["preview"]:
        shown = subscribing.preview(user_id=user_id, tier=tier, now=now)
        return {"subscription": None, "preview": shown}
    changed = subscribing.change(
        user_id=user_id, tier=tier, proration_at=data.get("proration_at"), now=now
    )
    return {"subscription": changed, "preview": None}


class CheckoutView(OnceMixin, ConditionalMixin, APIView):
    throttle_classes = (PaymentThrottle,)

    @extend_schema(
        operation_id="billing_checkout", tags=["billing"], request=CheckoutSerializer,
        responses={201: HostedPageSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """A hosted page on which to subscribe, with every way to pay that the operator offers."""
        tier = _valid(CheckoutSerializer(data=request.data))["tier"]
        return self.once(
            request,
            lambda: Response(
                {"url": subscribing.checkout(user=request.user, tier=tier, now=clock.now())},
                status=201,
            ),
        )


class PortalView(OnceMixin, ConditionalMixin, APIView):
    throttle_classes = (PaymentThrottle,)

    @extend_schema(
        operation_id="billing_portal", tags=["billing"], request=None,
        responses={201: HostedPageSerializer},
    )  # fmt: skip
    def post(self, request: Any) -> Response:
        """A hosted page for cards, invoices and the subscription."""
        return self.once(
            request,
            lambda: Response(
                {"url": subscribing.portal(user=request.user, now=clock.now())}, status=201
            ),
        )


class InvoicesView(ConditionalMixin, APIView):
    throttle_classes = (PaymentThrottle,)

    @extend_schema(
        operation_id="billing_invoices", tags=["billing"], responses=results_of(InvoiceSerializer)
    )
    def get(self, request: Any) -> Response:
        """Your newest invoices."""
        found = subscribing.invoices(request.user.pk)
        return Response({"results": InvoiceSerializer(found, many=True).data})


class UsageView(ConditionalMixin, APIView):
    throttle_classes = ()

    @extend_schema(operation_id="billing_usage", tags=["billing"], responses=UsageSerializer)
    def get(self, request: Any) -> Response:
        """Data calls of this month, by day and by group, and what those beyond cost so far."""
        shown = usage.of_user(request.user, now=clock.now())
        return Response(UsageSerializer(shown).data)

    @extend_schema(
        operation_id="billing_spending_cap", tags=["billing"], request=SpendingCapSerializer,
        responses=UsageSerializer,
    )  # fmt: skip
    def patch(self, request: Any) -> Response:
        """Set how much calls beyond the included ones may cost a month."""
        data = _valid(SpendingCapSerializer(data=request.data))
        usage.set_cap(user_id=request.user.pk, cap=data["spending_cap"], now=clock.now())
        entitlements.attach(request.user, customers.find(request.user.pk))
        return Response(UsageSerializer(usage.of_user(request.user, now=clock.now())).data)


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """Take a message of Stripe's. 200 once it stands here; the work comes afterwards."""
    try:
        signature = request.headers.get("Stripe-Signature", "")
        webhooks.receive(_body(request), signature, now=clock.now())
    except DomainError as error:
        return JsonResponse(api.error_body(error.code, error.text), status=error.status)
    return JsonResponse({"received": True})


def _body(request: HttpRequest) -> bytes:
    """The body as it came, which is what was signed. Raises BodyTooLarge."""
    try:
        return request.body
    except RequestDataTooBig:
        raise api.BodyTooLarge from None


def done(request: HttpRequest) -> HttpResponse:
    """Where hosted pages send people back to when the app has no address of its own."""
    return render(request, "public/billing_done.html")
