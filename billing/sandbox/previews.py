"""The next invoice of a subscription before there is one."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from billing.sandbox import changes, customers, invoices, lines, periods, shapes, states
from billing.sandbox.wire import Object, StripeError, a_list, invalid, now
from billing.sandbox.world import Call, World, kept


async def create(world: World, call: Call) -> Object:
    """The next invoice of a subscription, after a change if there is one; nothing is changed."""
    asked = call.asked
    details = asked.get("subscription_details") or {}
    subscription = await _previewed(world, asked, details)
    held = dict(world.discounts)
    try:
        if "discounts" in asked:
            await changes.give_discounts(world, subscription, asked["discounts"] or [])
        billed = await _next_lines(world, subscription, details)
        await lines.discount(world, billed, subscription["discounts"])
    finally:
        world.discounts = held
    invoice = await invoices.preview(world, subscription, billed, reason="upcoming")
    first = subscription["items"]["data"][0]
    invoice["next_payment_attempt"] = first["current_period_end"]
    return invoice


async def _previewed(world: World, asked: dict[str, Any], details: dict[str, Any]) -> Object:
    """A copy of the subscription, or one that could be."""
    if named := asked.get("subscription"):
        found = kept(world.subscriptions, "subscription", named, param="subscription")
        if found["status"] in states.OVER:
            raise _nothing_next(found["customer"])
        return deepcopy(found)
    customer = asked.get("customer", "")
    await customers.customer(world, customer, param="customer")
    if not details.get("items"):
        raise _nothing_next(customer)
    return _imagined(world, customer, details["items"])


def _nothing_next(customer: str) -> StripeError:
    message = f"No upcoming invoices for customer: {customer}"
    return invalid(message, code="invoice_upcoming_none")


def _imagined(world: World, customer: str, asked: Sequence[dict[str, Any]]) -> Object:
    sold = [changes.price_of(world, each, f"subscription_details[items][{n}]")
            for n, each in enumerate(asked)]  # fmt: skip
    changes.check_together(sold)
    made = shapes.subscription("", {"customer": customer}, sold[0]["currency"])
    items = [
        shapes.item(price, each, subscription="") for price, each in zip(sold, asked, strict=True)
    ]
    shapes.set_period(items, now(), periods.end_of(now(), now(), sold[0]["recurring"]))
    made["items"] = a_list(items, "/v1/subscription_items")
    return made


async def _next_lines(world: World, subscription: Object, details: dict[str, Any]) -> list[Object]:
    items = subscription["items"]["data"]
    start, end = items[0]["current_period_start"], items[0]["current_period_end"]
    if not subscription["id"]:
        return lines.of_period(world, items, start=start, end=end)
    behavior = details.get("proration_behavior", "create_prorations")
    at = details.get("proration_date") or now()
    change = None
    if asked := details.get("items"):
        change = changes.planned(world, subscription, asked, behavior=behavior, at=at)
        if behavior == "always_invoice" and not change.begins_anew:
            return change.lines
        items = change.items
    pending = deepcopy(world.beside[subscription["id"]].pending)
    changed = change.lines if change else []
    used = lines.of_usage(world, subscription)
    if change and change.begins_anew:
        start, end = items[0]["current_period_start"], items[0]["current_period_end"]
    else:
        anchor, recurring = subscription["billing_cycle_anchor"], items[0]["price"]["recurring"]
        start, end = end, periods.end_of(anchor, end, recurring)
    return [*pending, *changed, *used, *lines.of_period(world, items, start=start, end=end)]
