"""What stands between a person who pays and their erasure, and telling Stripe to forget them."""

from typing import Any
from uuid import UUID

from billing import customers, stripe_gateway
from billing.models import BillingAccount, Subscription
from billing.stripe_gateway import LIVE, NotConfigured
from tracker import clock, tenancy
from tracker.errors import DomainError
from tracker.logs import get_logger

log = get_logger(__name__)


class SubscriptionActive(DomainError):
    code = "subscription_active"
    status = 409
    message = (
        "You have a plan that costs money. Please end the subscription first; then your account "
        "can be deleted."
    )


def refuse_while_subscribed(user: Any) -> None:
    """Raises SubscriptionActive while a subscription would charge again. Inside a tenancy context.

    Deleting somebody who is charged every month would leave nobody who could end that.
    """
    charging = Subscription.objects.filter(
        user_id=user.pk, ended_at=None, status__in=LIVE, cancel_at_period_end=False
    )
    if charging.exists():
        raise SubscriptionActive


def end_subscription(user: Any) -> None:
    """End whatever charges a person, at Stripe first. Outside of any transaction.

    Raises as the gateway does, and has then changed nothing here.
    """
    account = customers.find(user.pk)
    if account is None or not account.stripe_customer_id:
        return
    state = stripe_gateway.read_customer(account.stripe_customer_id)
    for found in state.subscriptions:
        if found.is_live or found.status == "incomplete":
            stripe_gateway.end_now(found.id)
    customers.refresh(user_id=user.pk, now=clock.now())


def forget(user_id: UUID) -> None:
    """Have Stripe delete the customer; it keeps the payments that were made, as the law asks.

    Safe to call again, outside of any transaction. Raises Unavailable, Refused. Where no key is
    set any more, nobody can be told, which is logged.
    """
    account = customers.find(user_id)
    if account is None or not account.stripe_customer_id:
        return
    try:
        stripe_gateway.delete_customer(account.stripe_customer_id)
    except NotConfigured:
        log.error("erasure.stripe_not_told", customer=account.stripe_customer_id)
    with tenancy.as_user(user_id):
        BillingAccount.objects.filter(user_id=user_id).update(stripe_customer_id=None)
