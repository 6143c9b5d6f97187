"""Checkout sessions and sessions of the billing portal; their pages are in `pages`."""

from typing import Any

from billing.sandbox import cards, collecting, customers, invoices, lines, subscriptions
from billing.sandbox.wire import Object, a_list, invalid, metadata, now, page, token
from billing.sandbox.world import Call, World, kept

_DAY = 86400
_OF_SUBSCRIPTION = ("metadata", "trial_period_days", "trial_end", "trial_settings", "description")

_FILTERS = ("customer", "status", "subscription", "payment_intent", "payment_link")


async def create(world: World, call: Call) -> Object:
    """A session with the address of its page."""
    asked = call.asked
    if asked.get("mode") != "subscription":
        raise invalid("This sandbox has sessions of mode subscription only.", param="mode")
    if not asked.get("success_url") or not asked.get("line_items"):
        raise invalid("success_url and line_items are needed.", code="parameter_missing")
    customer = asked.get("customer")
    if customer:
        await customers.customer(world, customer, param="customer")
    session = _session(world, asked)
    world.sessions[session["id"]] = session
    world.extras[session["id"]] = {"asked": asked, "subscription": None}
    return session


def _line_items(world: World, asked: dict[str, Any]) -> list[Object]:
    found = []
    for place, sent in enumerate(asked["line_items"]):
        param = f"line_items[{place}][price]"
        price = kept(world.prices, "price", sent.get("price", ""), param=param)
        if not price["recurring"]:
            raise invalid("Every price must recur.", param=param)
        if not lines.is_metered(price) and not sent.get("quantity"):
            raise invalid("Quantity is required.", param=f"line_items[{place}][quantity]")
        found.append(_line_item(world, price, sent.get("quantity")))
    return found


def _line_item(world: World, price: Object, quantity: int | None) -> Object:
    amount = lines.cost({"price": price, "quantity": quantity or 0})
    return {
        "id": token("li_"),
        "object": "item",
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": lines.called(world, price),
        "price": price,
        "quantity": quantity,
    }


def _session(world: World, asked: dict[str, Any]) -> Object:
    items, named = _line_items(world, asked), token("cs_test_", 48)
    total = sum(item["amount_total"] for item in items)
    if _has_trial(asked):
        total = 0
    return dict.fromkeys(_EMPTY) | {
        "id": named,
        "object": "checkout.session",
        "allow_promotion_codes": asked.get("allow_promotion_codes"),
        "amount_subtotal": total,
        "amount_total": total,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "cancel_url": asked.get("cancel_url"),
        "client_reference_id": asked.get("client_reference_id"),
        "created": now(),
        "currency": items[0]["currency"],
        "custom_fields": [],
        "custom_text": dict.fromkeys(
            ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
        ),
        "customer": asked.get("customer"),
        "customer_email": asked.get("customer_email"),
        "discounts": [],
        "expires_at": now() + _DAY,
        "line_items": a_list(items, f"/v1/checkout/sessions/{named}/line_items"),
        "livemode": False,
        "metadata": metadata({}, asked.get("metadata")),
        "mode": "subscription",
        "payment_method_collection": "always",
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "shipping_options": [],
        "status": "open",
        "success_url": asked["success_url"],
        "ui_mode": "hosted_page",
        "url": f"{world.url}/_pages/checkout/{named}",
    }


def _has_trial(asked: dict[str, Any]) -> bool:
    data = asked.get("subscription_data") or {}
    return bool(data.get("trial_period_days") or data.get("trial_end"))


async def retrieve(world: World, call: Call) -> Object:
    """The session of the path."""
    return kept(world.sessions, "checkout.session", call.id)


async def listed(world: World, call: Call) -> Object:
    """Sessions, newest first."""
    asked = call.asked
    found = [
        one
        for one in reversed(world.sessions.values())
        if all(asked.get(name) in (None, one[name]) for name in _FILTERS)
    ]
    return page(found, asked, "/v1/checkout/sessions")


