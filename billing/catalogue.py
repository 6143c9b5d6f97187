"""The table of plans as products, prices and a meter at Stripe: made, adopted, replaced."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from billing import mirror, plans, stripe_gateway
from billing.models import Subscription
from billing.plans import Plan
from billing.stripe_gateway import CALLS, PLAN, NotConfigured, Price
from tracker import tenancy
from tracker.errors import DomainError


class NotForSale(DomainError):
    code = "plan_not_for_sale"
    status = 400
    message = "This plan cannot be bought."


class PricesMissing(DomainError):
    code = "billing_prices_missing"
    status = 503
    message = "This plan cannot be bought yet. Please try again later."


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done, or would be."""

    what: str
    done: bool


def lookup_key(tier: str, part: str) -> str:
    """The name under which a price stands at Stripe, whatever its id."""
    return f"tracker_{tier}_{part}"


def prices_of(tier: str) -> dict[str, str]:
    """Ids of the prices of a tier, by part. Raises NotForSale, PricesMissing, or as the gateway."""
    table = dict(plans.for_sale())
    if tier not in table:
        raise NotForSale
    parts = _parts(table[tier])
    found = stripe_gateway.find_prices([lookup_key(tier, part) for part in parts])
    missing = [part for part in parts if lookup_key(tier, part) not in found]
    if missing:
        raise PricesMissing(details={"missing": missing})
    return {part: found[lookup_key(tier, part)].id for part in parts}


def _parts(plan: Plan) -> dict[str, Decimal]:
    calls = {} if plan.call_price is None else {CALLS: plan.call_price}
    return {PLAN: plan.price, **calls}


def unknown_tiers() -> list[tuple[str, int]]:
    """Tiers that people have subscribed to and the table no longer has, with how many people."""
    with tenancy.as_system("look for unknown plans"):
        tiers = Subscription.objects.filter(ended_at=None).values_list("tier", flat=True)
        counted: dict[str, int] = {}
        for tier in tiers:
            if tier not in plans.table():
                counted[tier] = counted.get(tier, 0) + 1
    return sorted(counted.items())


# --- making it so -------------------------------------------------------------------------------
def sync(*, dry_run: bool = False) -> Iterator[Step]:
    """Make Stripe's catalogue that of the table; yields what is done. Safe to run again.

    A price whose amount has changed is replaced; who has the old one keeps it. Raises as the
    gateway does.
    """
    if not stripe_gateway.is_configured():
        raise NotConfigured
    meter = stripe_gateway.find_meter()
    if not meter:
        yield Step("meter of API calls: create", not dry_run)
        meter = "" if dry_run else stripe_gateway.create_meter()
    for tier, plan in plans.for_sale():
        yield from _sync_product(tier, plan, dry_run)
        yield from _sync_prices(tier, plan, meter, dry_run)


def _sync_product(tier: str, plan: Plan, dry_run: bool) -> Iterator[Step]:
    product_id, name = _product_id(tier), plan.name or tier
    found = stripe_gateway.find_product(product_id)
    if found is None or found.name != name or not found.active:
        yield Step(f"product {name}: {'rename' if found else 'create'}", not dry_run)
        if dry_run:
            return
        found = stripe_gateway.save_product(product_id, name, exists=found is not None)
    if not dry_run:
        mirror.write_product(found)


def _sync_prices(tier: str, plan: Plan, meter: str, dry_run: bool) -> Iterator[Step]:
    wanted = _parts(plan)
    found = stripe_gateway.find_prices([lookup_key(tier, part) for part in wanted])
    for part, amount in wanted.items():
        known = found.get(lookup_key(tier, part))
        if known is not None and _is_the_same(known, tier, part, amount):
            if not dry_run:
                mirror.write_price(known)
            continue
        told = f"price of {plan.name or tier}, {part}: {amount} {plans.CURRENCY}"
        yield Step(f"{told} ({'replace' if known else 'create'})", not dry_run)
        if not dry_run:
            _replace_price(known, tier, part, amount, meter)


def _replace_price(known: Price | None, tier: str, part: str, amount: Decimal, meter: str) -> None:
    made = stripe_gateway.create_price(
        product=_product_id(tier), lookup_key=lookup_key(tier, part), tier=tier, part=part,
        amount=amount, currency=plans.CURRENCY, meter=meter if part == CALLS else "",
    )  # fmt: skip
    mirror.write_price(made)
    if known is not None:
        stripe_gateway.retire_price(known.id)


def _is_the_same(known: Price, tier: str, part: str, amount: Decimal) -> bool:
    return (
        known.amount == amount
        and known.currency == plans.CURRENCY
        and known.product == _product_id(tier)
        and known.is_metered == (part == CALLS)
        and (known.tier, known.part) == (tier, part)  # by which a subscription is recognised
    )


def _product_id(tier: str) -> str:
    return f"tracker_{tier}"
