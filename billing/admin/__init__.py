"""Admin of `billing`."""

from billing.admin import events, subscriptions

__all__ = ["events", "subscriptions"]
