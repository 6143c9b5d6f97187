"""Invoices: made, announced, paid, failed, voided."""

from collections.abc import Sequence

from billing.sandbox import customers, intents, invoice_shape, lines, states
from billing.sandbox.inner import InnerError
from billing.sandbox.wire import Object, a_list, missing, now, page, token
from billing.sandbox.world import Call, World, kept

_RETRY_SECONDS = 3 * 86400
_PAYABLE = ("incomplete", "past_due", "unpaid")


async def make(
    world: World, subscription: Object, billed: Sequence[Object], *, reason: str
) -> Object:
    """An invoice of these lines, open or already paid where nothing is due.

    Nobody is told yet. What the customer has left over from earlier is taken off.
    """
    await lines.discount(world, billed, subscription["discounts"])
    invoice = await preview(world, subscription, billed, reason=reason)
    due = invoice["amount_due"]
    if reason != "subscription_cycle":
        # It is about this moment; what its lines are about says each of them.
        invoice.update(period_start=now(), period_end=now())
    named = await _mirror(world, subscription, due)
    _place(world, invoice, named)
    if due:
        await _ask_for(world, invoice)
    extras = world.extras[subscription["customer"]]
    extras["balance"] = invoice["ending_balance"]
    world.invoices[named] = invoice
    subscription["latest_invoice"] = named
    _use_up(world, subscription)
    return invoice


async def preview(
    world: World, subscription: Object, billed: Sequence[Object], *, reason: str
) -> Object:
    """What an invoice of these lines would be; their discounts are written already."""
    customer = await customers.customer(world, subscription["customer"], param="customer")
    subtotal, off = sum(each["amount"] for each in billed), lines.taken_off(billed)
    total, balance = subtotal - sum(each["amount"] for each in off), customer["balance"]
    due = max(total + balance, 0)
    return invoice_shape.draft(customer, subscription, billed) | {
        "amount_due": due,
        "amount_remaining": due,
        "billing_reason": reason,
        "discounts": list(subscription["discounts"]),
        "ending_balance": min(total + balance, 0),
        "starting_balance": balance,
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal,
        "total": total,
        "total_discount_amounts": off,
        "total_excluding_tax": total,
    }


async def _mirror(world: World, subscription: Object, due: int) -> str:
    """The invoice at localstripe, of the same amount.

    localstripe knows one item of a subscription; an item of its own makes up the difference.
    """
    customer, named = subscription["customer"], subscription["id"]
    rest = due - world.beside[named].base
    if rest:
        currency = subscription["currency"]
        await world.inner.post("invoiceitems", customer=customer, amount=rest, currency=currency)
    made = await world.inner.post("invoices", customer=customer, subscription=named)
    try:
        await world.inner.post(f"invoices/{made['id']}/pay")
    except InnerError as error:
        # It is final from here on and waits for the payment that we bring; its customers have
        # no default payment method there, so that nothing is paid before it is asked for.
        if "no payment method" not in error.error.get("message", ""):
            raise
    return str(made["id"])


def _place(world: World, invoice: Object, named: str) -> None:
    """Give it its identifier, number and addresses."""
    extras = world.extras[invoice["customer"]]
    extras["invoices"] = extras.get("invoices", 0) + 1
    prefix = invoice["customer"].removeprefix("cus_")[:8].upper()
    address = f"{world.url}/_pages/invoices/{named}"
    paid_at = None if invoice["amount_due"] else now()
    invoice.update(
        id=named,
        number=f"{prefix}-{extras['invoices']:04}",
        hosted_invoice_url=address,
        invoice_pdf=f"{address}/pdf",
        status="open" if invoice["amount_due"] else "paid",
        effective_at=now(),
    )
    invoice["status_transitions"].update(finalized_at=now(), paid_at=paid_at)
    invoice["lines"]["url"] = f"/v1/invoices/{named}/lines"
    for line in invoice["lines"]["data"]:
        line["invoice"] = named


async def _ask_for(world: World, invoice: Object) -> None:
    """The payment intent that the invoice is paid through, linked with it at localstripe."""
    customer, due, named = invoice["customer"], invoice["amount_due"], invoice["id"]
    intent = await intents.make(world, customer, due, invoice["currency"], invoice=named)
    secret = intent["client_secret"]
    invoice["confirmation_secret"] = {"client_secret": secret, "type": "payment_intent"}
    payment = _payment(invoice, intent["id"])
    invoice["payments"] = a_list([payment], f"/v1/invoice_payments?invoice={named}")


