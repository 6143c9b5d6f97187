from django.apps import AppConfig


class AuditConfig(AppConfig):
    """What happened: the activity log, and the one door upwards."""

    name = "audit"
