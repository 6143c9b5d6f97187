"""Admin of `billing`."""

from billing.admin import acts, events, subscriptions

__all__ = ["acts", "events", "subscriptions"]
