"""Changes of subscriptions, told to whoever listens."""

from copy import deepcopy
from typing import Any

from billing.sandbox.wire import Object
from billing.sandbox.world import World

# Subscriptions in these states are over, and nothing changes them any more.
OVER = ("canceled", "incomplete_expired")


def change(world: World, subscription: Object, **changes: Any) -> None:
    """Set these values; listeners are told what was otherwise before."""
    before = {name: deepcopy(subscription[name]) for name in changes}
    subscription.update(changes)
    tell(world, subscription, before)


def tell(world: World, subscription: Object, before: Object) -> None:
    """Tell of a change that is already made, if it is one."""
    previous = {name: value for name, value in before.items() if subscription[name] != value}
    if previous:
        world.events.tell("customer.subscription.updated", subscription, previous)


def end(world: World, subscription: Object, *, at: int, reason: str) -> None:
    """It is canceled, and over."""
    subscription.update(
        status="canceled",
        canceled_at=subscription["canceled_at"] or at,
        ended_at=at,
        cancellation_details={**subscription["cancellation_details"], "reason": reason},
    )
    world.events.tell("customer.subscription.deleted", subscription)
