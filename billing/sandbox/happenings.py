"""Events as they are asked for."""

from billing.sandbox.wire import Object, missing, page
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


def _is(kind: str, wanted: str) -> bool:
    if wanted.endswith("*"):
        return kind.startswith(wanted[:-1])
    return kind == wanted
