"""Events as they are asked for."""

from billing.sandbox.wire import Object, missing, now, page
from billing.sandbox.world import Call, World


def event(world: World, named: str) -> Object:
    """An event. Raises StripeError."""
    for one in world.events.all:
        if one["id"] == named:
            return one
    raise missing("event", named)


async def retrieve(world: World, call: Call) -> Object:
    """The event of the path."""
    return event(world, call.id)


async def listed(world: World, call: Call) -> Object:
    """Events, newest first, of some kinds if asked; `customer.*` means all that begin so."""
    asked = call.asked
    kinds = [*asked.get("types", []), *([asked["type"]] if "type" in asked else [])]
    found = [
        one
        for one in reversed(world.events.all)
        if not kinds or any(_is(one["type"], kind) for kind in kinds)
    ]
    return page(found, asked, "/v1/events")


async def list_endpoints(world: World, call: Call) -> Object:
    """The addresses that are told, newest first; here all are told everything."""
    found: list[Object] = [
        {
            "id": f"we_{number}", "object": "webhook_endpoint", "api_version": None,
            "application": None, "created": now(), "description": None, "enabled_events": ["*"],
            "livemode": False, "metadata": {}, "status": "enabled", "url": hook.url,
        }
        for number, hook in enumerate(world.events.hooks, 1)
    ]  # fmt: skip
    return page(found[::-1], call.asked, "/v1/webhook_endpoints")


def _is(kind: str, wanted: str) -> bool:
    if wanted.endswith("*"):
        return kind.startswith(wanted[:-1])
    return kind == wanted
