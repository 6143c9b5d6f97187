"""Django's ``migrate`` as system: under forced row-level security an UPDATE in a migration would
otherwise change nothing, and say nothing."""

from typing import Any

from django.conf import settings
from django.core.management.commands import migrate
from django.db import connection
from psycopg import sql

from tracker import direct, rest_roles, servers, tenancy


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        with direct.connected():
            _set_system("migrate")
            try:
                super().handle(*args, **options)
                _set_limit_of_role()
                rest_roles.shut_out()
            finally:
                _set_system("")


def _set_system(reason: str) -> None:
    # For the session, not the transaction: each migration has a transaction of its own. The
    # command's connection is closed when its process ends. A migration may take its time.
    limit = "0" if reason else str(settings.STATEMENT_TIMEOUT_MS)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config(%s, %s, false), set_config('statement_timeout', %s, false)",
            [tenancy.SYSTEM, reason, limit],
        )


def _set_limit_of_role() -> None:
    """Behind a pooler in transaction mode the limit of statements stands at the role."""
    if settings.DATABASE_POOLER != servers.TRANSACTION:
        return
    statement = sql.SQL("ALTER ROLE CURRENT_USER IN DATABASE {} SET statement_timeout = {}")
    with connection.cursor() as cursor:
        name = sql.Identifier(connection.settings_dict["NAME"])
        cursor.execute(statement.format(name, sql.Literal(f"{settings.STATEMENT_TIMEOUT_MS}ms")))
