"""Lines of invoices: periods, usage, prorations, discounts."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from billing.sandbox import catalogue, meters, periods
from billing.sandbox.wire import Object, now, token
from billing.sandbox.world import World


def is_metered(price: Object) -> bool:
    """Whether it is paid by usage, after the period."""
    return bool(price["recurring"]["usage_type"] == "metered")


def cost(item: Object) -> int:
    """What an item costs for a whole period; nothing yet if it is metered."""
    if is_metered(item["price"]):
        return 0
    return periods.whole(Decimal(item["price"]["unit_amount_decimal"]) * item["quantity"])


def called(world: World, price: Object) -> str:
    """What a price is for, in words."""
    return str(price["nickname"] or world.names.get(price["product"], price["product"]))


def of_period(world: World, items: Iterable[Object], *, start: int, end: int) -> list[Object]:
    """Lines for a period that is paid before it begins."""
    return [
        _line(world, item, cost(item), start=start, end=end, quantity=item["quantity"])
        for item in items
        if not is_metered(item["price"])
    ]


def of_trial(world: World, items: Iterable[Object], *, start: int, end: int) -> list[Object]:
    """Lines for a period that costs nothing."""
    return [
        _line(
            world,
            item,
            0,
            start=start,
            end=end,
            quantity=item.get("quantity", 0),
            note="Free trial: ",
        )
        for item in items
    ]


def of_usage(world: World, subscription: Object) -> list[Object]:
    """Lines for the usage that no invoice has yet."""
    lines = []
    for item in metered_items(subscription):
        used = meters.used(world, subscription["customer"], item["price"])
        amount = periods.whole(used * Decimal(item["price"]["unit_amount_decimal"]))
        start, end = item["current_period_start"], item["current_period_end"]
        lines.append(_line(world, item, amount, start=start, end=end, quantity=int(used)))
    return lines


def bill_usage(world: World, subscription: Object) -> None:
    """All usage so far is on an invoice now, or was free."""
    for item in metered_items(subscription):
        meters.bill(world, subscription["customer"], item["price"])


def metered_items(subscription: Object) -> list[Object]:
    """The items that are paid by usage."""
    return [item for item in subscription["items"]["data"] if is_metered(item["price"])]


def of_change(
    world: World,
    before: Sequence[Object],
    after: Sequence[Object],
    *,
    at: int,
    with_debits: bool = True,
) -> list[Object]:
    """A credit for what is left of each changed item, and the rest of the period of the new."""
    by_id = {item["id"]: item for item in before}
    kept = {item["id"] for item in after if _is_same(by_id.get(item["id"]), item)}
    credits = [_part(world, item, -1, at) for item in before if item["id"] not in kept]
    debits = [_part(world, item, 1, at) for item in after if item["id"] not in kept]
    lines = credits + (debits if with_debits else [])
    return [line for line in lines if line["amount"]]


def _is_same(before: Object | None, after: Object) -> bool:
    return before is not None and all(
        before.get(name) == after.get(name) for name in ("price", "quantity")
    )


def _part(world: World, item: Object, sign: int, at: int) -> Object:
    start, end = item["current_period_start"], item["current_period_end"]
    amount = sign * periods.part_of(cost(item), at=at, start=start, end=end)
    note = "Unused time on " if sign < 0 else "Remaining time on "
    return _line(
        world,
        item,
        amount,
        start=at,
        end=end,
        quantity=item.get("quantity", 0),
        note=note,
        is_proration=True,
    )


def _line(
    world: World,
    item: Object,
    amount: int,
    *,
    start: int,
    end: int,
    quantity: int,
    note: str = "",
    is_proration: bool = False,
) -> Object:
    price = item["price"]
    return {
        "id": token("il_"),
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": f"{note}{quantity} × {called(world, price)}",
        "discount_amounts": [],
        "discountable": not is_proration,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": dict(item["metadata"]),
        "parent": _parent(item, is_proration),
        "period": {"start": start, "end": end},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subscription": item["subscription"],
        "subtotal": amount,
        "taxes": [],
    }


def _parent(item: Object, is_proration: bool) -> Object:
    return {
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": token("ii_") if is_proration else None,
            "proration": is_proration,
            "proration_details": {"credited_items": None} if is_proration else None,
            "subscription": item["subscription"],
            "subscription_item": item["id"],
        },
        "type": "subscription_item_details",
    }


async def discount(world: World, lines: Sequence[Object], discounts: Iterable[str]) -> None:
    """Write on each line what discounts take off it."""
    for named in discounts:
        given = world.discounts[named]
        if given["end"] is not None and given["end"] <= now():
            continue
        coupon = await catalogue.coupon(world, given["source"]["coupon"])
        left = coupon["amount_off"]
        for line in lines:
            taken = _taken(line, coupon, left)
            left = left - taken if left is not None else None
            if taken:
                line["discounts"].append(named)
                line["discount_amounts"].append({"amount": taken, "discount": named})


def _taken(line: Object, coupon: Object, left: int | None) -> int:
    payable = line["amount"] - off(line)
    if payable <= 0 or not line["discountable"]:
        return 0
    if left is not None:
        return min(left, payable)
    return periods.whole(Decimal(payable) * Decimal(str(coupon["percent_off"])) / 100)


def off(line: Object) -> int:
    """What is taken off a line."""
    return sum(each["amount"] for each in line["discount_amounts"])


def taken_off(lines: Iterable[Object]) -> list[dict[str, Any]]:
    """What each discount takes off all lines together."""
    totals: dict[str, int] = {}
    for line in lines:
        for each in line["discount_amounts"]:
            totals[each["discount"]] = totals.get(each["discount"], 0) + each["amount"]
    return [{"amount": amount, "discount": named} for named, amount in totals.items()]
