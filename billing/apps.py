from django.apps import AppConfig


class BillingConfig(AppConfig):
    """What a user may do: plans, entitlements, limits."""

    name = "billing"
