from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """People: users, sessions and tokens, second factors, messages, privacy."""

    name = "accounts"

    def ready(self) -> None:
        from django.db.models.signals import post_migrate

        from accounts import bounces, drill, subscriptions
        from accounts.staff import roles

        subscriptions.subscribe()
        bounces.subscribe()
        drill.register()
        post_migrate.connect(roles.sync_after_migrating)
