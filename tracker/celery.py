"""The Celery application. Tasks take ids and keywords, and may run twice."""

import os
import time
from typing import Any

import structlog
from celery import Celery
from celery.contrib.django.task import DjangoTask
from celery.signals import (
    beat_init,
    before_task_publish,
    setup_logging,
    task_prerun,
    worker_init,
)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tracker.settings")


class Task(DjangoTask):
    """A task that is put aside when it kills its workers."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it, unless it did so three times."""
        if self.request.called_directly or self.request.is_eager:
            return self.run(*args, **kwargs)
        from audit import parking  # models, which are not there yet as this module is imported

        with parking.counted(
            task_id=self.request.id, name=self.name, arguments=kwargs
        ) as may_begin:
            return self.run(*args, **kwargs) if may_begin else None


app = Celery("tracker", task_cls=Task)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["tracker", "audit", "billing", "accounts", "exchanges", "portfolios"])


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
    """A task carries when it was sent, and the id of the request that caused it …"""
    headers["sent_at"] = time.time()  # read by tracker.monitoring.queues
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
