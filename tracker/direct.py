"""Past the pooler: for what lasts longer than a transaction.

Migrations set things for their session, and ``pg_dump`` holds a snapshot for as long as it reads.
A pooler in transaction mode gives such sessions to others between two statements.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections


@contextmanager
def connected() -> Iterator[None]:
    """This thread speaks with PostgreSQL itself, at ``DIRECT_DATABASE_URL``, where that is set."""
    if not settings.DIRECT_DATABASE:
        yield
        return
    usual: Any = connections[DEFAULT_DB_ALIAS]
    other = usual.copy()
    other.settings_dict |= settings.DIRECT_DATABASE
    connections[DEFAULT_DB_ALIAS] = other
    try:
        yield
    finally:
        connections[DEFAULT_DB_ALIAS] = usual
        other.close()
