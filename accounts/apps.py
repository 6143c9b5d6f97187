from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """People: users, sessions and tokens, data keys, idempotency."""

    name = "accounts"
