"""dj-stripe's copies of products, prices, customers and subscriptions, for admin and reports.

dj-stripe fetches what it lacks, with the key it is given, and stores that key. It is given a word
that is no key, and an address that nobody has (``billing.apps``): whatever it is handed is
complete, so it neither asks Stripe inside our transaction nor keeps a secret in the database.
Nothing is decided by these copies.
"""

import json
from typing import Any
from uuid import UUID

import stripe
from django.db import DatabaseError
from djstripe import models as djstripe

from billing.stripe_gateway import CustomerState, Price, SubscriptionState
from tracker import tenancy
from tracker.logs import get_logger

log = get_logger(__name__)
OWN_ACCOUNT = "acct_own"  # stands for the operator's; its real id is nobody's concern here
NO_KEY = "sk_test_" + "0" * 24


def write(state: CustomerState, *, user_id: UUID) -> None:
    """Copy a customer and its subscriptions. What cannot be copied is logged and left."""
    if state.is_deleted or state.source is None:
        return
    try:
        with tenancy.as_system("copy from Stripe"):
            _own_account()
            customer = _copy(djstripe.Customer, state.source)
            if customer.subscriber_id != user_id:
                djstripe.Customer.objects.filter(pk=customer.pk).update(subscriber_id=user_id)
            for found in state.subscriptions:
                _copy_if_known(found)
    except (stripe.StripeError, DatabaseError, ValueError, KeyError, AttributeError) as error:
        log.warning("stripe.mirror_failed", error=type(error).__name__, exc_info=True)


def write_product(source: Any) -> None:
    """Copy a product."""
    with tenancy.as_system("copy from Stripe"):
        _own_account()
        data = json.loads(str(source))
        record = djstripe.Product._stripe_object_to_record(data, api_key=NO_KEY)
        # Not by its own sync, which would ask for the product's features.
        djstripe.Product.objects.update_or_create(id=data["id"], defaults=record)


def write_price(price: Price) -> None:
    """Copy a price, whose product was copied before."""
    with tenancy.as_system("copy from Stripe"):
        _own_account()
        _copy(djstripe.Price, price.source)


def _copy_if_known(found: SubscriptionState) -> None:
    """One that refers to a price which was never copied is left out."""
    wanted = {item.price_id for item in found.items}
    if found.source is None or djstripe.Price.objects.filter(id__in=wanted).count() < len(wanted):
        log.info("stripe.price_not_copied", subscription=found.id)
        return
    _copy(djstripe.Subscription, found.source)


def _copy(model: Any, source: Any) -> Any:
    data = json.loads(str(source))
    _collapse(data)
    complete = stripe.StripeObject.construct_from(data, None)
    return model.sync_from_stripe_data(complete, api_key=NO_KEY)


def _collapse(data: dict[str, Any]) -> None:
    """Leave what is not copied out, so that dj-stripe does not look for it."""
    absent = {"latest_invoice", "pending_setup_intent", "default_payment_method", "default_source"}
    data.update(dict.fromkeys(absent & data.keys()))
    if "invoice_settings" in data:
        data["invoice_settings"] = {}


def _own_account() -> None:
    account, _ = djstripe.Account.objects.get_or_create(id=OWN_ACCOUNT)
    djstripe.APIKey.objects.get_or_create(
        secret=NO_KEY,
        defaults={"type": "secret", "livemode": False, "djstripe_owner_account": account},
    )
