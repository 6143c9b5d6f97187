"""Subscriptions: begun, looked at, canceled. How they are changed is in `changes`."""

from typing import Any

from billing.sandbox import (
    changes,
    collecting,
    customers,
    intents,
    invoices,
    lines,
    periods,
    shapes,
    states,
)
from billing.sandbox.wire import Object, invalid, missing, now, page
from billing.sandbox.world import Beside, Call, World, kept

_DAY = 86400
_WARNING_DAYS = 3
_ENDED = {"ended": states.OVER}


async def create(world: World, call: Call) -> Object:
    """A subscription: trialing, active, or incomplete until its first invoice is paid."""
    return await begin(world, call.asked)


async def begin(world: World, asked: dict[str, Any]) -> Object:
    """See `create`. Raises StripeError."""
    customer = await customers.customer(world, asked["customer"], param="customer")
    behavior = asked.get("payment_behavior", "allow_incomplete")
    trial_end = _trial_end(asked)
    await _check_payable(world, asked, customer, behavior, trial_end)
    changes.check_trial_settings(asked)
    # What is refused must leave no subscription behind.
    await changes.asked_discounts(world, customer["id"], asked.get("discounts") or [])
    subscription = await _registered(world, asked)
    await changes.give_discounts(world, subscription, asked.get("discounts") or [])
    invoice = await _first_invoice(world, subscription, trial_end)
    changes.set_end(subscription, asked)
    world.extras[customer["id"]]["currency"] = subscription["currency"]
    world.events.tell("customer.subscription.created", subscription)
    invoices.announce(world, invoice)
    if trial_end and trial_end <= now() + _WARNING_DAYS * _DAY:
        world.events.tell("customer.subscription.trial_will_end", subscription)
    if behavior == "allow_incomplete" and invoice["status"] == "open":
        await collecting.collect_by_default(world, invoice)
    return subscription


async def _check_payable(
    world: World, asked: dict[str, Any], customer: Object, behavior: str, trial_end: int | None
) -> None:
    if not asked.get("items"):
        raise invalid("Missing required param: items.", param="items", code="parameter_missing")
    if behavior not in ("allow_incomplete", "default_incomplete"):
        raise invalid(f"This sandbox has no {behavior}.", param="payment_behavior")
    has_method = customer["invoice_settings"]["default_payment_method"]
    has_method = has_method or asked.get("default_payment_method")
    if behavior == "allow_incomplete" and not has_method and not trial_end:
        message = "This customer has no attached payment source or default payment method."
        raise invalid(message, code="resource_missing")


def _trial_end(asked: dict[str, Any]) -> int | None:
    if days := asked.get("trial_period_days"):
        return now() + int(days) * _DAY
    end = asked.get("trial_end")
    return int(end) if end and end != "now" else None


async def _registered(world: World, asked: dict[str, Any]) -> Object:
    """The subscription, known to localstripe by its first item, with no invoice yet."""
    sold = [changes.price_of(world, each, f"items[{n}]") for n, each in enumerate(asked["items"])]
    changes.check_together(sold)
    first = next((price for price in sold if not lines.is_metered(price)), sold[0])
    quantity = asked["items"][sold.index(first)].get("quantity", 1)
    # With days of trial, even none of them, localstripe makes no invoice by itself.
    inner = await world.inner.post(
        "subscriptions",
        customer=asked["customer"],
        items=[{"plan": first["id"], "quantity": quantity}],
        trial_period_days=0,
    )
    subscription = shapes.subscription(inner["id"], asked, first["currency"])
    subscription["items"]["data"] = [
        shapes.item(price, each, subscription=inner["id"])
        for price, each in zip(sold, asked["items"], strict=True)
    ]
    subscription["default_payment_method"] = asked.get("default_payment_method")
    world.subscriptions[inner["id"]] = subscription
    world.beside[inner["id"]] = Beside(base=inner["plan"]["amount"] * quantity)
    return subscription


