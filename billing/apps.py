import stripe
from django.apps import AppConfig


class BillingConfig(AppConfig):
    """What a user may do: plans, entitlements, limits."""

    name = "billing"

    def ready(self) -> None:
        # dj-stripe speaks to Stripe through the library's own settings; it is to ask nobody. Our
        # gateway has a client of its own.
        stripe.api_base = "http://dj-stripe-asks-nobody.invalid"
        from billing import launch

        launch.register()
