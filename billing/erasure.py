"""What stands between a person who pays and their erasure."""

from typing import Any

from django.contrib.auth import get_user_model

from billing import entitlements, plans
from tracker.errors import DomainError


class SubscriptionActive(DomainError):
    code = "subscription_active"
    status = 409
    message = (
        "You have a plan that costs money. Please end the subscription first; then your account "
        "can be deleted."
    )


def refuse_while_subscribed(user: Any) -> None:
    """Raises SubscriptionActive while a plan is in force that is not the one everybody has.

    Deleting somebody who is charged every month would leave nobody who could end that.
    """
    if entitlements.for_user(user) != plans.plan(plans.DEFAULT_TIER):
        raise SubscriptionActive


def end_subscription(user: Any) -> None:
    """End the plan before its person is erased. Call inside a tenancy context.

    No payment provider is connected, so there is nothing else to cancel; one that is connected
    is told here first, and this raises when it refuses.
    """
    get_user_model().objects.filter(pk=user.pk).update(subscription_tier=plans.DEFAULT_TIER)
    user.subscription_tier = plans.DEFAULT_TIER
