from django.apps import AppConfig


class TrackerConfig(AppConfig):
    """The project itself: no models, only checks and commands that belong to no room."""

    name = "tracker"

    def ready(self) -> None:
        # As it is imported it writes defaults into the settings, which must be the real ones.
        import django_cryptography.conf  # noqa: F401

        from tracker import checks  # noqa: F401  (registers the checks)
