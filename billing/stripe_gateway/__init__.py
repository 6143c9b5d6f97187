"""The only place that speaks to Stripe. It returns frozen facts, and raises errors of ours.

Amounts leave as ``Decimal`` in their currency, instants in UTC. A call never stands inside a
database transaction. Stripe's texts are kept out of our errors but for a declined card's, which is
written for its owner.
"""

from billing.stripe_gateway.asking import (
    is_configured,
)
from billing.stripe_gateway.buying import (
    change,
    checkout_url,
    close_pages,
    end_now,
    end_with_period,
    find_promotion,
    portal_url,
    preview,
    read_subscription,
    sheet,
    subscribe,
)
from billing.stripe_gateway.errors import (
    CardDeclined,
    NotConfigured,
    Refused,
    Unavailable,
)
from billing.stripe_gateway.facts import (
    CALLS,
    LIVE,
    PLAN,
    CustomerState,
    InvoiceState,
    Item,
    Preview,
    Price,
    Sheet,
    SubscriptionState,
)
from billing.stripe_gateway.listening import WebhookEndpoint, webhook_endpoints
from billing.stripe_gateway.people import (
    create_customer,
    customer_exists,
    customer_of_dispute,
    delete_customer,
    list_invoices,
    read_customer,
)
from billing.stripe_gateway.selling import (
    create_meter,
    create_price,
    every_subscription,
    find_meter,
    find_prices,
    find_product,
    report_calls,
    retire_price,
    save_product,
)

__all__ = [
    "CALLS",
    "LIVE",
    "PLAN",
    "CardDeclined",
    "CustomerState",
    "InvoiceState",
    "Item",
    "NotConfigured",
    "Preview",
    "Price",
    "Refused",
    "Sheet",
    "SubscriptionState",
    "Unavailable",
    "WebhookEndpoint",
    "change",
    "checkout_url",
    "close_pages",
    "create_customer",
    "create_meter",
    "create_price",
    "customer_exists",
    "customer_of_dispute",
    "delete_customer",
    "end_now",
    "end_with_period",
    "every_subscription",
    "find_meter",
    "find_prices",
    "find_product",
    "find_promotion",
    "is_configured",
    "list_invoices",
    "portal_url",
    "preview",
    "read_customer",
    "read_subscription",
    "report_calls",
    "retire_price",
    "save_product",
    "sheet",
    "subscribe",
    "webhook_endpoints",
]
