"""The Celery application. Tasks take ids and keywords, and may run twice."""

import os

import structlog
from celery import Celery
from celery.signals import (
    beat_init,
    before_task_publish,
    setup_logging,
    task_prerun,
    worker_init,
)

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


@before_task_publish.connect
def send_request_id(headers: dict[str, object], **kwargs: object) -> None:
    """A task carries the id of the request that caused it …"""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    if request_id:
        headers["request_id"] = request_id


@task_prerun.connect
def bind_request_id(task: object, **kwargs: object) -> None:
    """… and its log lines and activity rows carry it too."""
    structlog.contextvars.clear_contextvars()
    request_id = getattr(getattr(task, "request", None), "request_id", None)
    if request_id:
        structlog.contextvars.bind_contextvars(request_id=request_id)
