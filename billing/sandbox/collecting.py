"""Payments: confirmed by a phone or by us, declined, or left to the holder of the card."""

from billing.sandbox import cards, charges, customers, intents, invoices, states
from billing.sandbox.inner import InnerError
from billing.sandbox.wire import Object, StripeError, invalid, missing
from billing.sandbox.world import Call, World, kept

_NOT_THERE = "payment_intent_unexpected_state"


async def confirm(world: World, call: Call) -> Object:
    """The payment intent of the path, paid or waiting. Raises StripeError if declined."""
    inner = await world.known("payment_intent", call.id)
    intents.check_secret(call, inner)
    method = call.asked.get("payment_method") or inner["payment_method"]
    if not method:
        message = "You cannot confirm this PaymentIntent: it is missing a payment method."
        raise invalid(message, code=_NOT_THERE)
    return await pay(world, call.id, method)


async def pay(world: World, named: str, method: str) -> Object:
    """The payment intent after an attempt to pay. Raises StripeError if declined."""
    inner = await world.known("payment_intent", named)
    if inner["status"] in ("succeeded", "canceled"):
        message = f"This PaymentIntent has a status of {inner['status']}."
        raise invalid(message, code=_NOT_THERE)
    card = await cards.resolved(world, method, inner["customer"])
    path = f"payment_intents/{named}"
    await world.inner.post(path, payment_method=card["id"], latest_charge=None, next_action=None)
    try:
        tried = await world.inner.post(f"{path}/confirm")
    except InnerError as error:
        raise await _declined(world, named, card, error) from None
    if tried["status"] != "requires_action":
        return await _succeeded(world, named)
    if world.extras[card["id"]].get("is_authenticated"):
        return await _authenticated(world, tried)
    if invoice := invoices.of_intent(world, named):
        invoices.asks(world, invoice)
    return await intents.payment_intent(world, named)


async def _declined(world: World, named: str, card: Object, error: InnerError) -> StripeError:
    if error.status != 402:
        raise error
    charge, intent = error.error["charge"], await intents.payment_intent(world, named)
    world.events.tell("charge.failed", await charges.charge(world, charge))
    world.events.tell("payment_intent.payment_failed", intent)
    if invoice := invoices.of_intent(world, named):
        invoices.failed(world, invoice)
    return cards.declined(world, card["id"], charge, payment_intent=intent, payment_method=card)


async def _succeeded(world: World, named: str) -> Object:
    intent = await intents.payment_intent(world, named)
    world.events.tell("charge.succeeded", await charges.charge(world, intent["latest_charge"]))
    world.events.tell("payment_intent.succeeded", intent)
    if invoice := invoices.of_intent(world, named):
        await invoices.paid(world, invoice, intent["payment_method"])
    return intent


async def authenticate(world: World, named: str, *, success: bool) -> Object:
    """The payment intent after its card's holder was asked."""
    inner = await world.known("payment_intent", named)
    if inner["status"] != "requires_action":
        raise invalid("It does not wait for authentication.", code=_NOT_THERE)
    if success:
        world.extras[inner["payment_method"]]["is_authenticated"] = True
        return await _authenticated(world, inner)
    return await _unauthenticated(world, inner)


async def _authenticated(world: World, inner: Object) -> Object:
    secret = inner["client_secret"]
    path = f"payment_intents/{inner['id']}/_authenticate"
    await world.inner.post(path, client_secret=secret, success=True)
    return await _succeeded(world, inner["id"])


async def _unauthenticated(world: World, inner: Object) -> Object:
    named, secret = inner["id"], inner["client_secret"]
    invoice = invoices.of_intent(world, named)
    # localstripe would cancel the subscription of a linked invoice; Stripe lets it wait.
    await world.inner.post(f"payment_intents/{named}", invoice=None)
    path = f"payment_intents/{named}/_authenticate"
    await world.inner.post(path, client_secret=secret, success=False)
    intent = await intents.payment_intent(world, named)
    world.events.tell("payment_intent.payment_failed", intent)
    if invoice:
        await intents.link(world, named, invoice["id"])
        invoices.failed(world, invoice)
    return intent


async def collect(world: World, invoice: Object, method: str) -> bool:
    """Whether an open invoice could be paid with a payment method."""
    intent = invoice["payments"]["data"][0]["payment"]["payment_intent"]
    try:
        after = await pay(world, intent, method)
    except StripeError as error:
        if error.status != 402:
            raise
        return False
    return bool(after["status"] == "succeeded")


