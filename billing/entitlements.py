"""What a user may do, asked at every gate."""

from typing import Any

from billing import plans
from billing.plans import Plan


def for_user(user: Any) -> Plan:
    """The plan in force for a user; an anonymous caller has the default plan."""
    return plans.plan(getattr(user, "subscription_tier", plans.DEFAULT_TIER))
