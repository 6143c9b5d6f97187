"""Cards that pay, that are declined, and that ask their holder, under Stripe's test names."""

from dataclasses import dataclass

from billing.sandbox.inner import InnerError
from billing.sandbox.wire import Object, StripeError, metadata, missing, page
from billing.sandbox.world import Call, World


@dataclass(frozen=True)
class Card:
    """A test card: the number that makes localstripe behave so, and what is shown of it."""

    number: str
    last4: str
    brand: str = "visa"
    decline_code: str = "generic_decline"


# The numbers of the declined ones are those that localstripe lets a customer have.
_DECLINED = "4000000000000341"
_ASKING = "4000002500003155"
GOOD, BAD = "pm_card_visa", "pm_card_chargeDeclined"
_CARDS = {
    GOOD: Card("4242424242424242", "4242"),
    "pm_card_mastercard": Card("5555555555554444", "4444", "mastercard"),
    BAD: Card(_DECLINED, "0002"),
    "pm_card_visa_chargeDeclined": Card(_DECLINED, "0002"),
    "pm_card_chargeCustomerFail": Card(_DECLINED, "0341"),
    "pm_card_chargeDeclinedInsufficientFunds": Card(
        _DECLINED, "9995", decline_code="insufficient_funds"
    ),
    "pm_card_authenticationRequired": Card(_ASKING, "3155"),
}


async def resolved(world: World, named: str, customer: str | None) -> Object:
    """The payment method of a name or identifier, made if it is a test name, and attached.

    Raises StripeError.
    """
    inner = await _made(world, _CARDS[named]) if named in _CARDS else None
    if inner is None:
        inner = await _inner(world, named, param="payment_method")
    if customer and inner["customer"] != customer:
        inner = await world.inner.post(f"payment_methods/{inner['id']}/attach", customer=customer)
    return _shape(world, inner)


async def _made(world: World, card: Card) -> Object:
    sent = {"number": card.number, "exp_month": 12, "exp_year": 2034, "cvc": "123"}
    made = await world.inner.post("payment_methods", type="card", card=sent)
    world.extras[made["id"]] = {
        "last4": card.last4,
        "brand": card.brand,
        "decline_code": card.decline_code,
        "pays": card.number not in (_DECLINED, _ASKING),
    }
    return made


async def _inner(world: World, named: str, *, param: str | None = None) -> Object:
    try:
        return await world.inner.get(f"payment_methods/{named}")
    except InnerError:
        raise missing("PaymentMethod", named, param=param) from None


async def method(world: World, named: str) -> Object:
    """A payment method. Raises StripeError."""
    return _shape(world, await _inner(world, named))


def _shape(world: World, inner: Object) -> Object:
    shown = world.extras[inner["id"]]
    card = inner["card"]
    return {
        "id": inner["id"],
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {
            "address": dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state")),
            "email": None,
            "name": None,
            "phone": None,
            "tax_id": None,
        },
        "card": {
            "brand": shown.get("brand", card["brand"]),
            "checks": {
                "address_line1_check": None,
                "address_postal_code_check": None,
                "cvc_check": "pass",
            },
            "country": "US",
            "display_brand": shown.get("brand", card["brand"]),
            "exp_month": card["exp_month"],
            "exp_year": card["exp_year"],
            "fingerprint": card["fingerprint"],
            "funding": "credit",
            "generated_from": None,
            "last4": shown.get("last4", card["last4"]),
            "networks": {"available": [shown.get("brand", "visa")], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": inner["created"],
        "customer": inner["customer"],
        "livemode": False,
        "metadata": metadata(inner["metadata"], None),
        "type": "card",
    }


def declined(world: World, named: str, charge: str | None, **more: Object) -> StripeError:
    """The error that a declined card leads to."""
    return StripeError(
        402,
        "card_error",
        "Your card was declined.",
        code="card_declined",
        decline_code=world.extras[named].get("decline_code", "generic_decline"),
        charge=charge,
        doc_url="https://stripe.com/docs/error-codes/card-declined",
        **more,
    )


def refused() -> StripeError:
    """The error of a card that did not pay, where no more is known of it."""
    return StripeError(402, "card_error", "The card did not pay.", code="card_declined")


async def retrieve(world: World, call: Call) -> Object:
    """The payment method of the path."""
    return (
        await resolved(world, call.id, None) if call.id in _CARDS else await method(world, call.id)
    )


async def attach(world: World, call: Call) -> Object:
    """The payment method, now the customer's."""
    await world.known("customer", call.asked["customer"], param="customer")
    found = await resolved(world, call.id, None)
    if not world.extras[found["id"]].get("pays", True) and found["card"]["last4"] == "0002":
        raise declined(world, found["id"], None)
    return await resolved(world, found["id"], call.asked["customer"])


async def detach(world: World, call: Call) -> Object:
    """The payment method, nobody's now."""
    await _inner(world, call.id)
    for extras in world.extras.values():
        if extras.get("default_payment_method") == call.id:
            extras["default_payment_method"] = None
    for subscription in world.subscriptions.values():
        if subscription["default_payment_method"] == call.id:
            subscription["default_payment_method"] = None
    await world.inner.post(f"payment_methods/{call.id}/detach")
    return await method(world, call.id)


async def listed(world: World, call: Call) -> Object:
    """The payment methods of a customer, newest first."""
    asked = call.asked
    return page(
        [_shape(world, one) for one in reversed(await _all(world, asked["customer"]))],
        asked,
        "/v1/payment_methods",
    )


async def _all(world: World, customer: str) -> list[Object]:
    await world.known("customer", customer, param="customer")
    path = f"payment_methods?customer={customer}&type=card&limit=100000"
    return list((await world.inner.get(path))["data"])
