"""The Celery application. Tasks take ids and keywords, and may run twice."""

import os

from celery import Celery
from celery.signals import beat_init, setup_logging, worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tracker.settings")

app = Celery("tracker")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["tracker", "audit", "accounts", "exchanges", "portfolios"])


@setup_logging.connect
def use_our_logging(**kwargs: object) -> None:
    """Keep Celery from replacing the structured logs."""
    from django.conf import settings
    from django.utils.log import configure_logging

    configure_logging("logging.config.dictConfig", settings.LOGGING)


@worker_init.connect
@beat_init.connect
def refuse_bad_settings(**kwargs: object) -> None:
    from tracker import checks

    checks.refuse_bad_settings()
