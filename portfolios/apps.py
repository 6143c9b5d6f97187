from django.apps import AppConfig


class PortfoliosConfig(AppConfig):
    """What a user owns: facts, ledger, holdings, snapshots, and the sync that fills them."""

    name = "portfolios"

    def ready(self) -> None:
        from portfolios import subscriptions, support

        subscriptions.subscribe()
        support.register()
