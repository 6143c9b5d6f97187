"""Meters and the usage that is reported to them."""

from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation

from billing.sandbox.wire import Object, StripeError, invalid, now, page, token
from billing.sandbox.world import Call, World, kept

_OLDEST_SECONDS = 35 * 86400
_AHEAD_SECONDS = 300
_CUSTOMER_KEY = "stripe_customer_id"
_VALUE_KEY = "value"


async def create_meter(world: World, call: Call) -> Object:
    """A meter; its event name is its own."""
    asked = call.asked
    if _meter_of(world, asked["event_name"]):
        raise invalid(f"A meter has event name {asked['event_name']}.", param="event_name")
    meter = {
        "id": token("mtr_test_"),
        "object": "billing.meter",
        "created": now(),
        "customer_mapping": asked.get(
            "customer_mapping", {"event_payload_key": _CUSTOMER_KEY, "type": "by_id"}
        ),
        "default_aggregation": asked["default_aggregation"],
        "display_name": asked["display_name"],
        "event_name": asked["event_name"],
        "event_time_window": asked.get("event_time_window"),
        "livemode": False,
        "status": "active",
        "status_transitions": {"deactivated_at": None},
        "updated": now(),
        "value_settings": asked.get("value_settings", {"event_payload_key": _VALUE_KEY}),
    }
    world.meters[meter["id"]] = meter
    return meter


async def retrieve_meter(world: World, call: Call) -> Object:
    """The meter of the path."""
    return kept(world.meters, "billing meter", call.id)


async def list_meters(world: World, call: Call) -> Object:
    """Meters, newest first."""
    status = call.asked.get("status")
    found = [one for one in reversed(world.meters.values()) if status in (None, one["status"])]
    return page(found, call.asked, "/v1/billing/meters")


async def report(world: World, call: Call) -> Object:
    """The event as taken; Stripe refuses an identifier that it already has."""
    asked = call.asked
    if _meter_of(world, asked["event_name"]) is None:
        raise invalid(f"No active meter for event name {asked['event_name']}.", code="no_meter")
    event = _event(asked)
    if event["identifier"] in world.usage:
        raise _known(event["identifier"])
    world.usage[event["identifier"]] = event
    return event


def _event(asked: Object) -> Object:
    at, payload = asked.get("timestamp", now()), dict(asked["payload"])
    if at < now() - _OLDEST_SECONDS:
        raise invalid("timestamp is too old", param="timestamp", code="timestamp_too_far_in_past")
    if at > now() + _AHEAD_SECONDS:
        raise invalid("timestamp is ahead", param="timestamp", code="timestamp_in_future")
    return {
        "object": "billing.meter_event",
        "created": now(),
        "event_name": asked["event_name"],
        "identifier": asked.get("identifier") or token(""),
        "livemode": False,
        "payload": payload,
        "timestamp": at,
    }


def _known(identifier: str) -> StripeError:
    message = f"An event already exists with identifier {identifier}."
    return invalid(message, code="duplicate_meter_event")


def _meter_of(world: World, event_name: str) -> Object | None:
    named = (one for one in world.meters.values() if one["event_name"] == event_name)
    return next((one for one in named if one["status"] == "active"), None)


def unbilled(world: World, customer: str, price: Object) -> list[Object]:
    """The usage of a customer that no invoice has yet, of the meter of a price."""
    meter = world.meters[price["recurring"]["meter"]]
    key = meter["customer_mapping"]["event_payload_key"]
    return [
        event
        for event in world.usage.values()
        if event["event_name"] == meter["event_name"]
        and event["payload"].get(key) == customer
        and event["identifier"] not in world.billed
    ]


def used(world: World, customer: str, price: Object) -> Decimal:
    """How much of it, as the meter adds up."""
    meter = world.meters[price["recurring"]["meter"]]
    key = meter["value_settings"]["event_payload_key"]
    values = [_value(event, key) for event in unbilled(world, customer, price)]
    return _SUMS[meter["default_aggregation"]["formula"]](values)


def bill(world: World, customer: str, price: Object) -> None:
    """It is on an invoice now."""
    world.billed |= {event["identifier"] for event in unbilled(world, customer, price)}


def _value(event: Object, key: str) -> Decimal:
    # As at Stripe, a value that is no number is taken at first and then does not count.
    try:
        return Decimal(event["payload"].get(key, "0"))
    except InvalidOperation:
        return Decimal(0)


def _sum(values: Iterable[Decimal]) -> Decimal:
    return sum(values, Decimal(0))


def _count(values: list[Decimal]) -> Decimal:
    return Decimal(len(values))


def _last(values: list[Decimal]) -> Decimal:
    return values[-1] if values else Decimal(0)


_SUMS: dict[str, Callable[[list[Decimal]], Decimal]] = {
    "sum": _sum,
    "count": _count,
    "last": _last,
}
