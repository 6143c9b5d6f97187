"""Fixtures of the Stripe sandbox: the sandbox, a listener, what is sold, and one customer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import stripe

from tests import stripe_sandbox
from tests.stripe_sandbox import Listener, StripeSandbox

MONTHLY, YEARLY, CALLS = 999, 9990, "0.5"
FIRST_INVOICE = ["latest_invoice.confirmation_secret", "latest_invoice.payments"]


@pytest.fixture(scope="session")
def process() -> Iterator[StripeSandbox]:
    with stripe_sandbox.running() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: StripeSandbox) -> StripeSandbox:
    process.reset()
    return process


@pytest.fixture
def listener(sandbox: StripeSandbox) -> Iterator[Listener]:
    with Listener() as listener:
        sandbox.listen(listener.url)
        yield listener
        sandbox.reset()  # nothing is delivered to a listener that is gone


@dataclass
class Shop:
    """What is sold, and one customer."""

    monthly: str
    bigger: str
    yearly: str
    calls: str
    meter: str
    customer: str


@pytest.fixture
def shop(sandbox: StripeSandbox) -> Shop:
    v1 = sandbox.client.v1
    v1.products.create({"id": "prod_pro", "name": "Pro"})
    meter = v1.billing.meters.create(
        {
            "display_name": "Calls",
            "event_name": "calls",
            "default_aggregation": {"formula": "sum"},
        }
    )
    return Shop(
        monthly=make_price(sandbox, unit_amount=MONTHLY, lookup_key="pro_monthly"),
        bigger=make_price(sandbox, unit_amount=2 * MONTHLY, lookup_key="max_monthly"),
        yearly=make_price(sandbox, unit_amount=YEARLY, recurring={"interval": "year"}),
        calls=make_price(
            sandbox,
            unit_amount_decimal=CALLS,
            recurring={"interval": "month", "usage_type": "metered", "meter": meter.id},
        ),
        meter=meter.id,
        customer=v1.customers.create({"email": "alice@example.com"}).id,
    )


def make_price(sandbox: StripeSandbox, **more: Any) -> str:
    params: Any = {
        "product": "prod_pro",
        "currency": "eur",
        "recurring": {"interval": "month"},
        **more,
    }
    return sandbox.client.v1.prices.create(params).id


def make_code(sandbox: StripeSandbox, *, coupon: str = "HALF", **more: Any) -> stripe.PromotionCode:
    """A promotion code, SPRING by default, of a new coupon of half the price for ever."""
    v1 = sandbox.client.v1
    v1.coupons.create({"id": coupon, "percent_off": 50, "duration": "forever"})
    promotion = {"type": "coupon", "coupon": coupon}
    params: Any = {"promotion": promotion, "code": "SPRING", **more}
    return v1.promotion_codes.create(params)


def subscribe(sandbox: StripeSandbox, shop: Shop, *prices: str, **more: Any) -> stripe.Subscription:
    params: Any = {
        "customer": shop.customer,
        "items": [{"price": price} for price in prices or (shop.monthly,)],
        "payment_behavior": "default_incomplete",
        "payment_settings": {"save_default_payment_method": "on_subscription"},
        "expand": FIRST_INVOICE,
        **more,
    }
    return sandbox.client.v1.subscriptions.create(params)


def secret_of(subscription: stripe.Subscription) -> str:
    return subscription.latest_invoice.confirmation_secret.client_secret


def subscribed(
    sandbox: StripeSandbox, shop: Shop, *prices: str, **more: Any
) -> stripe.Subscription:
    """A subscription whose first invoice is paid."""
    subscription = subscribe(sandbox, shop, *prices, **more)
    sandbox.pay(secret_of(subscription))
    return again(sandbox, subscription)


def again(sandbox: StripeSandbox, subscription: stripe.Subscription) -> stripe.Subscription:
    return sandbox.client.v1.subscriptions.retrieve(subscription.id)


def first_item(subscription: stripe.Subscription) -> stripe.SubscriptionItem:
    return subscription["items"].data[0]


def newest_invoice(sandbox: StripeSandbox, subscription: stripe.Subscription) -> stripe.Invoice:
    invoices = sandbox.client.v1.invoices.list({"subscription": subscription.id, "limit": 1})
    return invoices.data[0]


def paid_charge(sandbox: StripeSandbox, shop: Shop) -> stripe.Charge:
    return sandbox.client.v1.charges.list({"customer": shop.customer}).data[0]


def report_usage(sandbox: StripeSandbox, shop: Shop, calls: int, identifier: str) -> Any:
    return sandbox.client.v1.billing.meter_events.create(
        {
            "event_name": "calls",
            "identifier": identifier,
            "payload": {"stripe_customer_id": shop.customer, "value": str(calls)},
        }
    )
