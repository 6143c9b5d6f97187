from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """People: users, sessions and tokens, second factors, messages, privacy."""

    name = "accounts"

    def ready(self) -> None:
        from django.db.models.signals import post_migrate

        from accounts import bounces, drill, launch, messages, subscriptions
        from accounts.events import Event
        from accounts.second_factor import resets
        from accounts.staff import roles

        subscriptions.subscribe()
        bounces.subscribe()
        drill.register()
        launch.register()
        messages.link_maker(Event.SECOND_FACTOR_RESET, resets.link)
        post_migrate.connect(roles.sync_after_migrating)
