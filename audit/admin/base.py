"""The base of every admin page that can write."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Model
from django.http import HttpRequest
from django_celery_beat import models as beat

from audit import log
from audit.actions import Action
from tracker.admin import BaseAdmin, staff_id

# Beat's own pages can run any task with any arguments, past every service and the activity log.
# The schedule stands in the settings.
for _model in (
    beat.PeriodicTask,
    beat.IntervalSchedule,
    beat.CrontabSchedule,
    beat.SolarSchedule,
    beat.ClockedSchedule,
):
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)


class AuditedAdmin(BaseAdmin):
    """Whatever is saved or deleted through a form stands in the activity log as well.

    Django calls the ``log_…`` hooks for every write of its own pages, inside its transaction,
    so neither the write nor its entry exists alone.
    """

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> list[dict[str, Any]]:
        """Django's message names labels; the log wants the names of the columns beside them."""
        message = super().construct_change_message(request, form, formsets, add)
        for part in message:
            if "changed" in part and "name" not in part["changed"]:
                part["changed"]["columns"] = list(form.changed_data)
        return message

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        _record(request, [obj], "add")
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        _record(request, [obj], "change", _columns(message))
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        _record(request, queryset, "delete")
        return super().log_deletions(request, queryset)


def _columns(message: Any) -> list[str]:
    if not isinstance(message, list):
        return []
    return [name for part in message for name in part.get("changed", {}).get("columns", [])]


def _record(
    request: HttpRequest, rows: Iterable[Model], did: str, changed: Iterable[str] = ()
) -> None:
    for row in rows:
        log.record(
            Action.STAFF_ACTED, user_id=_concerned(row), actor_id=staff_id(request), did=did,
            model=row._meta.label_lower, object_id=str(row.pk), changed=sorted(changed),
        )  # fmt: skip


def _concerned(row: Model) -> UUID | None:
    """The person whom a row is about, if any."""
    return row.pk if isinstance(row, get_user_model()) else getattr(row, "user_id", None)
