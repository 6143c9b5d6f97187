"""What is sold: products, prices and coupons. localstripe has prices as plans."""

from decimal import Decimal
from typing import Any

from billing.sandbox.inner import InnerError
from billing.sandbox.wire import Object, invalid, metadata, now, page, token
from billing.sandbox.world import Call, World, kept

_PRODUCT_EXTRAS = ("default_price", "images", "tax_code", "unit_label", "shippable")
_PRODUCT_INNER = ("id", "name", "active", "description", "statement_descriptor", "url", "metadata")
_COUPON_INNER = (
    "id",
    "duration",
    "amount_off",
    "percent_off",
    "currency",
    "metadata",
    "duration_in_months",
)


async def create_product(world: World, call: Call) -> Object:
    """A product, under the caller's own identifier if there is one."""
    asked = call.asked
    sent = {name: asked[name] for name in _PRODUCT_INNER if name in asked}
    try:
        made = await world.inner.post("products", **sent)
    except InnerError as error:
        if error.status != 409:
            raise
        raise invalid("Product already exists.", code="resource_already_exists") from None
    _keep_extras(world, made["id"], asked)
    return _product(world, made)


async def product(world: World, named: str, *, param: str | None = None) -> Object:
    """A product. Raises StripeError."""
    return _product(world, await world.known("product", named, param=param))


async def retrieve_product(world: World, call: Call) -> Object:
    """The product of the path."""
    return await product(world, call.id)


async def update_product(world: World, call: Call) -> Object:
    """The product with the changes."""
    before = await world.known("product", call.id)
    sent = {name: call.asked[name] for name in _PRODUCT_INNER if name in call.asked}
    if "metadata" in sent:
        sent["metadata"] = _marked(before["metadata"], sent["metadata"])
    if sent:
        await world.inner.post(f"products/{call.id}", **sent)
    _keep_extras(world, call.id, call.asked)
    return await product(world, call.id)


async def list_products(world: World, call: Call) -> Object:
    """Products, newest first."""
    found = [_product(world, one) for one in reversed(await world.inner.all("products"))]
    ids, active = call.asked.get("ids"), call.asked.get("active")
    chosen = [
        one for one in found if (not ids or one["id"] in ids) and active in (None, one["active"])
    ]
    return page(chosen, call.asked, "/v1/products")


def _marked(before: dict[str, str], sent: Any) -> dict[str, str]:
    """localstripe only adds to metadata, so that what goes is kept there as empty."""
    merged = metadata(before, sent)
    return {**dict.fromkeys(before, ""), **merged}


def _keep_extras(world: World, named: str, asked: dict[str, Any]) -> None:
    extras = world.extras[named]
    extras.update({name: asked[name] for name in _PRODUCT_EXTRAS if name in asked})
    extras["updated"] = now()
    if "name" in asked:
        world.names[named] = asked["name"]


def _product(world: World, inner: Object) -> Object:
    extras = world.extras[inner["id"]]
    return {
        "id": inner["id"],
        "object": "product",
        "active": inner["active"],
        "created": inner["created"],
        "default_price": extras.get("default_price"),
        "description": inner["description"],
        "images": extras.get("images", []),
        "livemode": False,
        "marketing_features": [],
        "metadata": metadata(inner["metadata"], None),
        "name": inner["name"],
        "package_dimensions": None,
        "shippable": extras.get("shippable"),
        "statement_descriptor": inner["statement_descriptor"],
        "tax_code": extras.get("tax_code"),
        "type": "service",
        "unit_label": extras.get("unit_label"),
        "updated": extras.get("updated", inner["created"]),
        "url": inner["url"],
    }


async def create_price(world: World, call: Call) -> Object:
    """A price, kept by localstripe as a plan if it recurs."""
    asked = call.asked
    if "product" not in asked:
        raise invalid("You must specify product.", param="product", code="parameter_missing")
    await product(world, asked["product"], param="product")
    made = _price(asked, _unit_amount(asked), _recurring(world, asked))
    _give_lookup_key(world, made, asked)
    if made["recurring"]:
        await _plan_of(world, made)
    world.prices[made["id"]] = made
    return made


def _unit_amount(asked: dict[str, Any]) -> Decimal:
    both = {"unit_amount", "unit_amount_decimal"} & asked.keys()
    if len(both) != 1:
        raise invalid("You must specify one of unit_amount and unit_amount_decimal.")
    amount = Decimal(asked[both.pop()])
    exponent = amount.as_tuple().exponent
    if amount < 0 or (isinstance(exponent, int) and exponent < -12):
        raise invalid(f"Invalid decimal: {amount}", param="unit_amount_decimal")
    return amount


def _recurring(world: World, asked: dict[str, Any]) -> Object | None:
    if "recurring" not in asked:
        return None
    sent = asked["recurring"]
    usage_type, meter = sent.get("usage_type", "licensed"), sent.get("meter")
    if (usage_type == "metered") != bool(meter):
        raise invalid("A metered price needs a meter, others have none.", param="recurring[meter]")
    if meter:
        kept(world.meters, "billing meter", meter, param="recurring[meter]")
    return {
        "interval": sent["interval"],
        "interval_count": sent.get("interval_count", 1),
        "meter": meter,
        "trial_period_days": None,
        "usage_type": usage_type,
    }


