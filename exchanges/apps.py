from django.apps import AppConfig


class ExchangesConfig(AppConfig):
    """The outside world: connections, credentials, the gateway, assets, prices."""

    name = "exchanges"

    def ready(self) -> None:
        from exchanges import drill, support

        drill.register()
        support.register()
