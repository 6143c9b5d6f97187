"""Django's ``migrate`` as system: under forced row-level security an UPDATE in a migration would
otherwise change nothing, and say nothing."""

from typing import Any

from django.core.management.commands import migrate
from django.db import connection

from tracker import tenancy


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        _set_system("migrate")
        try:
            super().handle(*args, **options)
        finally:
            _set_system("")


def _set_system(reason: str) -> None:
    # For the session, not the transaction: each migration has a transaction of its own. The
    # command's connection is closed when its process ends.
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, false)", [tenancy.SYSTEM, reason])
