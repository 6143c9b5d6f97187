"""What is sold: products, prices, the meter of calls; and every subscription there is."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing.stripe_gateway import facts
from billing.stripe_gateway.asking import PAGE, ask
from billing.stripe_gateway.errors import Refused
from billing.stripe_gateway.facts import PART, TIER, Price

METER = "tracker_api_calls"


def find_prices(lookup_keys: Sequence[str]) -> dict[str, Price]:
    """The prices in force, by lookup key; a key without one is left out."""
    params = {"lookup_keys": list(lookup_keys), "active": True, "limit": PAGE}
    return {
        row.lookup_key: facts.price(row) for row in ask(lambda c: c.v1.prices.list(params)).data
    }


def find_product(product_id: str) -> Any | None:
    """A product as Stripe has it, or None."""
    try:
        return ask(lambda c: c.v1.products.retrieve(product_id))
    except Refused as refusal:
        if refusal.details.get("missing"):
            return None
        raise


def save_product(product_id: str, name: str, *, exists: bool) -> Any:
    """Create a product with an id of ours, or rename it."""
    if exists:
        return ask(lambda c: c.v1.products.update(product_id, {"name": name, "active": True}))
    options = {"idempotency_key": f"product:{product_id}:{name}"}
    params = {"id": product_id, "name": name}
    return ask(lambda c: c.v1.products.create(params, options=options))


def create_price(
    *, product: str, lookup_key: str, tier: str, part: str, amount: Decimal, currency: str,
    meter: str,
) -> Price:  # fmt: skip
    """A new price under a lookup key, which it takes from the one that had it."""
    recurring: dict[str, Any] = {"interval": "month"}
    if meter:
        recurring |= {"usage_type": "metered", "meter": meter}
    params = {
        "product": product, "currency": currency, "recurring": recurring,
        "unit_amount_decimal": f"{amount * 100:f}", "lookup_key": lookup_key,
        "transfer_lookup_key": True, "metadata": {TIER: tier, PART: part},
    }  # fmt: skip
    return facts.price(ask(lambda c: c.v1.prices.create(params)))


def retire_price(price_id: str) -> None:
    """Sell a price to nobody any more; who has it keeps it."""
    ask(lambda c: c.v1.prices.update(price_id, {"active": False}))


def find_meter() -> str:
    """The id of the meter of API calls, or an empty string."""
    found = ask(lambda c: c.v1.billing.meters.list({"status": "active", "limit": PAGE}))
    return next((str(row.id) for row in found.data if row.event_name == METER), "")


def create_meter() -> str:
    """A meter that adds up calls; its id."""
    params = {
        "display_name": "API calls beyond the included ones", "event_name": METER,
        "default_aggregation": {"formula": "sum"},
    }  # fmt: skip
    return str(ask(lambda c: c.v1.billing.meters.create(params)).id)


def report_calls(*, customer_id: str, calls: int, at: datetime, identifier: str) -> None:
    """Tell the meter; the same identifier counts once."""
    params = {
        "event_name": METER, "identifier": identifier, "timestamp": int(at.timestamp()),
        "payload": {"stripe_customer_id": customer_id, "value": str(calls)},
    }  # fmt: skip
    options = {"idempotency_key": f"meter:{identifier}"}
    try:
        ask(lambda c: c.v1.billing.meter_events.create(params, options=options))
    except Refused as refusal:
        if not refusal.details.get("known"):
            raise


def every_subscription() -> Iterator[tuple[str, str]]:
    """Customer and subscription ids of everything that is not over, for reconciliation."""
    after: dict[str, str] = {}
    while True:
        found = _page(after)
        yield from ((facts.id_of(row.customer), row.id) for row in found.data)
        if not found.has_more or not found.data:
            return
        after = {"starting_after": found.data[-1].id}


def _page(after: dict[str, str]) -> Any:
    return ask(lambda c: c.v1.subscriptions.list({"limit": PAGE, **after}))
