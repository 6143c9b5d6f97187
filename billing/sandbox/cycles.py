"""Time passing, when a test or a developer says so: renewals, dunning, trials, ends."""

from copy import deepcopy

from billing.sandbox import (
    cards,
    collecting,
    invoices,
    lines,
    periods,
    shapes,
    states,
    subscriptions,
)
from billing.sandbox.wire import Object, invalid
from billing.sandbox.world import World

_RUNNING = ("active", "past_due", "unpaid")


async def renew(world: World, subscription: Object, *, paid: bool) -> None:
    """The next period begins, and the invoice for it and for past usage is paid or fails.

    One that is to be canceled at this time is canceled instead. Raises StripeError.
    """
    if subscription["status"] not in _RUNNING:
        raise invalid(f"A subscription that is {subscription['status']} does not renew.")
    if _is_to_end(subscription):
        await end_period(world, subscription)
        return
    await _next_period(world, subscription, lines.of_usage(world, subscription), paid=paid)


def _is_to_end(subscription: Object) -> bool:
    end = subscription["items"]["data"][0]["current_period_end"]
    return subscription["cancel_at"] is not None and bool(subscription["cancel_at"] <= end)


async def _next_period(
    world: World, subscription: Object, used: list[Object], *, paid: bool
) -> None:
    before = deepcopy(subscription)
    items, beside = subscription["items"]["data"], world.beside[subscription["id"]]
    start = items[0]["current_period_end"]
    anchor, recurring = subscription["billing_cycle_anchor"], items[0]["price"]["recurring"]
    end = periods.end_of(anchor, start, recurring)
    shapes.set_period(items, start, end)
    billed = [*beside.pending, *used, *lines.of_period(world, items, start=start, end=end)]
    beside.pending = []
    lines.bill_usage(world, subscription)
    invoice = await invoices.make(world, subscription, billed, reason="subscription_cycle")
    if subscription["status"] == "trialing":
        subscription["status"] = "active"
    # The invoice is about the period that is over, its lines about the next.
    ended = before["items"]["data"][0]
    invoice.update(
        period_start=ended["current_period_start"], period_end=ended["current_period_end"]
    )
    states.tell(world, subscription, before)
    invoices.announce(world, invoice)
    if invoice["status"] == "open":
        await _pay(world, subscription, invoice, paid=paid)


async def _pay(world: World, subscription: Object, invoice: Object, *, paid: bool) -> None:
    """Paid with the default card if that one can pay, else with one that does as is asked."""
    method = await collecting.default_method(world, subscription)
    can_pay = method is not None and _pays(world, method)
    if paid:
        await collecting.collect(world, invoice, method if method and can_pay else cards.GOOD)
    elif method is not None and not can_pay:
        await collecting.collect(world, invoice, method)
    else:
        await collecting.collect(world, invoice, cards.BAD)


def _pays(world: World, method: str) -> bool:
    shown = world.extras[method]
    return bool(shown.get("pays") or shown.get("is_authenticated"))


async def retry(world: World, subscription: Object, *, paid: bool) -> None:
    """The open invoice is tried again. Raises StripeError."""
    invoice = invoices.open_one(world, subscription)
    if invoice is None:
        raise invalid("There is no open invoice.")
    await _pay(world, subscription, invoice, paid=paid)


async def expire(world: World, subscription: Object, *, status: str = "canceled") -> None:
    """Nobody paid in time: what never began expires, what ran is canceled or unpaid.

    Raises StripeError.
    """
    if subscription["status"] == "incomplete":
        if waits := invoices.open_one(world, subscription):
            await invoices.void(world, waits)
        states.change(world, subscription, status="incomplete_expired")
        return
    if subscription["status"] not in ("past_due", "unpaid"):
        raise invalid(f"A subscription that is {subscription['status']} does not expire.")
    if status == "unpaid":
        states.change(world, subscription, status="unpaid")
        return
    await subscriptions.stop(world, subscription, reason="payment_failed")


async def end_trial(world: World, subscription: Object, *, paid: bool) -> None:
    """The first period that costs begins, or without a card it is canceled where that is asked.

    Raises StripeError.
    """
    _check_trialing(subscription)
    if _is_to_end(subscription):
        await end_period(world, subscription)
        return
    behavior = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if behavior == "cancel" and not await collecting.default_method(world, subscription):
        end = subscription["trial_end"]
        await subscriptions.stop(world, subscription, reason="payment_failed", at=end)
        return
    await _next_period(world, subscription, [], paid=paid)


def warn_of_trial_end(world: World, subscription: Object) -> None:
    """Three days before the end of a trial. Raises StripeError."""
    _check_trialing(subscription)
    world.events.tell("customer.subscription.trial_will_end", subscription)


def _check_trialing(subscription: Object) -> None:
    if subscription["status"] != "trialing":
        raise invalid("The subscription is not trialing.")


async def end_period(world: World, subscription: Object) -> None:
    """One that was to end with its period ends, its usage invoiced. Raises StripeError."""
    end = subscription["cancel_at"]
    if end is None or subscription["status"] in states.OVER:
        raise invalid("The subscription is not to be canceled at the end of its period.")
    if subscription["status"] != "trialing":
        await subscriptions.last_invoice(world, subscription)
    await subscriptions.stop(world, subscription, reason="cancellation_requested", at=end)
