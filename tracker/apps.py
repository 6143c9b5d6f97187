from django.apps import AppConfig


class TrackerConfig(AppConfig):
    """The project itself: no models, only checks and commands that belong to no room."""

    name = "tracker"

    def ready(self) -> None:
        from tracker import checks  # noqa: F401  (registers the checks)