async def default_method(world: World, subscription: Object) -> str | None:
    """What the invoices of a subscription are paid with."""
    if own := subscription["default_payment_method"]:
        return str(own)
    customer = await customers.customer(world, subscription["customer"], param="customer")
    named = customer["invoice_settings"]["default_payment_method"]
    return str(named) if named else None


async def collect_by_default(world: World, invoice: Object) -> bool:
    """Whether an open invoice could be paid; without a payment method it fails."""
    subscription = world.subscriptions[invoices.subscription_of(invoice)]
    method = await default_method(world, subscription)
    if method is None:
        invoices.failed(world, invoice)
        return False
    return await collect(world, invoice, method)


async def collect_or_drop(world: World, invoice: Object) -> None:
    """Pay a new invoice and tell of it; unpaid, it is as if it had never been.

    Raises StripeError where it is not paid.
    """
    if invoice["status"] == "paid":
        invoices.announce(world, invoice)
        return
    # Out of sight while it is tried, so that a failure tells of the payment only.
    del world.invoices[invoice["id"]]
    intent = invoice["payments"]["data"][0]["payment"]["payment_intent"]
    try:
        method = await _pay_by_default(world, invoice, intent)
    except StripeError:
        await world.inner.post(f"payment_intents/{intent}/cancel")
        raise
    world.invoices[invoice["id"]] = invoice
    invoices.announce(world, invoice)
    await invoices.paid(world, invoice, method)


async def _pay_by_default(world: World, invoice: Object, intent: str) -> str:
    subscription = world.subscriptions[invoices.subscription_of(invoice)]
    method = await default_method(world, subscription)
    if method is None:
        raise missing("default payment method of", invoice["customer"], param="customer")
    after = await pay(world, intent, method)
    if after["status"] != "succeeded":
        raise _asks_its_holder(after)
    return method


def _asks_its_holder(intent: Object) -> StripeError:
    code = "subscription_payment_intent_requires_action"
    message = "The holder of the card must agree to the payment."
    return StripeError(402, "card_error", message, code=code, payment_intent=intent)


async def pay_invoice(world: World, call: Call) -> Object:
    """The invoice of the path, paid. Raises StripeError."""
    invoice = kept(world.invoices, "invoice", call.id)
    if invoice["status"] != "open":
        raise invalid("Invoice is not open.", code="invoice_not_editable")
    subscription = world.subscriptions[invoices.subscription_of(invoice)]
    method = call.asked.get("payment_method") or await default_method(world, subscription)
    if not method:
        raise missing("default payment method of customer", invoice["customer"], param="customer")
    await pay(world, invoice["payments"]["data"][0]["payment"]["payment_intent"], method)
    return invoice


async def confirm_setup(world: World, call: Call) -> Object:
    """The setup intent of the path: its card is what later invoices are paid with."""
    inner = await world.known("setup_intent", call.id)
    intents.check_secret(call, inner)
    method = call.asked.get("payment_method") or inner["payment_method"]
    if not method or inner["status"] == "succeeded":
        message = "You cannot confirm this SetupIntent."
        raise invalid(message, code="setup_intent_unexpected_state")
    return await set_up(world, call.id, method)


async def set_up(world: World, named: str, method: str) -> Object:
    """The setup intent after its card was checked. Raises StripeError if declined."""
    inner = await world.known("setup_intent", named)
    card = await cards.resolved(world, method, inner["customer"])
    shown = world.extras[card["id"]]
    if not shown.get("pays", True) and card["card"]["last4"] != "3155":
        raise cards.declined(world, card["id"], None, payment_method=card)
    # The holder is taken to have agreed, so that later payments need not ask again.
    shown["is_authenticated"] = True
    await world.inner.post(f"setup_intents/{named}", payment_method=card["id"])
    await world.inner.post(f"setup_intents/{named}/confirm")
    await customers.set_default_method(world, inner["customer"], card["id"])
    for subscription in world.subscriptions.values():
        if subscription["pending_setup_intent"] == named:
            states.change(
                world,
                subscription,
                default_payment_method=card["id"],
                pending_setup_intent=None,
            )
    return await intents.setup_intent(world, named)
