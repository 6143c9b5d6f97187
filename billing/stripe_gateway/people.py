"""Customers, and everything about them that a plan depends on."""

from collections.abc import Iterator
from typing import Any

from billing.stripe_gateway import facts
from billing.stripe_gateway.asking import PAGE, ask
from billing.stripe_gateway.errors import Refused
from billing.stripe_gateway.facts import USER, CustomerState, InvoiceState, SubscriptionState


def create_customer(*, email: str, user_id: str, key: str) -> str:
    """A new customer's id."""
    params = {"email": email, "metadata": {USER: user_id}}
    made = ask(lambda c: c.v1.customers.create(params, options={"idempotency_key": key}))
    return str(made.id)


def delete_customer(customer_id: str) -> None:
    """Delete a customer, which ends every subscription; Stripe keeps the payments that were made.

    One who is gone already is fine.
    """
    try:
        ask(lambda c: c.v1.customers.delete(customer_id))
    except Refused as refusal:
        if not refusal.details.get("missing"):
            raise


def customer_exists(customer_id: str) -> bool:
    """Whether Stripe has this customer and it was not deleted."""
    return _customer(customer_id) is not None


def _customer(customer_id: str) -> Any | None:
    try:
        found = ask(lambda c: c.v1.customers.retrieve(customer_id))
    except Refused as refusal:
        if refusal.details.get("missing"):
            return None
        raise
    return None if getattr(found, "deleted", False) else found


def read_customer(customer_id: str) -> CustomerState:
    """A customer with subscriptions, the newest invoices, and whether the last payment stood."""
    customer = _customer(customer_id)
    if customer is None:
        return CustomerState(customer_id, is_deleted=True)
    return CustomerState(
        customer_id, is_deleted=False, subscriptions=tuple(_subscriptions(customer_id)),
        invoices=list_invoices(customer_id), withdrawn=_withdrawn(customer_id), source=customer,
    )  # fmt: skip


def _subscriptions(customer_id: str) -> Iterator[SubscriptionState]:
    params = {"customer": customer_id, "status": "all", "limit": PAGE,
              "expand": ["data.latest_invoice"]}  # fmt: skip
    found = ask(lambda c: c.v1.subscriptions.list(params))
    return (facts.subscription(row) for row in found.data)


def list_invoices(customer_id: str) -> tuple[InvoiceState, ...]:
    """The newest 24 invoices."""
    found = ask(lambda c: c.v1.invoices.list({"customer": customer_id, "limit": 24}))
    return tuple(facts.invoice(row) for row in found.data)


def _withdrawn(customer_id: str) -> str:
    """Whether the newest payment was given back in full, or is disputed and not won again."""
    charges = ask(lambda c: c.v1.charges.list({"customer": customer_id, "limit": 10})).data
    paid = next((row for row in charges if row.paid), None)
    if paid is None:
        return ""
    if paid.refunded:
        return "refunded"
    if not paid.disputed:
        return ""
    disputes = ask(lambda c: c.v1.disputes.list({"charge": paid.id, "limit": 10})).data
    fine = ("won", "warning_closed", "prevented")
    return "disputed" if any(row.status not in fine for row in disputes) else ""


def customer_of_dispute(dispute_id: str) -> str:
    """Whose payment a dispute is about; it does not say so itself. Empty for nobody's."""
    dispute = ask(lambda c: c.v1.disputes.retrieve(dispute_id))
    charge = ask(lambda c: c.v1.charges.retrieve(facts.id_of(dispute.charge)))
    return facts.id_of(charge.customer) if charge.customer else ""
