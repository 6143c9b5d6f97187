from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """People: users, sessions and tokens, second factors, messages, privacy."""

    name = "accounts"

    def ready(self) -> None:
        from accounts import bounces, drill, launch, subscriptions

        subscriptions.subscribe()
        bounces.subscribe()
        drill.register()
        launch.register()
