from django.apps import AppConfig


class AuditConfig(AppConfig):
    """What happened: the activity log, and the one door upwards."""

    name = "audit"

    def ready(self) -> None:
        from audit import checks, detection  # noqa: F401  (checks register themselves)

        detection.subscribe()