async def expire(world: World, call: Call) -> Object:
    """The session of the path, which cannot be paid any more."""
    session = kept(world.sessions, "checkout.session", call.id)
    _check_open(session)
    session.update(status="expired", url=None)
    world.events.tell("checkout.session.expired", session)
    return session


def _check_open(session: Object) -> None:
    if session["status"] != "open":
        raise invalid(f"The session is {session['status']}.")


async def complete(world: World, named: str, method: str) -> Object:
    """The session paid with a card. Raises StripeError where that is declined."""
    session = kept(world.sessions, "checkout.session", named)
    _check_open(session)
    subscription = await _subscription(world, session)
    if setup := subscription["pending_setup_intent"]:
        await collecting.set_up(world, setup, method)
    waits = invoices.open_one(world, subscription)
    if waits and not await collecting.collect(world, waits, method):
        raise cards.refused()
    _close(session, subscription)
    world.events.tell("checkout.session.completed", session)
    return session


async def _subscription(world: World, session: Object) -> Object:
    """That of the session, begun by the first attempt to pay."""
    remembered = world.extras[session["id"]]
    if remembered["subscription"]:
        return world.subscriptions[remembered["subscription"]]
    if not session["customer"]:
        asked = {"email": session["customer_email"]} if session["customer_email"] else {}
        session["customer"] = (await customers.create(world, Call(asked, {})))["id"]
    begun = await subscriptions.begin(world, _asked_of(session, remembered["asked"]))
    remembered["subscription"] = begun["id"]
    return begun


def _asked_of(session: Object, asked: dict[str, Any]) -> dict[str, Any]:
    data, shown = asked.get("subscription_data") or {}, ("price", "quantity")
    sent = [{name: each[name] for name in shown if name in each} for each in asked["line_items"]]
    for each in sent:
        price = next(
            line["price"]
            for line in session["line_items"]["data"]
            if line["price"]["id"] == each["price"]
        )
        if lines.is_metered(price):
            each.pop("quantity", None)
    return {name: data[name] for name in _OF_SUBSCRIPTION if name in data} | {
        "customer": session["customer"],
        "discounts": asked.get("discounts", []),
        "items": sent,
        "payment_behavior": "default_incomplete",
        "payment_settings": {"save_default_payment_method": "on_subscription"},
    }


def _close(session: Object, subscription: Object) -> None:
    is_free = session["amount_total"] == 0
    session.update(
        status="complete",
        payment_status="no_payment_required" if is_free else "paid",
        subscription=subscription["id"],
        invoice=subscription["latest_invoice"],
        url=None,
    )


async def create_portal(world: World, call: Call) -> Object:
    """A session of the billing portal with the address of its page."""
    asked = call.asked
    named = asked.get("customer", "")
    await customers.customer(world, named, param="customer")
    session = {
        "id": token("bps_"),
        "object": "billing_portal.session",
        "configuration": asked.get("configuration", "bpc_sandbox"),
        "created": now(),
        "customer": named,
        "customer_account": None,
        "flow": None,
        "livemode": False,
        "locale": asked.get("locale"),
        "on_behalf_of": None,
        "return_url": asked.get("return_url"),
    }
    session["url"] = f"{world.url}/_pages/portal/{session['id']}"
    world.portals[session["id"]] = session
    return session


_EMPTY = (
    "adaptive_pricing",
    "after_expiration",
    "billing_address_collection",
    "client_secret",
    "collected_information",
    "consent",
    "consent_collection",
    "currency_conversion",
    "customer_account",
    "customer_creation",
    "customer_details",
    "invoice",
    "invoice_creation",
    "locale",
    "origin_context",
    "payment_intent",
    "payment_link",
    "payment_method_configuration_details",
    "payment_method_options",
    "permissions",
    "phone_number_collection",
    "recovered_from",
    "saved_payment_method_options",
    "setup_intent",
    "shipping_address_collection",
    "shipping_cost",
    "submit_type",
    "subscription",
    "total_details",
    "wallet_options",
)