def _payment(invoice: Object, intent: str) -> Object:
    return {
        "id": token("inpay_"),
        "object": "invoice_payment",
        "amount_paid": None,
        "amount_requested": invoice["amount_due"],
        "created": now(),
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": intent, "type": "payment_intent"},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }


def _use_up(world: World, subscription: Object) -> None:
    """Discounts that are for one invoice are gone after it."""
    lasting = [one for one in subscription["discounts"] if not world.extras[one].get("is_once")]
    subscription["discounts"] = lasting


def announce(world: World, invoice: Object) -> None:
    """Tell that it was made and finalized, and paid if nothing was due."""
    for kind in ("invoice.created", "invoice.finalized"):
        world.events.tell(kind, invoice)
    if invoice["status"] == "paid":
        _tell_paid(world, invoice)


def _tell_paid(world: World, invoice: Object) -> None:
    for kind in ("invoice.paid", "invoice.payment_succeeded"):
        world.events.tell(kind, invoice)


async def paid(world: World, invoice: Object, method: str) -> None:
    """Its payment succeeded: the subscription goes on, and keeps the payment method."""
    due, at = invoice["amount_due"], now()
    invoice.update(status="paid", amount_paid=due, amount_remaining=0, next_payment_attempt=None)
    _attempted(invoice)
    invoice["status_transitions"]["paid_at"] = at
    payment = invoice["payments"]["data"][0]
    payment.update(status="paid", amount_paid=due)
    payment["status_transitions"]["paid_at"] = at
    _tell_paid(world, invoice)
    subscription = world.subscriptions[subscription_of(invoice)]
    goes_on = subscription["status"] in _PAYABLE and subscription["latest_invoice"] == invoice["id"]
    status = "active" if goes_on else subscription["status"]
    states.change(world, subscription, status=status, default_payment_method=method)
    await customers.set_default_method(world, invoice["customer"], method)


def failed(world: World, invoice: Object) -> None:
    """A payment failed: what already ran is past due."""
    _attempted(invoice)
    subscription = world.subscriptions[subscription_of(invoice)]
    if subscription["status"] != "incomplete":
        invoice["next_payment_attempt"] = now() + _RETRY_SECONDS
    world.events.tell("invoice.payment_failed", invoice)
    fall_behind(world, subscription)


def asks(world: World, invoice: Object) -> None:
    """Its payment waits for the holder of the card."""
    world.events.tell("invoice.payment_action_required", invoice)
    fall_behind(world, world.subscriptions[subscription_of(invoice)])


def fall_behind(world: World, subscription: Object) -> None:
    """What ran is past due now."""
    if subscription["status"] in ("active", "trialing"):
        states.change(world, subscription, status="past_due")


def _attempted(invoice: Object) -> None:
    invoice.update(attempted=True, attempt_count=invoice["attempt_count"] + 1)


async def void(world: World, invoice: Object) -> None:
    """It is not to be paid any more."""
    if world.subscriptions[subscription_of(invoice)]["status"] == "incomplete":
        await world.inner.post(f"invoices/{invoice['id']}/void")
    else:
        # localstripe would end the subscription with the invoice.
        intent = invoice["payments"]["data"][0]["payment"]["payment_intent"]
        await world.inner.post(f"payment_intents/{intent}/cancel")
    invoice.update(status="void", next_payment_attempt=None)
    invoice["status_transitions"]["voided_at"] = now()
    for payment in invoice["payments"]["data"]:
        payment["status"] = "canceled"
        payment["status_transitions"]["canceled_at"] = now()
    world.events.tell("invoice.voided", invoice)


def subscription_of(invoice: Object) -> str:
    """The subscription that an invoice belongs to."""
    return str(invoice["parent"]["subscription_details"]["subscription"])


def open_one(world: World, subscription: Object) -> Object | None:
    """The newest invoice of a subscription that waits for payment."""
    found = (
        invoice
        for invoice in reversed(world.invoices.values())
        if invoice["status"] == "open" and subscription_of(invoice) == subscription["id"]
    )
    return next(found, None)


async def retrieve(world: World, call: Call) -> Object:
    """The invoice of the path."""
    return kept(world.invoices, "invoice", call.id)


async def listed(world: World, call: Call) -> Object:
    """Invoices, newest first."""
    asked = call.asked
    found = [
        invoice
        for invoice in reversed(world.invoices.values())
        if asked.get("customer") in (None, invoice["customer"])
        and asked.get("status") in (None, invoice["status"])
        and asked.get("subscription") in (None, subscription_of(invoice))
    ]
    return page(found, asked, "/v1/invoices")


async def list_payments(world: World, call: Call) -> Object:
    """Which payment intents pay which invoices, newest first."""
    asked = call.asked
    intent = asked.get("payment", {}).get("payment_intent")
    payments = (
        payment
        for invoice in reversed(world.invoices.values())
        for payment in invoice["payments"]["data"]
    )
    found = [
        one
        for one in payments
        if asked.get("invoice") in (None, one["invoice"])
        and intent in (None, one["payment"]["payment_intent"])
        and asked.get("status") in (None, one["status"])
    ]
    return page(found, asked, "/v1/invoice_payments")


def of_intent(world: World, intent: str) -> Object | None:
    """The invoice that a payment intent pays."""
    for invoice in world.invoices.values():
        for payment in invoice["payments"]["data"]:
            if payment["payment"]["payment_intent"] == intent:
                return invoice
    return None


async def void_asked(world: World, call: Call) -> Object:
    """The invoice of the path, void now."""
    invoice = kept(world.invoices, "invoice", call.id)
    if invoice["status"] != "open":
        raise missing("open invoice", call.id)
    await void(world, invoice)
    return invoice
