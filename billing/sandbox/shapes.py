"""The shape of a subscription and of its items."""

from collections.abc import Sequence
from typing import Any

from billing.sandbox.wire import Object, a_list, metadata, now, token

_EMPTY = (
    "application",
    "application_fee_percent",
    "billing_cycle_anchor_config",
    "billing_thresholds",
    "cancel_at",
    "canceled_at",
    "customer_account",
    "days_until_due",
    "default_payment_method",
    "default_source",
    "ended_at",
    "latest_invoice",
    "next_pending_invoice_item_invoice",
    "on_behalf_of",
    "pause_collection",
    "pending_invoice_item_interval",
    "pending_setup_intent",
    "pending_update",
    "schedule",
    "test_clock",
    "transfer_data",
    "trial_end",
    "trial_start",
)


def subscription(named: str, asked: dict[str, Any], currency: str) -> Object:
    """A subscription without items, dates and payment yet."""
    at = now()
    return dict.fromkeys(_EMPTY) | {
        "id": named,
        "object": "subscription",
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": at,
        "billing_mode": {
            "flexible": {"proration_discounts": "included"},
            "type": "flexible",
            "updated_at": None,
        },
        "billing_schedules": [],
        "cancel_at_period_end": asked.get("cancel_at_period_end", False),
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": at,
        "currency": currency,
        "customer": asked["customer"],
        "default_tax_rates": [],
        "description": asked.get("description"),
        "discounts": [],
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": a_list([], f"/v1/subscription_items?subscription={named}"),
        "livemode": False,
        "metadata": metadata({}, asked.get("metadata")),
        "payment_settings": _payment_settings(asked),
        "start_date": at,
        "status": "incomplete",
        "trial_settings": asked.get("trial_settings")
        or {"end_behavior": {"missing_payment_method": "create_invoice"}},
    }


def _payment_settings(asked: dict[str, Any]) -> Object:
    sent = asked.get("payment_settings") or {}
    return {
        "payment_method_options": sent.get("payment_method_options") or None,
        "payment_method_types": sent.get("payment_method_types") or None,
        "save_default_payment_method": sent.get("save_default_payment_method", "off"),
    }


def item(price: Object, asked: dict[str, Any], *, subscription: str) -> Object:
    """An item without its period yet; a metered one has no quantity."""
    made = {
        "id": token("si_", 14),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": now(),
        "discounts": [],
        "metadata": metadata({}, asked.get("metadata")),
        "plan": plan(price),
        "price": price,
        "quantity": asked.get("quantity", 1),
        "subscription": subscription,
        "tax_rates": [],
    }
    if price["recurring"]["usage_type"] == "metered":
        del made["quantity"]
    return made


def set_period(items: Sequence[Object], start: int, end: int) -> None:
    """All items have this period now."""
    for each in items:
        each.update(current_period_start=start, current_period_end=end)


def plan(price: Object) -> Object:
    """A price as the plan that it once was."""
    recurring = price["recurring"]
    same = ("active", "billing_scheme", "created", "currency", "nickname", "product", "tiers_mode")
    return {name: price[name] for name in same} | {
        "id": price["id"],
        "object": "plan",
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": dict(price["metadata"]),
        "meter": recurring["meter"],
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": recurring["usage_type"],
    }


def discount(
    coupon: Object,
    *,
    customer: str,
    subscription: str,
    end: int | None,
    promotion_code: str | None = None,
) -> Object:
    """The discount that a coupon gives a subscription, by a promotion code or by itself."""
    return {
        "id": token("di_"),
        "object": "discount",
        "checkout_session": None,
        "customer": customer,
        "customer_account": None,
        "end": end,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": promotion_code,
        "source": {"coupon": coupon["id"], "type": "coupon"},
        "start": now(),
        "subscription": subscription,
        "subscription_item": None,
    }
