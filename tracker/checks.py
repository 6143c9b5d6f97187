"""System checks: a setting that is wrong, or lacking in production, stops the start with one
sentence of its own."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register, run_checks
from django.core.management.base import SystemCheckError
from django.db import connection

from tracker import rest_roles

TAG = "settings"


@register(TAG)
def settings_are_sound(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What `tracker.settings` found wrong while it read the environment."""
    return [
        Error(problem, id=f"tracker.E{number:03}")
        for number, problem in enumerate(settings.SETTINGS_PROBLEMS, 1)
    ]


@register(TAG, deploy=True)
def production_settings_are_sound(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Conditions that only matter before strangers can reach the server."""
    found: list[CheckMessage] = []
    if not settings.BURST_LIMITS_ENABLED:
        found.append(
            Warning("BURST_LIMITS is off: anyone may call without limit.", id="tracker.W1")
        )
    if settings.EXCHANGE_BASE_URLS:
        found.append(
            Warning("EXCHANGE_BASE_URLS sends exchange traffic elsewhere.", id="tracker.W2")
        )
    if str(settings.BASE_DIR / "var" / "files") == settings.PRIVATE_FILES:
        found.append(
            Warning(
                "PRIVATE_FILES is not set: workers write files that web processes cannot read "
                "unless they share this disk. Name a folder that they share, or s3://bucket/folder.",
                id="tracker.W3",
            )
        )
    if str(settings.BASE_DIR / "var" / "backups") == settings.BACKUPS:
        found.append(
            Warning(
                "BACKUPS is not set: backups lie on the disk of the process that makes them. Name "
                "a folder on another disk, or s3://bucket/folder in another account.",
                id="tracker.W4",
            )
        )
    return found


@register(Tags.database)
def role_is_bound_by_policies(
    app_configs: Any, databases: Any = None, **kwargs: Any
) -> list[CheckMessage]:
    """Row-level security binds neither superusers nor BYPASSRLS roles; `migrate` asks this."""
    if not databases:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
        (exempt,) = cursor.fetchone()
    if not exempt:
        return []
    return [
        Error(
            "The database role is a superuser or has BYPASSRLS, so row-level security does not "
            "bind it. Let an ordinary role own the database.",
            id="tracker.E900",
        )
    ]


@register(Tags.database)
def rest_roles_are_shut_out(
    app_configs: Any, databases: Any = None, **kwargs: Any
) -> list[CheckMessage]:
    """Nobody but us reads our tables: not a platform's own REST interface either."""
    found = rest_roles.still_open() if databases else []
    if not found:
        return []
    table, role = found[0]
    return [
        Warning(
            f"The role {role} of the platform's REST interface may use {len(found)} tables, such "
            f"as {table}. `migrate` takes that away.",
            id="tracker.W900",
        )
    ]


def refuse_bad_settings() -> None:
    """Raise SystemCheckError unless the settings are sound; servers call it as they start."""
    errors: Sequence[CheckMessage] = [
        message for message in run_checks(tags=[TAG]) if message.is_serious()
    ]
    if errors:
        raise SystemCheckError("\n".join(message.msg for message in errors))
