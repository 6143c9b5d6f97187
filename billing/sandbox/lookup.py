"""Any object by its identifier alone, for `expand`."""

from collections.abc import Awaitable, Callable

from billing.sandbox import cards, catalogue, charges, customers, intents, promotions
from billing.sandbox.wire import Object, StripeError
from billing.sandbox.world import World, kept

Find = Callable[[World, str], Awaitable[Object]]

_ELSEWHERE: dict[str, Find] = {
    "ch_": charges.charge,
    "cus_": customers.customer,
    "pi_": intents.payment_intent,
    "pm_": cards.method,
    "promo_": promotions.promotion_code,
    "seti_": intents.setup_intent,
}


async def found(world: World, named: str) -> Object | None:
    """The object, or None if nothing has this identifier."""
    prefix, _, _ = named.partition("_")
    try:
        if here := _here(world, prefix, named):
            return here
        if elsewhere := _ELSEWHERE.get(f"{prefix}_"):
            return await elsewhere(world, named)
        return await _by_own_name(world, named)
    except StripeError:
        return None


def _here(world: World, prefix: str, named: str) -> Object | None:
    places = {
        "cs": world.sessions,
        "di": world.discounts,
        "du": world.disputes,
        "in": world.invoices,
        "mtr": world.meters,
        "price": world.prices,
        "sub": world.subscriptions,
    }
    return kept(places[prefix], "object", named) if prefix in places else None


async def _by_own_name(world: World, named: str) -> Object:
    """Products and coupons may be named by their makers."""
    try:
        return await catalogue.product(world, named)
    except StripeError:
        return await catalogue.coupon(world, named)
