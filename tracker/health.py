"""`/healthz`: this process answers. `/readyz`: everything it needs answers too."""

from collections.abc import Callable

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse

_migrated = False
Handler = Callable[[HttpRequest], HttpResponse]


class ProbeMiddleware:
    """Answers both addresses whatever the ``Host``: probes of a platform or a container call an
    address, and whether this process works is nothing that belongs to a host."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path == "/healthz":
            return healthz(request)
        if request.path == "/readyz":
            return readyz(request)
        return self.get_response(request)


def healthz(request: HttpRequest) -> JsonResponse:
    """The process is alive. Touches nothing."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Database, migrations, cache and broker, each ``ok`` or ``unavailable``; 503 unless all."""
    parts = {
        "database": _works(_database),
        "migrations": _works(_migrations),
        "cache": _works(lambda: _ping(settings.REDIS_URL)),
        "broker": _works(lambda: _ping(settings.CELERY_BROKER_URL)),
    }
    ready = all(parts.values())
    named = {name: "ok" if works else "unavailable" for name, works in parts.items()}
    body = {"status": "ok" if ready else "unavailable", "parts": named}
    return JsonResponse(body, status=200 if ready else 503)


def _works(probe: Callable[[], bool]) -> bool:
    try:
        return probe()
    except (DatabaseError, InterfaceError):
        close_old_connections()  # one that broke must not be asked again
        return False
    except (redis.RedisError, OSError):
        return False


def _database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True


def _migrations() -> bool:
    """Looked up until it is true once: a process never outlives its own migrations."""
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _migrated


def _ping(url: str) -> bool:
    with redis.Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1) as client:
        return bool(client.ping())
