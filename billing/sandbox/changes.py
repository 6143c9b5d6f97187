"""Changes of subscriptions by their owner: items, discounts, the end; and what they cost."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from dateutil.relativedelta import relativedelta

from billing.sandbox import (
    catalogue,
    collecting,
    invoices,
    lines,
    meters,
    periods,
    promotions,
    shapes,
    states,
)
from billing.sandbox.wire import Object, StripeError, invalid, metadata, missing, now
from billing.sandbox.world import World, kept

_FREE_TO_CHANGE = ("description", "default_payment_method")


@dataclass
class Change:
    """The items after a change, and what it costs at once or later."""

    items: list[Object]
    lines: list[Object]
    begins_anew: bool  # another interval: the period begins now


def price_of(world: World, asked: dict[str, Any], param: str) -> Object:
    """The recurring price of an item. Raises StripeError."""
    named = asked.get("price")
    if not named:
        raise invalid("An item needs a price.", param=f"{param}[price]", code="parameter_missing")
    price = kept(world.prices, "price", named, param=f"{param}[price]")
    if not price["active"] or not price["recurring"]:
        raise invalid("The price is not active or does not recur.", param=f"{param}[price]")
    if lines.is_metered(price) and "quantity" in asked:
        raise invalid("A metered item has no quantity.", param=f"{param}[quantity]")
    return price


def check_together(prices: Sequence[Object]) -> None:
    """One subscription has one currency and interval, each price once. Raises StripeError."""
    kinds = {
        (each["currency"], each["recurring"]["interval"], each["recurring"]["interval_count"])
        for each in prices
    }
    if len(kinds) != 1:
        raise invalid("All prices need one currency and interval.", param="items")
    if len({each["id"] for each in prices}) < len(prices):
        raise invalid("Each price can be an item once.", param="items")


def planned(
    world: World, subscription: Object, asked: Sequence[dict[str, Any]], *, behavior: str, at: int
) -> Change:
    """What a change of items would come to; nothing is changed. Raises StripeError."""
    before = subscription["items"]["data"]
    after = _items_after(world, subscription, asked)
    check_together([item["price"] for item in after])
    begins_anew = _interval(before[0]) != _interval(after[0])
    start, end = before[0]["current_period_start"], before[0]["current_period_end"]
    if not start <= at <= end:
        raise invalid("proration_date is not within the period.", param="proration_date")
    is_free = behavior == "none" or subscription["status"] == "trialing"
    prorated = lines.of_change(world, before, after, at=at, with_debits=not begins_anew)
    if begins_anew and subscription["status"] != "trialing":
        start, end = at, periods.end_of(at, at, after[0]["price"]["recurring"])
    shapes.set_period(after, start, end)
    return Change(after, [] if is_free else prorated, begins_anew)


def _interval(item: Object) -> tuple[str, int]:
    recurring = item["price"]["recurring"]
    return recurring["interval"], recurring["interval_count"]


def _items_after(
    world: World, subscription: Object, asked: Sequence[dict[str, Any]]
) -> list[Object]:
    after = {item["id"]: deepcopy(item) for item in subscription["items"]["data"]}
    first = next(iter(after.values()))
    for place, sent in enumerate(asked):
        param, named = f"items[{place}]", sent.get("id")
        if named is not None and named not in after:
            raise missing("subscription item", named, param=f"{param}[id]")
        if named is not None and sent.get("deleted"):
            del after[named]
            continue
        item = _item_after(world, subscription, sent, after.get(named or ""), param)
        start, end = first["current_period_start"], first["current_period_end"]
        shapes.set_period([item], start, end)
        after[item["id"]] = item
    if not after:
        raise invalid("A subscription must have at least one active item.", param="items")
    return list(after.values())


def _item_after(
    world: World, subscription: Object, sent: dict[str, Any], old: Object | None, param: str
) -> Object:
    if old is None:
        return shapes.item(price_of(world, sent, param), sent, subscription=subscription["id"])
    price = price_of(world, {"price": old["price"]["id"], **sent}, param)
    quantity = {"quantity": old["quantity"]} if "quantity" in old else {}
    made = shapes.item(price, {**quantity, **sent}, subscription=subscription["id"])
    merged = metadata(old["metadata"], sent.get("metadata"))
    return made | {"id": old["id"], "created": old["created"], "metadata": merged}


@dataclass
class Given:
    """A discount that a subscription has already, or the coupon and code of a new one."""

    discount: str = ""
    coupon: Object | None = None
    promotion_code: str | None = None


async def asked_discounts(world: World, customer: str, asked: Sequence[Any]) -> list[Given]:
    """What is asked for, if the customer may have it; nothing is changed. Raises StripeError."""
    given = []
    for place, sent in enumerate(asked):
        param = f"discounts[{place}]"
        if named := sent.get("discount"):
            kept(world.discounts, "discount", named, param=f"{param}[discount]")
            given.append(Given(discount=named))
            continue
        code, coupon, source = sent.get("promotion_code"), sent.get("coupon", ""), "coupon"
        if code:
            if coupon:
                raise invalid("Only one of coupon and promotion_code.", param=param)
            source = "promotion_code"
            coupon = promotions.check_redeemable(world, code, customer, param=f"{param}[{source}]")
        found = await catalogue.coupon(world, coupon, param=f"{param}[{source}]")
        given.append(Given(coupon=found, promotion_code=code or None))
    return given


async def give_discounts(world: World, subscription: Object, asked: Sequence[Any]) -> None:
    """The subscription has these discounts and no others. Raises StripeError."""
    given = await asked_discounts(world, subscription["customer"], asked)
    subscription["discounts"] = [
        _discount(world, subscription, one.coupon, one.promotion_code)
        if one.coupon
        else one.discount
        for one in given
    ]


def _discount(
    world: World, subscription: Object, coupon: Object, promotion_code: str | None
) -> str:
    end = None
    if coupon["duration"] == "repeating":
        months = relativedelta(months=coupon["duration_in_months"])
        end = int((periods.moment(now()) + months).timestamp())
    made = shapes.discount(
        coupon,
        customer=subscription["customer"],
        subscription=subscription["id"],
        end=end,
        promotion_code=promotion_code,
    )
    world.discounts[made["id"]] = made
    world.extras[made["id"]]["is_once"] = coupon["duration"] == "once"
    return str(made["id"])


async def apply(world: World, subscription: Object, asked: dict[str, Any]) -> None:
    """Make the changes and tell of them. Raises StripeError."""
    _check_open(subscription, asked)
    behavior = asked.get("proration_behavior", "create_prorations")
    at = asked.get("proration_date") or now()
    change = None
    if items := asked.get("items"):
        change = planned(world, subscription, items, behavior=behavior, at=at)
    before = _Before(world, subscription)
    if "discounts" in asked:
        await give_discounts(world, subscription, asked["discounts"] or [])
    _set_plain(subscription, asked)
    invoice = await _bill(world, subscription, change, behavior) if change else None
    set_end(subscription, asked)
    pays_first = asked.get("payment_behavior") == "error_if_incomplete"
    if invoice and pays_first:
        await _pay_or_restore(world, invoice, before)
    _clear_usage(world, before.subscription, asked.get("items") or [])
    states.tell(world, subscription, before.subscription)
    if invoice and not pays_first:
        await _tell_and_collect(world, invoice, asked.get("payment_behavior"))


class _Before:
    """What a change that is not paid for leaves as it was."""

    def __init__(self, world: World, subscription: Object) -> None:
        self.subscription = deepcopy(subscription)
        self._world, self._customer = world, deepcopy(world.extras[subscription["customer"]])
        self._pending = list(world.beside[subscription["id"]].pending)
        self._discounts = dict(world.discounts)

    def restore(self) -> None:
        """Put it back."""
        named = self.subscription["id"]
        self._world.subscriptions[named].update(self.subscription)
        self._world.beside[named].pending = self._pending
        self._world.extras[self.subscription["customer"]] = self._customer
        self._world.discounts = self._discounts


async def _pay_or_restore(world: World, invoice: Object, before: _Before) -> None:
    try:
        await collecting.collect_or_drop(world, invoice)
    except StripeError:
        before.restore()
        raise


def _clear_usage(world: World, before: Object, asked: Sequence[dict[str, Any]]) -> None:
    """Usage of an item that goes is never invoiced, where that is asked for."""
    cleared = {sent.get("id") for sent in asked if sent.get("deleted") and sent.get("clear_usage")}
    for item in lines.metered_items(before):
        if item["id"] in cleared:
            meters.bill(world, before["customer"], item["price"])


def _check_open(subscription: Object, asked: dict[str, Any]) -> None:
    if subscription["status"] in states.OVER:
        raise invalid("A canceled subscription can only update its cancellation_details.")
    if subscription["status"] == "incomplete" and asked.keys() - {"metadata", "expand"}:
        raise invalid("A subscription that is incomplete can only update its metadata.")
    if asked.get("cancel_at") and asked.get("cancel_at_period_end"):
        raise invalid("Only one of cancel_at and cancel_at_period_end.", param="cancel_at")
    check_trial_settings(asked)
    if asked.get("payment_behavior") == "pending_if_incomplete":
        raise invalid("This sandbox has no pending updates.", param="payment_behavior")


def check_trial_settings(asked: dict[str, Any]) -> None:
    """A trial that ends without a card is invoiced or canceled here. Raises StripeError."""
    behavior = (asked.get("trial_settings") or {}).get("end_behavior") or {}
    if behavior.get("missing_payment_method") == "pause":
        raise invalid("This sandbox has no pause.", param="trial_settings[end_behavior]")


def _set_plain(subscription: Object, asked: dict[str, Any]) -> None:
    for name in _FREE_TO_CHANGE:
        if name in asked:
            subscription[name] = asked[name] or None
    if asked.get("trial_settings"):
        subscription["trial_settings"] = asked["trial_settings"]
    subscription["payment_settings"].update(asked.get("payment_settings") or {})
    if "metadata" in asked:
        subscription["metadata"] = metadata(subscription["metadata"], asked["metadata"])


def set_end(subscription: Object, asked: dict[str, Any]) -> None:
    """When it is to end. Asked for at the period's end, it says that time as well."""
    if not asked.keys() & {"cancel_at", "cancel_at_period_end"}:
        return
    by_period = asked.get("cancel_at_period_end", False)
    named = asked.get("cancel_at")
    end = subscription["items"]["data"][0]["current_period_end"]
    if by_period or named in ("min_period_end", "max_period_end"):
        named = end
    reason = "cancellation_requested" if named else None
    subscription.update(
        cancel_at_period_end=by_period,
        cancel_at=named or None,
        canceled_at=now() if named else None,
        cancellation_details={**subscription["cancellation_details"], "reason": reason},
    )


async def _bill(world: World, subscription: Object, change: Change, behavior: str) -> Object | None:
    """Take the change over; its invoice, if it is not left for the next one."""
    subscription["items"]["data"] = change.items
    pending = world.beside[subscription["id"]].pending
    pending.extend(change.lines)
    is_running = subscription["status"] != "trialing"
    if change.begins_anew and is_running:
        first = change.items[0]
        start, end = first["current_period_start"], first["current_period_end"]
        subscription["billing_cycle_anchor"] = start
        pending.extend(lines.of_period(world, change.items, start=start, end=end))
    elif behavior != "always_invoice" or not change.lines:
        return None
    billed, pending[:] = list(pending), []
    return await invoices.make(world, subscription, billed, reason="subscription_update")


async def _tell_and_collect(world: World, invoice: Object, behavior: str | None) -> None:
    invoices.announce(world, invoice)
    if invoice["status"] != "open":
        return
    if behavior == "default_incomplete":
        # The phone pays it; until then the subscription is behind.
        invoices.fall_behind(world, world.subscriptions[invoices.subscription_of(invoice)])
        return
    await collecting.collect_by_default(world, invoice)