async def _first_invoice(world: World, subscription: Object, trial_end: int | None) -> Object:
    items, start = subscription["items"]["data"], subscription["start_date"]
    end = trial_end or periods.end_of(start, start, items[0]["price"]["recurring"])
    shapes.set_period(items, start, end)
    if trial_end:
        subscription.update(
            status="trialing", trial_start=start, trial_end=end, billing_cycle_anchor=end
        )
        billed = lines.of_trial(world, items, start=start, end=end)
    else:
        # What was used before is not this subscription's.
        lines.bill_usage(world, subscription)
        billed = lines.of_period(world, items, start=start, end=end)
    invoice = await invoices.make(world, subscription, billed, reason="subscription_create")
    if invoice["status"] == "paid":
        # Nothing to pay now, so that the card for later is asked for by itself.
        subscription["status"] = "trialing" if trial_end else "active"
        if not await collecting.default_method(world, subscription):
            setup = await intents.make_setup(world, subscription["customer"])
            subscription["pending_setup_intent"] = setup["id"]
    return invoice


async def retrieve(world: World, call: Call) -> Object:
    """The subscription of the path."""
    return kept(world.subscriptions, "subscription", call.id)


async def update(world: World, call: Call) -> Object:
    """The subscription with the changes."""
    subscription = kept(world.subscriptions, "subscription", call.id)
    await changes.apply(world, subscription, call.asked)
    return subscription


async def cancel(world: World, call: Call) -> Object:
    """The subscription, over now."""
    subscription = kept(world.subscriptions, "subscription", call.id)
    if subscription["status"] in states.OVER:
        raise missing("subscription", call.id)
    details = call.asked.get("cancellation_details") or {}
    subscription["cancellation_details"].update(details)
    if call.asked.get("invoice_now"):
        await last_invoice(world, subscription)
    await stop(world, subscription, reason="cancellation_requested")
    return subscription


async def stop(world: World, subscription: Object, *, reason: str, at: int | None = None) -> None:
    """It is over, at localstripe too; an invoice of something that never began is void."""
    waits = invoices.open_one(world, subscription)
    if waits and subscription["status"] == "incomplete":
        await invoices.void(world, waits)
    await world.inner.delete(f"subscriptions/{subscription['id']}")
    states.end(world, subscription, at=at or now(), reason=reason)


async def last_invoice(world: World, subscription: Object) -> None:
    """Invoice what was used and what is pending, and try to be paid."""
    beside = world.beside[subscription["id"]]
    billed = [*beside.pending, *lines.of_usage(world, subscription)]
    if not any(line["amount"] for line in billed):
        return
    beside.pending = []
    invoice = await invoices.make(world, subscription, billed, reason="subscription_cycle")
    lines.bill_usage(world, subscription)
    invoices.announce(world, invoice)
    if invoice["status"] == "open":
        await collecting.collect_by_default(world, invoice)


async def listed(world: World, call: Call) -> Object:
    """Subscriptions, newest first; those that are over only when asked for."""
    asked = call.asked
    found = [
        one
        for one in reversed(world.subscriptions.values())
        if asked.get("customer") in (None, one["customer"])
        and _in_state(one["status"], asked.get("status"))
        and _has_price(one, asked.get("price"))
    ]
    return page(found, asked, "/v1/subscriptions")


def _in_state(status: str, wanted: str | None) -> bool:
    if wanted is None:
        return status not in states.OVER
    return wanted == "all" or status in _ENDED.get(wanted, (wanted,))


def _has_price(subscription: Object, price: str | None) -> bool:
    items = subscription["items"]["data"]
    return price is None or any(item["price"]["id"] == price for item in items)


async def delete_customer(world: World, call: Call) -> Object:
    """That the customer is deleted; the subscriptions are over with it."""
    if call.id in world.deleted:
        raise missing("customer", call.id)
    await customers.customer(world, call.id)
    for subscription in list(world.subscriptions.values()):
        if subscription["customer"] == call.id and subscription["status"] not in states.OVER:
            await stop(world, subscription, reason="cancellation_requested")
    return await customers.remove(world, call.id)
