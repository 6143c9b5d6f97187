"""Customers, and everything about them that a plan depends on."""

from collections.abc import Iterator, Sequence
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
    invoices = _invoices(customer_id)
    return CustomerState(
        customer_id, is_deleted=False, subscriptions=tuple(_subscriptions(customer_id)),
        invoices=tuple(facts.invoice(row) for row in invoices), source=customer,
        withdrawn=_withdrawn(customer_id, invoices),
    )  # fmt: skip


def _subscriptions(customer_id: str) -> Iterator[SubscriptionState]:
    params = {"customer": customer_id, "status": "all", "limit": PAGE,
              "expand": ["data.latest_invoice"]}  # fmt: skip
    found = ask(lambda c: c.v1.subscriptions.list(params))
    return (facts.subscription(row) for row in found.data)


def list_invoices(customer_id: str) -> tuple[InvoiceState, ...]:
    """The newest 24 invoices."""
    return tuple(facts.invoice(row) for row in _invoices(customer_id))


def _invoices(customer_id: str) -> Sequence[Any]:
    params = {"customer": customer_id, "limit": 24, "expand": ["data.payments"]}
    return ask(lambda c: c.v1.invoices.list(params)).data


_PLAN_PAYMENTS = ("subscription_create", "subscription_cycle")  # not changes, not calls
_FINE = ("won", "prevented")  # and mere inquiries, whose states begin with "warning"


def _withdrawn(customer_id: str, invoices: Sequence[Any]) -> dict[str, str]:
    """By subscription: why the newest payment of its plan went back; those that stand are not
    named. What was paid for calls or for a change of plan says nothing about the plan."""
    newest: dict[str, Any] = {}
    for row in invoices:  # the newest first
        owner = _subscription_of(row)
        if owner and row.status == "paid" and row.billing_reason in _PLAN_PAYMENTS:
            newest.setdefault(owner, row)
    paid = {owner: intents for owner, row in newest.items() if (intents := _intents(row))}
    if not paid:
        return {}
    charges = ask(lambda c: c.v1.charges.list({"customer": customer_id, "limit": PAGE})).data
    return {
        owner: why
        for owner, intents in paid.items()
        for charge in charges
        if charge.payment_intent in intents and charge.paid and (why := _why(charge))
    }


def _why(charge: Any) -> str:
    if charge.refunded:
        return "refunded"
    if not charge.disputed:
        return ""
    disputes = ask(lambda c: c.v1.disputes.list({"charge": charge.id, "limit": 10})).data
    open_ones = [
        d for d in disputes if d.status not in _FINE and not d.status.startswith("warning")
    ]
    return "disputed" if open_ones else ""


def _subscription_of(invoice: Any) -> str:
    parent = invoice.parent
    details = parent.subscription_details if parent else None
    return facts.id_of(details.subscription) if details and details.subscription else ""


def _intents(invoice: Any) -> set[str]:
    """The payments by which an invoice was paid."""
    payments = getattr(invoice, "payments", None)
    rows = payments.data if payments else []
    return {
        facts.id_of(row.payment.payment_intent) for row in rows
        if getattr(row.payment, "payment_intent", None)
    }  # fmt: skip


def customer_of_dispute(dispute_id: str) -> str:
    """Whose payment a dispute is about; it does not say so itself. Empty for nobody's."""
    dispute = ask(lambda c: c.v1.disputes.retrieve(dispute_id))
    charge = ask(lambda c: c.v1.charges.retrieve(facts.id_of(dispute.charge)))
    return facts.id_of(charge.customer) if charge.customer else ""
