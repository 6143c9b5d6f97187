"""Promotion codes: what a customer types to get a coupon's discount."""

import re
from typing import Any

from billing.sandbox import catalogue, customers
from billing.sandbox.wire import Object, invalid, metadata, missing, now, page, token
from billing.sandbox.world import Call, World, kept

_CODE = re.compile(r"[A-Za-z0-9-]+")
_LACKING = ("currency_options", "minimum_amount", "minimum_amount_currency")


async def create(world: World, call: Call) -> Object:
    """A promotion code of a coupon."""
    asked = call.asked
    named = asked["promotion"].get("coupon", "")
    coupon = await catalogue.coupon(world, named, param="promotion[coupon]")
    if customer := asked.get("customer"):
        await customers.customer(world, customer, param="customer")
    _check_restrictions(asked.get("restrictions") or {})
    made = _made(asked, coupon)
    if not _CODE.fullmatch(made["code"]):
        raise invalid("A code has letters, digits and dashes only.", param="code")
    if made["active"]:
        _check_unique(world, made)
    world.promotions[made["id"]] = made
    return _shape(world, made)


def _check_restrictions(asked: dict[str, Any]) -> None:
    for name in _LACKING:
        if name in asked:
            raise invalid(f"This sandbox has no {name}.", param=f"restrictions[{name}]")


def _made(asked: dict[str, Any], coupon: Object) -> Object:
    restrictions = asked.get("restrictions") or {}
    return {
        "id": token("promo_"),
        "object": "promotion_code",
        "active": asked.get("active", True),
        "code": asked.get("code") or token("", 8).upper(),
        "created": now(),
        "customer": asked.get("customer"),
        "customer_account": None,
        "expires_at": asked.get("expires_at"),
        "livemode": False,
        "max_redemptions": asked.get("max_redemptions"),
        "metadata": metadata({}, asked.get("metadata")),
        "promotion": {"coupon": coupon["id"], "type": "coupon"},
        "restrictions": {
            "first_time_transaction": restrictions.get("first_time_transaction", False),
            "minimum_amount": None,
            "minimum_amount_currency": None,
        },
    }


def _check_unique(world: World, made: Object) -> None:
    """No two active ones of a customer, or of everybody, are typed alike."""
    for other in world.promotions.values():
        is_alike = other["code"].lower() == made["code"].lower()
        is_rival = other is not made and other["customer"] == made["customer"]
        if is_alike and is_rival and _is_active(world, other):
            raise invalid(
                f"An active promotion code with `code: {made['code']}` already exists.",
                param="code",
                code="resource_already_exists",
            )


def _redeemed(world: World, named: str) -> int:
    return sum(given["promotion_code"] == named for given in world.discounts.values())


def _is_past(world: World, kept_one: Object) -> bool:
    """Whether its time is over or it was used as often as it may be."""
    expires, most = kept_one["expires_at"], kept_one["max_redemptions"]
    is_late = expires is not None and expires <= now()
    return is_late or (most is not None and _redeemed(world, kept_one["id"]) >= most)


def _is_active(world: World, kept_one: Object) -> bool:
    return bool(kept_one["active"]) and not _is_past(world, kept_one)


def _shape(world: World, kept_one: Object) -> Object:
    return {
        **kept_one,
        "active": _is_active(world, kept_one),
        "times_redeemed": _redeemed(world, kept_one["id"]),
    }


async def promotion_code(world: World, named: str) -> Object:
    """A promotion code. Raises StripeError."""
    return _shape(world, kept(world.promotions, "promotion code", named))


async def retrieve(world: World, call: Call) -> Object:
    """The promotion code of the path."""
    return await promotion_code(world, call.id)


async def update(world: World, call: Call) -> Object:
    """The promotion code with the changes; its code and its coupon never change."""
    found, asked = kept(world.promotions, "promotion code", call.id), call.asked
    if asked.get("active"):
        await catalogue.coupon(world, found["promotion"]["coupon"], param="active")
        if _is_past(world, found):
            raise invalid("This promotion code can no longer be redeemed.", param="active")
        _check_unique(world, found)
    found["active"] = asked.get("active", found["active"])
    found["metadata"] = metadata(found["metadata"], asked.get("metadata"))
    return _shape(world, found)


async def listed(world: World, call: Call) -> Object:
    """Promotion codes, newest first; a code is found however it is typed."""
    asked = call.asked
    code = asked.get("code")
    found = [
        one
        for one in (_shape(world, each) for each in reversed(world.promotions.values()))
        if (code is None or one["code"].lower() == code.lower())
        and asked.get("active") in (None, one["active"])
        and asked.get("coupon") in (None, one["promotion"]["coupon"])
        and asked.get("customer") in (None, one["customer"])
    ]
    return page(found, asked, "/v1/promotion_codes")


def check_redeemable(world: World, named: str, customer: str, *, param: str) -> str:
    """The coupon that a promotion code gives this customer. Raises StripeError."""
    if named not in world.promotions:
        raise missing("promotion code", named, param=param)
    found = world.promotions[named]
    if found["expires_at"] is not None and found["expires_at"] <= now():
        raise invalid("This promotion code has expired.", param=param, code="coupon_expired")
    if not _is_active(world, found):
        raise invalid("This promotion code is inactive.", param=param)
    if found["customer"] not in (None, customer):
        raise invalid("This promotion code is of another customer.", param=param)
    if found["restrictions"]["first_time_transaction"] and _has_paid(world, customer):
        message = "the associated customer has prior transactions."
        raise invalid(f"This promotion code cannot be redeemed because {message}", param=param)
    return str(found["promotion"]["coupon"])


def _has_paid(world: World, customer: str) -> bool:
    owned = (one for one in world.invoices.values() if one["customer"] == customer)
    return any(one["amount_paid"] for one in owned)
