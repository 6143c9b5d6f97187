"""Admin of `billing`."""

from billing.admin import desk, events, subscriptions

__all__ = ["desk", "events", "subscriptions"]
