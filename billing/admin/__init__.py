"""Admin of `billing`."""

from billing.admin import acts, desk, events, subscriptions

__all__ = ["acts", "desk", "events", "subscriptions"]
