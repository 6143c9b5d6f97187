"""What this room looks at before a launch: limits of calls, and the way of payments."""

from uuid import uuid4

from django.conf import settings
from django.core.cache import caches

from billing import stripe_gateway
from tracker import launch, own_address
from tracker.errors import DomainError
from tracker.launch import Missing, Occasion
from tracker.own_address import NoAnswer

WEBHOOK_PATH = "/api/webhook/stripe"
# Without one of these, what people paid for would be noticed an hour late, by reconciliation.
_NEEDED = (
    "customer.subscription.created", "customer.subscription.updated",
    "customer.subscription.deleted", "invoice.paid", "invoice.payment_failed",
    "charge.refunded", "charge.dispute.created",
)  # fmt: skip


def register() -> None:
    """Take part in the checklist."""
    launch.add("limits", "Limits are on", look_at_limits, rank=40)
    launch.add("payment", "Payment live, webhook reachable", look_at_payment, rank=60)


def look_at_limits(occasion: Occasion) -> str:
    """Calls and sign-ins are limited, and Redis counts them. Raises Missing."""
    off = [name for name, on in (("BURST_LIMITS", settings.BURST_LIMITS_ENABLED),
                                 ("AUTH_SHIELD", settings.RATELIMIT_ENABLE)) if not on]  # fmt: skip
    if off:
        raise Missing(f"off: {', '.join(off)}", remedy="Take it out of the environment.")
    key = f"launch-checklist:{uuid4()}"
    counter = caches["limits"]
    counter.add(key, 1, 60)
    if counter.incr(key) != 2:
        raise Missing("Redis does not count", remedy="Look at REDIS_URL.")
    counter.delete(key)
    return "calls and sign-ins are limited, and Redis counts"


def look_at_payment(occasion: Occasion) -> str:
    """A live key that Stripe takes, and its messages led to a webhook of ours. Raises Missing."""
    if not stripe_gateway.is_configured():
        remedy = "Set Stripe up (docs/operations.md), or say --without payment."
        raise Missing("no STRIPE_API_KEY: nothing can be bought", remedy=remedy)
    if not settings.STRIPE_LIVE_MODE:
        raise Missing("the key is one of Stripe's test mode", remedy="Set the live keys.")
    address = f"{settings.PUBLIC_URL}{WEBHOOK_PATH}"
    try:
        known = [found for found in stripe_gateway.webhook_endpoints() if found.url == address]
    except DomainError as problem:
        raise Missing(f"Stripe: {problem.text}", remedy="Check STRIPE_API_KEY.") from None
    if not any(found.enabled for found in known):
        remedy = f"Add an endpoint {address} at Stripe, enabled."
        raise Missing("Stripe knows no enabled endpoint of ours", remedy=remedy)
    untold = [kind for kind in _NEEDED if not any(f.enabled and f.tells(kind) for f in known)]
    if untold:
        raise Missing(
            f"it is not told {untold[0]}", remedy="Choose the events of docs/operations.md."
        )
    _knock()
    return f"live key taken; Stripe tells {address}"


def _knock() -> None:
    """An unsigned message writes nothing and is refused as such, when the way is open."""
    try:
        status = own_address.ask(WEBHOOK_PATH, method="POST").status
    except NoAnswer as problem:
        raise Missing(f"the webhook: {problem}", remedy="See that PUBLIC_URL leads here.") from None
    if status != 400:
        remedy = "Set STRIPE_WEBHOOK_SECRETS for web, and let the proxy pass POST on."
        raise Missing(f"the webhook answers {status} instead of refusing", remedy=remedy)
