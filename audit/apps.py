from django.apps import AppConfig


class AuditConfig(AppConfig):
    """What happened: the activity log, and the one door upwards."""

    name = "audit"

    def ready(self) -> None:
        from audit import checks, detection, drills, launch  # noqa: F401  (checks register themselves)
        from tracker.backups import drill

        detection.subscribe()
        drill.check("activity log", drills.look_at_seals, place=1)
        launch.register()
