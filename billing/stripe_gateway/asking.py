"""One call to Stripe: with our key, outside of any transaction, its errors as ours."""

from collections.abc import Callable
from functools import cache
from typing import Any

import stripe
from django.conf import settings

from billing.stripe_gateway.errors import CardDeclined, NotConfigured, Refused, Unavailable
from tracker import tenancy
from tracker.errors import DomainError
from tracker.logs import get_logger

log = get_logger(__name__)
PAGE = 100


def is_configured() -> bool:
    """Whether there is a key to speak to Stripe with."""
    return bool(settings.STRIPE_API_KEY)


@cache
def _client(key: str, url: str) -> stripe.StripeClient:
    return stripe.StripeClient(
        key, base_addresses={"api": url}, max_network_retries=1,
        http_client=stripe.RequestsClient(timeout=settings.STRIPE_TIMEOUT_SECONDS),
    )  # fmt: skip


def ask(call: Callable[[Any], Any]) -> Any:
    """Make one call. Raises NotConfigured, Unavailable, CardDeclined, Refused."""
    if not is_configured():
        raise NotConfigured
    if tenancy.current() != tenancy.Identity():
        raise RuntimeError("Stripe is not asked inside a database transaction")
    try:
        return call(_client(settings.STRIPE_API_KEY, settings.STRIPE_API_URL))
    except stripe.CardError as error:
        problem: DomainError = CardDeclined(
            error.user_message, details={"reason": error.code or ""}
        )
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        log.error("stripe.key_refused", error=type(error).__name__)
        problem = Unavailable(retry_after=60)
    except (stripe.InvalidRequestError, stripe.IdempotencyError) as error:
        if error.http_status == 409:  # the same request is under way
            raise Unavailable(retry_after=2) from None
        log.warning("stripe.refused", code=error.code, param=getattr(error, "param", None))
        problem = Refused(details=_why(error))
    except stripe.StripeError as error:
        log.warning("stripe.unavailable", error=type(error).__name__, status=error.http_status)
        problem = Unavailable(retry_after=10)
    raise problem


def _why(error: stripe.StripeError) -> dict[str, Any]:
    missing = error.code == "resource_missing"
    # Told a second time, a meter says so in words alone.
    known = "already exists with identifier" in str(error)
    return {"reason": error.code or ""} | {
        name: True for name, so in (("missing", missing), ("known", known)) if so
    }
