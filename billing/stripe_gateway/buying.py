"""What a person does: subscribe, change, end, pay on a hosted page."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import stripe
from django.conf import settings

from billing.stripe_gateway import facts
from billing.stripe_gateway.asking import ask
from billing.stripe_gateway.errors import Refused
from billing.stripe_gateway.facts import CALLS, Preview, Sheet, SubscriptionState


def subscribe(
    *, customer_id: str, prices: Sequence[str], trial_days: int, promotion: str, key: str
) -> SubscriptionState:
    """Begin a subscription that becomes active when its first payment is made in the app."""
    params: dict[str, Any] = {
        "customer": customer_id, "items": [{"price": price} for price in prices],
        "payment_behavior": "default_incomplete",
        "payment_settings": {"save_default_payment_method": "on_subscription"},
        "expand": ["latest_invoice.confirmation_secret", "pending_setup_intent"],
    }  # fmt: skip
    if trial_days:
        params["trial_period_days"] = trial_days
        params["trial_settings"] = {"end_behavior": {"missing_payment_method": "cancel"}}
    if promotion:
        params["discounts"] = [{"promotion_code": promotion}]
    if settings.STRIPE_TAX:
        params["automatic_tax"] = {"enabled": True}
    options = {"idempotency_key": key}
    return facts.subscription(ask(lambda c: c.v1.subscriptions.create(params, options=options)))


def find_promotion(code: str, *, customer_id: str) -> str:
    """The id of a promotion code that is in force and open to this customer, or an empty string.

    What people type is a promotion code, whose rules Stripe keeps; coupons themselves are ours.
    """
    params = {"code": code, "active": True, "limit": 10}
    for row in ask(lambda c: c.v1.promotion_codes.list(params)).data:
        if not row.customer or facts.id_of(row.customer) == customer_id:
            return str(row.id)
    return ""


def close_pages(customer_id: str) -> None:
    """Let no hosted page that is still open take a payment any more."""
    params = {"customer": customer_id, "status": "open", "limit": 100}
    for row in ask(lambda c: c.v1.checkout.sessions.list(params)).data:
        try:
            _expire(row.id)
        except Refused:
            continue  # paid or run out meanwhile


def _expire(session_id: str) -> None:
    ask(lambda c: c.v1.checkout.sessions.expire(session_id))


def read_subscription(subscription_id: str) -> SubscriptionState:
    """One subscription, with the secret by which its first payment can still be made."""
    expand = {"expand": ["latest_invoice.confirmation_secret", "pending_setup_intent"]}
    return facts.subscription(ask(lambda c: c.v1.subscriptions.retrieve(subscription_id, expand)))


def change(
    found: SubscriptionState, *, prices: Mapping[str, str], at_once: bool,
    proration_at: datetime | None, key: str,
) -> None:  # fmt: skip
    """Put other prices into a subscription, by part. ``at_once`` charges the difference now, and
    changes nothing when that is declined."""
    params: dict[str, Any] = {
        "items": _changed_items(found, prices), "cancel_at_period_end": False,
        "proration_behavior": "always_invoice" if at_once else "create_prorations",
    }  # fmt: skip
    if at_once:
        params["payment_behavior"] = "error_if_incomplete"
    if proration_at is not None:
        params["proration_date"] = int(proration_at.timestamp())
    options = {"idempotency_key": key}
    ask(lambda c: c.v1.subscriptions.update(found.id, params, options=options))


def preview(
    found: SubscriptionState, customer_id: str, *, prices: Mapping[str, str], at_once: bool,
    now: datetime,
) -> Preview:  # fmt: skip
    """What ``change`` would charge at ``now``."""
    details = {
        "items": _changed_items(found, prices), "proration_date": int(now.timestamp()),
        "proration_behavior": "always_invoice" if at_once else "create_prorations",
    }  # fmt: skip
    params = {
        "customer": customer_id, "subscription": found.id, "subscription_details": details
    }  # fmt: skip
    shown = ask(lambda c: c.v1.invoices.create_preview(params))
    lines = tuple(
        (str(line.description or ""), facts.amount(line.amount, shown.currency))
        for line in shown.lines.data
    )
    due = facts.amount(shown.amount_due, shown.currency)
    return Preview(shown.currency, due, lines, now.replace(microsecond=0))


def _changed_items(found: SubscriptionState, prices: Mapping[str, str]) -> list[dict[str, Any]]:
    """Each part keeps its item; a part that the new plan lacks goes, one that it adds comes."""
    by_part = {item.part: item.id for item in found.items}
    items: list[dict[str, Any]] = []
    for part in {**by_part, **prices}:
        if part not in prices:
            items.append({"id": by_part[part], "deleted": True, "clear_usage": True})
        elif part in by_part:
            items.append({"id": by_part[part], "price": prices[part]})
        else:
            items.append({"price": prices[part]})
    return items


def end_with_period(subscription_id: str, *, ends: bool, key: str) -> None:
    """Let a subscription end when what was paid for is over, or go on after all."""
    params = {"cancel_at_period_end": ends}
    options = {"idempotency_key": key}
    ask(lambda c: c.v1.subscriptions.update(subscription_id, params, options=options))


def end_now(subscription_id: str) -> None:
    """End a subscription at once, with what is owed for calls; one that ended already is fine."""
    try:
        ask(lambda c: c.v1.subscriptions.cancel(subscription_id, {"invoice_now": True}))
    except Refused as refusal:
        if not refusal.details.get("missing"):
            raise


def sheet(customer_id: str, found: SubscriptionState) -> Sheet:
    """What the app's payment sheet needs to pay for a subscription."""
    version = {"stripe_version": stripe.api_version}
    made = ask(lambda c: c.v1.ephemeral_keys.create({"customer": customer_id}, options=version))
    return Sheet(
        customer=customer_id, ephemeral_key=made.secret, client_secret=found.client_secret,
        intent=found.intent, publishable_key=settings.STRIPE_PUBLISHABLE_KEY,
    )  # fmt: skip


def checkout_url(
    *, customer_id: str, prices: Mapping[str, str], trial_days: int, return_url: str, key: str
) -> str:
    """Where a hosted page takes the payment for a new subscription."""
    # A metered price has no quantity: what was used is counted.
    lines = [
        {"price": price} | ({} if part == CALLS else {"quantity": 1})
        for part, price in prices.items()
    ]
    params: dict[str, Any] = {
        "mode": "subscription", "customer": customer_id, "line_items": lines,
        "success_url": return_url, "cancel_url": return_url, "allow_promotion_codes": True,
    }  # fmt: skip
    if settings.STRIPE_TAX:
        params["automatic_tax"] = {"enabled": True}
        params["customer_update"] = {"address": "auto"}
    if trial_days:
        params["subscription_data"] = {"trial_period_days": trial_days}
    options = {"idempotency_key": key}
    return str(ask(lambda c: c.v1.checkout.sessions.create(params, options=options)).url)


def portal_url(*, customer_id: str, return_url: str) -> str:
    """Where a hosted page manages cards, invoices and the subscription."""
    params = {"customer": customer_id, "return_url": return_url}
    return str(ask(lambda c: c.v1.billing_portal.sessions.create(params)).url)
