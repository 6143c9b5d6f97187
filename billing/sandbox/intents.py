"""Payment intents and setup intents as they are told outward."""

from billing.sandbox import cards
from billing.sandbox.wire import Object, invalid, metadata, page
from billing.sandbox.world import Call, World

_NOT_ITS_OWN = "The client_secret provided does not match any associated intent."


async def make(world: World, customer: str, amount: int, currency: str, *, invoice: str) -> Object:
    """A payment intent that pays an invoice."""
    made = await world.inner.post(
        "payment_intents", customer=customer, amount=amount, currency=currency
    )
    await link(world, made["id"], invoice)
    return await payment_intent(world, made["id"])


async def link(world: World, intent: str, invoice: str) -> None:
    """Let localstripe know that one pays the other."""
    await world.inner.post(f"payment_intents/{intent}", invoice=invoice)
    await world.inner.post(f"invoices/{invoice}", payment_intent=intent)


async def payment_intent(world: World, named: str) -> Object:
    """A payment intent. Raises StripeError."""
    return await _payment_shape(world, await world.known("payment_intent", named))


async def retrieve(world: World, call: Call) -> Object:
    """The payment intent of the path; a phone must know its secret."""
    inner = await world.known("payment_intent", call.id)
    check_secret(call, inner)
    return await _payment_shape(world, inner)


async def listed(world: World, call: Call) -> Object:
    """Payment intents, newest first."""
    customer = call.asked.get("customer")
    found = [
        await _payment_shape(world, one)
        for one in reversed(await world.inner.all("payment_intents"))
        if customer in (None, one["customer"])
    ]
    return page(found, call.asked, "/v1/payment_intents")


def check_secret(call: Call, inner: Object) -> None:
    """A publishable key opens only what the secret belongs to. Raises StripeError."""
    secret = call.asked.get("client_secret")
    if (secret or call.is_public) and secret != inner["client_secret"]:
        raise invalid(_NOT_ITS_OWN, param="client_secret", code="resource_missing")


async def _payment_shape(world: World, inner: Object) -> Object:
    charge, status = inner["latest_charge"], inner["status"]
    is_paid = status == "succeeded"
    waits = status == "requires_payment_method"
    return dict.fromkeys(_EMPTY_OF_PAYMENT) | {
        "id": inner["id"],
        "object": "payment_intent",
        "amount": inner["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": inner["amount"] if is_paid else 0,
        "capture_method": "automatic",
        "client_secret": inner["client_secret"],
        "confirmation_method": "automatic",
        "created": inner["created"],
        "currency": inner["currency"],
        "customer": inner["customer"],
        "last_payment_error": await _last_error(world, inner),
        "latest_charge": charge["id"] if charge else None,
        "livemode": False,
        "metadata": metadata(inner["metadata"], None),
        "next_action": inner["next_action"],
        "payment_method": None if waits else inner["payment_method"],
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "setup_future_usage": "off_session",
        "status": status,
    }


async def _last_error(world: World, inner: Object) -> Object | None:
    told = inner["last_payment_error"]
    if told is None:
        return None
    error = {"code": told["code"], "message": told["message"]}
    if "charge" not in told:
        return {**error, "type": "invalid_request_error"}
    method = await cards.method(world, inner["payment_method"])
    refused = cards.declined(world, method["id"], told["charge"], payment_method=method)
    return dict(refused.body()["error"])


async def make_setup(world: World, customer: str, **sent: object) -> Object:
    """A setup intent of a customer."""
    made = await world.inner.post("setup_intents", customer=customer, **sent)
    return await setup_intent(world, made["id"])


async def setup_intent(world: World, named: str) -> Object:
    """A setup intent. Raises StripeError."""
    return _setup_shape(await world.known("setup_intent", named))


async def create_setup(world: World, call: Call) -> Object:
    """A setup intent."""
    asked = call.asked
    await world.known("customer", asked.get("customer", ""), param="customer")
    sent = {name: asked[name] for name in ("usage", "metadata") if name in asked}
    return await make_setup(world, asked["customer"], **sent)


async def retrieve_setup(world: World, call: Call) -> Object:
    """The setup intent of the path; a phone must know its secret."""
    inner = await world.known("setup_intent", call.id)
    check_secret(call, inner)
    return _setup_shape(inner)


def _setup_shape(inner: Object) -> Object:
    return dict.fromkeys(_EMPTY_OF_SETUP) | {
        "id": inner["id"],
        "object": "setup_intent",
        "client_secret": inner["client_secret"],
        "created": inner["created"],
        "customer": inner["customer"],
        "livemode": False,
        "metadata": metadata(inner["metadata"], None),
        "next_action": inner["next_action"],
        "payment_method": inner["payment_method"],
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "status": inner["status"],
        "usage": inner["usage"],
    }


_EMPTY_OF_BOTH = (
    "application",
    "automatic_payment_methods",
    "cancellation_reason",
    "customer_account",
    "description",
    "excluded_payment_method_types",
    "on_behalf_of",
    "payment_method_configuration_details",
)
_EMPTY_OF_PAYMENT = (
    *_EMPTY_OF_BOTH,
    "application_fee_amount",
    "canceled_at",
    "processing",
    "receipt_email",
    "review",
    "shipping",
    "source",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_data",
    "transfer_group",
)
_EMPTY_OF_SETUP = (
    *_EMPTY_OF_BOTH,
    "attach_to_self",
    "flow_directions",
    "last_setup_error",
    "latest_attempt",
    "mandate",
    "single_use_mandate",
)