def _price(asked: dict[str, Any], amount: Decimal, recurring: Object | None) -> Object:
    is_whole = amount == amount.to_integral_value()
    return {
        "id": token("price_"),
        "object": "price",
        "active": asked.get("active", True),
        "billing_scheme": "per_unit",
        "created": now(),
        "currency": asked["currency"].lower(),
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": metadata({}, asked.get("metadata")),
        "nickname": asked.get("nickname"),
        "product": asked["product"],
        "recurring": recurring,
        "tax_behavior": asked.get("tax_behavior", "unspecified"),
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": int(amount) if is_whole else None,
        "unit_amount_decimal": str(int(amount)) if is_whole else f"{amount.normalize():f}",
    }


async def _plan_of(world: World, price: Object) -> None:
    recurring = price["recurring"]
    await world.inner.post(
        "plans",
        id=price["id"],
        product=price["product"],
        currency=price["currency"],
        amount=price["unit_amount"] or 0 if recurring["usage_type"] == "licensed" else 0,
        interval=recurring["interval"],
        interval_count=recurring["interval_count"],
        usage_type=recurring["usage_type"],
    )


def _give_lookup_key(world: World, price: Object, asked: dict[str, Any]) -> None:
    """A lookup key belongs to one price; it moves only where that is asked for."""
    key = asked.get("lookup_key")
    if key is None:
        return
    for other in world.prices.values():
        if key and other is not price and other["lookup_key"] == key:
            if not asked.get("transfer_lookup_key"):
                raise invalid(f"A price with lookup key {key} exists.", param="lookup_key")
            other["lookup_key"] = None
    price["lookup_key"] = key or None


async def retrieve_price(world: World, call: Call) -> Object:
    """The price of the path."""
    return kept(world.prices, "price", call.id)


async def update_price(world: World, call: Call) -> Object:
    """The price with the changes; its amount never changes."""
    price, asked = kept(world.prices, "price", call.id), call.asked
    _give_lookup_key(world, price, asked)
    price.update({name: asked[name] for name in ("active", "nickname") if name in asked})
    price["metadata"] = metadata(price["metadata"], asked.get("metadata"))
    return price


async def list_prices(world: World, call: Call) -> Object:
    """Prices, newest first."""
    asked = call.asked
    keys, wanted = asked.get("lookup_keys"), ("active", "product", "type", "currency")
    chosen = [
        price
        for price in reversed(world.prices.values())
        if (not keys or price["lookup_key"] in keys)
        and all(price[name] == asked[name] for name in wanted if name in asked)
    ]
    return page(chosen, asked, "/v1/prices")


async def create_coupon(world: World, call: Call) -> Object:
    """A coupon."""
    asked = {"duration": "once", "id": token("", 8), **call.asked}
    sent = {name: asked[name] for name in _COUPON_INNER if name in asked}
    try:
        made = await world.inner.post("coupons", **sent)
    except InnerError as error:
        if error.status == 409:
            raise invalid("Coupon already exists.", code="resource_already_exists") from None
        raise invalid("A coupon has a valid amount_off with currency or percent_off.") from None
    later = {name: asked[name] for name in ("max_redemptions", "redeem_by") if name in asked}
    if later:
        await world.inner.post(f"coupons/{made['id']}", **later)
    world.extras[made["id"]]["name"] = asked.get("name")
    return await coupon(world, made["id"])


async def coupon(world: World, named: str, *, param: str | None = None) -> Object:
    """A coupon. Raises StripeError."""
    inner = await world.known("coupon", named, param=param)
    same = ("id", "amount_off", "created", "currency", "duration", "duration_in_months")
    more = ("max_redemptions", "percent_off", "redeem_by", "times_redeemed", "valid")
    return {
        **{name: inner[name] for name in (*same, *more)},
        "object": "coupon",
        "livemode": False,
        "metadata": metadata(inner["metadata"], None),
        "name": world.extras[named].get("name"),
    }


async def retrieve_coupon(world: World, call: Call) -> Object:
    """The coupon of the path."""
    return await coupon(world, call.id)


async def delete_coupon(world: World, call: Call) -> Object:
    """That it is gone; who has its discount keeps it."""
    await coupon(world, call.id)
    for discount in world.discounts.values():
        # A discount outlives its coupon, so what it says is kept with it.
        if discount["source"]["coupon"] == call.id:
            raise invalid("This sandbox keeps coupons that a subscription has.")
    for promotion in world.promotions.values():
        if promotion["promotion"]["coupon"] == call.id:
            promotion["active"] = False
    await world.inner.delete(f"coupons/{call.id}")
    return {"id": call.id, "object": "coupon", "deleted": True}


async def retrieve_account(world: World, call: Call) -> Object:
    """Whose Stripe account this would be."""
    return {
        "id": "acct_sandbox00000000",
        "object": "account",
        "business_type": "company",
        "charges_enabled": True,
        "country": "DE",
        "default_currency": "eur",
        "details_submitted": True,
        "email": "sandbox@example.com",
        "metadata": {},
        "payouts_enabled": True,
        "settings": {"dashboard": {"display_name": "Sandbox", "timezone": "Etc/UTC"}},
        "type": "standard",
    }
