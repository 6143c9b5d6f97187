"""The shape of an invoice."""

from collections.abc import Sequence
from typing import Any

from billing.sandbox.wire import Object, a_list, now, token


def draft(customer: Object, subscription: Object, billed: Sequence[Object]) -> Object:
    """An invoice of these lines without amounts, number and payment yet."""
    details = {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]}
    first = subscription["items"]["data"][0]
    nothing: dict[str, Any] = dict.fromkeys(
        (
            "account_tax_ids", "application", "automatically_finalizes_at", "confirmation_secret",
            "custom_fields", "customer_account", "customer_tax_ids", "default_payment_method",
            "default_source", "description", "due_date", "effective_at", "footer",
            "from_invoice", "hosted_invoice_url", "invoice_pdf", "last_finalization_error",
            "latest_revision", "next_payment_attempt", "number", "on_behalf_of",
            "receipt_number", "rendering", "shipping_cost", "shipping_details",
            "statement_descriptor", "test_clock",
        )
    )  # fmt: skip
    return nothing | {
        "id": token("upcoming_in_"),
        "object": "invoice",
        "account_country": "DE",
        "account_name": "Sandbox",
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_shipping": 0,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "collection_method": "charge_automatically",
        "created": now(),
        "currency": subscription["currency"],
        "customer": customer["id"],
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "default_tax_rates": [],
        "issuer": {"type": "self"},
        "lines": a_list(list(billed), "/v1/invoices/upcoming/lines"),
        "livemode": False,
        "metadata": {},
        "parent": {
            "quote_details": None,
            "subscription_details": details,
            "type": "subscription_details",
        },
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "payments": a_list([], "/v1/invoice_payments"),
        "period_end": first["current_period_end"],
        "period_start": first["current_period_start"],
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "status": "draft",
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": None,
    }
