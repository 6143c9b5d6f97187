"""Customers, and what a phone needs to act for one: ephemeral keys."""

from typing import Any

from billing.sandbox.wire import Object, invalid, metadata, missing, now, page, token
from billing.sandbox.world import Call, World

_INNER = ("name", "description", "email", "phone", "preferred_locales", "metadata", "address")
_EXTRAS = ("balance", "shipping", "tax_exempt")
_KEY_SECONDS = 3600


async def create(world: World, call: Call) -> Object:
    """A customer."""
    asked = call.asked
    made = await world.inner.post("customers", **_sent(asked))
    await _keep_extras(world, made["id"], asked)
    customer = _shape(world, made)
    world.events.tell("customer.created", customer)
    return customer


async def customer(world: World, named: str, *, param: str | None = None) -> Object:
    """A customer, or that it is deleted. Raises StripeError."""
    if named in world.deleted:
        if param:
            raise missing("customer", named, param=param)
        return {"id": named, "object": "customer", "deleted": True}
    return _shape(world, await world.known("customer", named, param=param))


async def retrieve(world: World, call: Call) -> Object:
    """The customer of the path, or that it is deleted."""
    return await customer(world, call.id)


async def update(world: World, call: Call) -> Object:
    """The customer with the changes."""
    if call.id in world.deleted:
        raise missing("customer", call.id)
    before = await customer(world, call.id)
    sent = _sent(call.asked)
    if "metadata" in sent:
        # localstripe only adds to metadata, so that what goes is kept there as empty.
        merged = metadata(before["metadata"], call.asked["metadata"])
        sent["metadata"] = {**dict.fromkeys(before["metadata"], ""), **merged}
    if sent:
        await world.inner.post(f"customers/{call.id}", **sent)
    await _keep_extras(world, call.id, call.asked)
    return await changed(world, before)


async def changed(world: World, before: Object) -> Object:
    """The customer as it is now; listeners are told what was otherwise."""
    after = await customer(world, before["id"])
    previous = {name: value for name, value in before.items() if after[name] != value}
    if previous:
        world.events.tell("customer.updated", after, previous)
    return after


async def remove(world: World, named: str) -> Object:
    """That it is deleted."""
    last = await customer(world, named)
    await world.inner.delete(f"customers/{named}")
    world.deleted.add(named)
    world.events.tell("customer.deleted", last)
    return {"id": named, "object": "customer", "deleted": True}


async def listed(world: World, call: Call) -> Object:
    """Customers, newest first."""
    email = call.asked.get("email")
    found = [_shape(world, one) for one in reversed(await world.inner.all("customers"))]
    chosen = [one for one in found if email in (None, one["email"])]
    return page(chosen, call.asked, "/v1/customers")


async def set_default_method(world: World, named: str, method: str) -> None:
    """What later invoices are paid with."""
    before = await customer(world, named)
    world.extras[named]["default_payment_method"] = method
    await changed(world, before)


def _sent(asked: dict[str, Any]) -> dict[str, Any]:
    sent = {name: asked[name] for name in _INNER if asked.get(name, "") != ""}
    emptied = {name: None for name in _INNER if asked.get(name) == "" and name != "metadata"}
    if asked.get("metadata") == "":
        sent["metadata"] = {}
    return sent | emptied


async def _keep_extras(world: World, named: str, asked: dict[str, Any]) -> None:
    extras = world.extras[named]
    extras.update({name: asked[name] or None for name in _EXTRAS if name in asked})
    settings = asked.get("invoice_settings") or {}
    if "default_payment_method" in settings:
        method = settings["default_payment_method"] or None
        if method:
            await _owned(world, named, method)
        extras["default_payment_method"] = method


async def _owned(world: World, named: str, method: str) -> None:
    param = "invoice_settings[default_payment_method]"
    found = await world.known("payment_method", method, param=param)
    if found["customer"] != named:
        raise invalid("The customer does not have this payment method.", param=param)


def _shape(world: World, inner: Object) -> Object:
    extras = world.extras[inner["id"]]
    return {
        "id": inner["id"],
        "object": "customer",
        "address": inner["address"],
        "balance": extras.get("balance") or 0,
        "created": inner["created"],
        "currency": extras.get("currency"),
        "default_source": None,
        "delinquent": _owes(world, inner["id"]),
        "description": inner["description"],
        "discount": None,
        "email": inner["email"],
        "invoice_prefix": inner["id"].removeprefix("cus_")[:8].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": extras.get("default_payment_method"),
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": metadata(inner["metadata"], None),
        "name": inner["name"],
        "next_invoice_sequence": extras.get("invoices", 0) + 1,
        "phone": inner["phone"],
        "preferred_locales": inner["preferred_locales"] or [],
        "shipping": extras.get("shipping"),
        "tax_exempt": extras.get("tax_exempt") or "none",
        "test_clock": None,
    }


def _owes(world: World, named: str) -> bool:
    owned = (one for one in world.subscriptions.values() if one["customer"] == named)
    return any(one["status"] in ("past_due", "unpaid") for one in owned)


async def create_ephemeral_key(world: World, call: Call) -> Object:
    """A short-lived key; the phone's version of the API must be named."""
    if not call.version:
        raise invalid("A Stripe-Version header is required for ephemeral keys.")
    named = call.asked.get("customer")
    if not named:
        raise invalid("You must specify customer.", param="customer", code="parameter_missing")
    await customer(world, named, param="customer")
    return {
        "id": token("ephkey_"),
        "object": "ephemeral_key",
        "associated_objects": [{"id": named, "type": "customer"}],
        "created": now(),
        "expires": now() + _KEY_SECONDS,
        "livemode": False,
        "secret": token("ek_test_", 48),
    }
