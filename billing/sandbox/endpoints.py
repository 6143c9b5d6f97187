"""Every endpoint: its path, what answers it, and the definition of its parameters."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from billing.sandbox import (
    cards,
    catalogue,
    charges,
    checkout,
    collecting,
    customers,
    happenings,
    intents,
    invoices,
    meters,
    previews,
    promotions,
    subscriptions,
)
from billing.sandbox.wire import Object
from billing.sandbox.world import Call, World

Answer = Callable[[World, Call], Awaitable[Object]]

# What a phone sends beside the parameters, with a publishable key.
PUBLIC_FIELDS = (
    "client_secret",
    "expected_payment_method_type",
    "key",
    "return_url",
    "use_stripe_sdk",
)

# What would change amounts or dates and is not done here is refused rather than ignored.
_OF_SUBSCRIPTIONS = {
    "add_invoice_items",
    "billing_cycle_anchor",
    "billing_cycle_anchor_config",
    "billing_schedules",
    "billing_thresholds",
    "collection_method",
    "days_until_due",
    "default_tax_rates",
    "pause_collection",
    "pending_invoice_item_interval",
}
LACKING = {
    "CustomerCreateParams": {"payment_method", "source", "tax_id_data"},
    "CustomerUpdateParams": {"default_source", "source"},
    "PriceCreateParams": {
        "custom_unit_amount",
        "product_data",
        "tiers",
        "tiers_mode",
        "transform_quantity",
    },
    "ProductCreateParams": {"default_price_data"},
    "PromotionCodeCreateParams": {"customer_account"},
    "PromotionCodeUpdateParams": {"restrictions"},
    "SubscriptionCreateParams": _OF_SUBSCRIPTIONS | {"backdate_start_date", "trial_from_plan"},
    "SubscriptionUpdateParams": _OF_SUBSCRIPTIONS | {"trial_end", "trial_from_plan"},
    "InvoiceCreatePreviewParams": {"invoice_items", "schedule", "schedule_details"},
    "checkout.SessionCreateParams": {"discounts", "optional_items", "subscription_schedule"},
}


@dataclass(frozen=True)
class Route:
    """One endpoint; a public one may be called with a publishable key."""

    method: str
    path: str
    answer: Answer
    definition: str
    is_public: bool = False


def _of(path: str, definition: str, **answers: Answer) -> list[Route]:
    """Create, list, retrieve, update and delete under one path."""
    one = f"{path}/{{id}}"
    places = {
        "create": ("POST", path, "CreateParams"),
        "list": ("GET", path, "ListParams"),
        "retrieve": ("GET", one, "RetrieveParams"),
        "update": ("POST", one, "UpdateParams"),
        "delete": ("DELETE", one, "DeleteParams"),
    }
    return [
        Route(places[act][0], places[act][1], answer, definition + places[act][2])
        for act, answer in answers.items()
    ]


ALL = [
    Route("GET", "/v1/account", catalogue.retrieve_account, "AccountRetrieveCurrentParams"),
    *_of(
        "/v1/products",
        "Product",
        create=catalogue.create_product,
        list=catalogue.list_products,
        retrieve=catalogue.retrieve_product,
        update=catalogue.update_product,
    ),
    *_of(
        "/v1/prices",
        "Price",
        create=catalogue.create_price,
        list=catalogue.list_prices,
        retrieve=catalogue.retrieve_price,
        update=catalogue.update_price,
    ),
    *_of(
        "/v1/coupons",
        "Coupon",
        create=catalogue.create_coupon,
        retrieve=catalogue.retrieve_coupon,
        delete=catalogue.delete_coupon,
    ),
    *_of(
        "/v1/promotion_codes",
        "PromotionCode",
        create=promotions.create,
        list=promotions.listed,
        retrieve=promotions.retrieve,
        update=promotions.update,
    ),
    *_of(
        "/v1/billing/meters",
        "billing.Meter",
        create=meters.create_meter,
        list=meters.list_meters,
        retrieve=meters.retrieve_meter,
    ),
    *_of("/v1/billing/meter_events", "billing.MeterEvent", create=meters.report),
    *_of(
        "/v1/customers",
        "Customer",
        create=customers.create,
        list=customers.listed,
        retrieve=customers.retrieve,
        update=customers.update,
        delete=subscriptions.delete_customer,
    ),
    *_of("/v1/ephemeral_keys", "EphemeralKey", create=customers.create_ephemeral_key),
    *_of("/v1/payment_methods", "PaymentMethod", list=cards.listed, retrieve=cards.retrieve),
    Route("POST", "/v1/payment_methods/{id}/attach", cards.attach, "PaymentMethodAttachParams"),
    Route("POST", "/v1/payment_methods/{id}/detach", cards.detach, "PaymentMethodDetachParams"),
    *_of("/v1/setup_intents", "SetupIntent", create=intents.create_setup),
    Route(
        "GET", "/v1/setup_intents/{id}", intents.retrieve_setup, "SetupIntentRetrieveParams", True
    ),
    Route(
        "POST",
        "/v1/setup_intents/{id}/confirm",
        collecting.confirm_setup,
        "SetupIntentConfirmParams",
        True,
    ),
    *_of("/v1/payment_intents", "PaymentIntent", list=intents.listed),
    Route("GET", "/v1/payment_intents/{id}", intents.retrieve, "PaymentIntentRetrieveParams", True),
    Route(
        "POST",
        "/v1/payment_intents/{id}/confirm",
        collecting.confirm,
        "PaymentIntentConfirmParams",
        True,
    ),
    *_of(
        "/v1/subscriptions",
        "Subscription",
        create=subscriptions.create,
        list=subscriptions.listed,
        retrieve=subscriptions.retrieve,
        update=subscriptions.update,
    ),
    Route("DELETE", "/v1/subscriptions/{id}", subscriptions.cancel, "SubscriptionCancelParams"),
    Route("POST", "/v1/invoices/create_preview", previews.create, "InvoiceCreatePreviewParams"),
    *_of("/v1/invoices", "Invoice", list=invoices.listed, retrieve=invoices.retrieve),
    Route("POST", "/v1/invoices/{id}/pay", collecting.pay_invoice, "InvoicePayParams"),
    Route("POST", "/v1/invoices/{id}/void", invoices.void_asked, "InvoiceVoidInvoiceParams"),
    *_of("/v1/invoice_payments", "InvoicePayment", list=invoices.list_payments),
    *_of("/v1/charges", "Charge", list=charges.listed, retrieve=charges.retrieve),
    *_of(
        "/v1/refunds",
        "Refund",
        create=charges.create_refund,
        list=charges.list_refunds,
        retrieve=charges.retrieve_refund,
    ),
    *_of(
        "/v1/disputes",
        "Dispute",
        list=charges.list_disputes,
        retrieve=charges.retrieve_dispute,
    ),
    *_of(
        "/v1/checkout/sessions",
        "checkout.Session",
        create=checkout.create,
        list=checkout.listed,
        retrieve=checkout.retrieve,
    ),
    Route(
        "POST", "/v1/checkout/sessions/{id}/expire", checkout.expire, "checkout.SessionExpireParams"
    ),
    *_of("/v1/billing_portal/sessions", "billing_portal.Session", create=checkout.create_portal),
    *_of("/v1/webhook_endpoints", "WebhookEndpoint", list=happenings.list_endpoints),
    *_of("/v1/events", "Event", list=happenings.listed, retrieve=happenings.retrieve),
]
