"""Databases beside ours, and having this thread work on one of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.commands import migrate as core
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor
from psycopg import sql

from tracker import tenancy
from tracker.backups.errors import BackupError


@contextmanager
def database(suffix: str) -> Iterator[str]:
    """An empty database on the same server, gone afterwards; one that was left behind goes too."""
    name = f"{connection.settings_dict['NAME']}_{suffix}"[:63]
    _drop(name)
    _run("CREATE DATABASE {} TEMPLATE template0", name)
    try:
        yield name
    finally:
        _drop(name)


@contextmanager
def working_on(name: str) -> Iterator[None]:
    """This thread's models, and everything else that asks Django, read and write that database."""
    usual = connections[DEFAULT_DB_ALIAS]
    other: Any = usual.copy()
    other.settings_dict["NAME"] = name
    connections[DEFAULT_DB_ALIAS] = other
    try:
        yield
    finally:
        connections[DEFAULT_DB_ALIAS] = usual
        other.close()


def migrate() -> str:
    """Bring the database that this thread works on to today's code; says what was done.

    Not our own ``migrate``: that one leads past the pooler to the real database.
    """
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not plan:
        return "none of today's code is missing"
    with _as_system():
        call_command(core.Command(), verbosity=0, interactive=False, skip_checks=True)
    return f"{len(plan)} of today's code were missing and have run"


@contextmanager
def _as_system() -> Iterator[None]:
    """For the session, since each migration has a transaction of its own."""
    setting = "SELECT set_config(%s, %s, false), set_config('statement_timeout', %s, false)"
    limit = str(settings.STATEMENT_TIMEOUT_MS)
    with connection.cursor() as cursor:
        cursor.execute(setting, [tenancy.SYSTEM, "restore drill", "0"])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(setting, [tenancy.SYSTEM, "", limit])


def _drop(name: str) -> None:
    """With whoever is connected, where that is allowed.

    FORCE is refused to a role that is no superuser while autovacuum, which is one, works there.
    Without it PostgreSQL stops autovacuum by itself, and waits five seconds for the others.
    """
    try:
        _run("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
    except BackupError:
        _run("DROP DATABASE IF EXISTS {}", name)


def _run(statement: str, name: str) -> None:
    own: Any = connections[DEFAULT_DB_ALIAS].copy()
    try:
        with own.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            cursor.execute(sql.SQL(statement).format(sql.Identifier(name)))
    except DatabaseError as error:
        text = str(error).partition("\n")[0]
        raise BackupError(f"the scratch database could not be made or removed: {text}") from None
    finally:
        own.close()
