"""What a database holds, table by table, so that a copy can be compared with it.

A checksum is the sum over a table's rows of PostgreSQL's own hash of the row as text: it does not
depend on the order of rows, and is comparable between servers of one major version.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connections

from tracker import tenancy

Told = Callable[[str, int, int], None]
Table = tuple[int, str]  # rows, checksum

_TABLES = """
    SELECT relname FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname
"""
_PARTS = """
    SELECT inhparent::regclass::text, inhrelid::regclass::text FROM pg_inherits
    JOIN pg_class AS c ON c.oid = inhrelid WHERE c.relkind = 'r'
"""
_POLICIES = """
    SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity,
           p.policyname, p.permissive, p.roles::text, p.cmd, p.qual, p.with_check
    FROM pg_class AS c LEFT JOIN pg_policies AS p
      ON p.schemaname = 'public' AND p.tablename = c.relname
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
      AND (c.relrowsecurity OR p.policyname IS NOT NULL)
    ORDER BY 1, 4
"""
# Tables with a person that lack any of the three.
_UNPROTECTED = """
    SELECT relname FROM pg_class AS c
    WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
      AND (relname = 'users' OR EXISTS (SELECT FROM pg_attribute
           WHERE attrelid = c.oid AND attname = 'user_id' AND NOT attisdropped))
      AND NOT (relrowsecurity AND relforcerowsecurity
               AND EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid))
    ORDER BY relname
"""
_TEXT_FORMS = """
    SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; SET LOCAL IntervalStyle = 'postgres';
    SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex';
    SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;
    SET LOCAL work_mem = '64MB'
"""
Cursor = psycopg.Cursor[Any]


@contextmanager
def snapshot(reason: str, *, alias: str = "default") -> Iterator[Cursor]:
    """Read as system, everything as it is at one instant, on a connection of its own."""
    own = connections[alias].copy()
    try:
        own.ensure_connection()
        with own.wrap_database_errors, own.connection.transaction(), own.connection.cursor() as run:
            run.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            run.execute(_TEXT_FORMS)
            run.execute("SELECT set_config(%s, %s, true)", [tenancy.SYSTEM, reason])
            yield run
    finally:
        own.close()


def tables(run: Cursor, told: Told) -> dict[str, Table]:
    """Rows and checksum of every table; ``told`` hears how many of them are done."""
    names = [name for (name,) in run.execute(_TABLES).fetchall()]
    found: dict[str, Table] = {}
    for number, name in enumerate(names, 1):
        statement = psycopg.sql.SQL(
            "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM ONLY {} t"
        ).format(psycopg.sql.Identifier("public", name))
        rows, checksum = run.execute(statement).fetchone() or (0, "0")
        found[name] = (int(rows), checksum)
        told("Counting tables", number, len(names))
    return found


def hidden_rows(run: Cursor, found: dict[str, Table]) -> list[str]:
    """Partitioned tables that hold more rows than their partitions show one by one.

    A dump reads the partitions, so it would lack those rows and look whole.
    """
    parts: dict[str, int] = {}
    for whole, part in run.execute(_PARTS).fetchall():
        parts[whole] = parts.get(whole, 0) + found[part][0]
    return sorted(whole for whole, rows in parts.items() if _rows(run, whole) != rows)


def _rows(run: Cursor, name: str) -> int:
    statement = psycopg.sql.SQL("SELECT count(*) FROM {}").format(
        psycopg.sql.Identifier("public", name)
    )
    return int((run.execute(statement).fetchone() or (0,))[0])


def policies(run: Cursor) -> list[list[Any]]:
    """Every table with row security or a policy, and what that is, as JSON can hold it."""
    return [list(row) for row in run.execute(_POLICIES).fetchall()]


def unprotected(run: Cursor) -> list[str]:
    """Tables that have a person and lack row security, its force, or a policy."""
    return [name for (name,) in run.execute(_UNPROTECTED).fetchall()]


def shown_to_nobody(run: Cursor) -> list[str]:
    """Protected tables of which rows are seen without an identity. Takes the identity away."""
    protected = sorted({row[0] for row in policies(run)})
    run.execute("SELECT set_config(%s, '', true)", [tenancy.SYSTEM])
    return [name for name in protected if _any_row(run, name)]


def migrations(run: Cursor) -> dict[str, str]:
    """The newest migration of each app."""
    rows = run.execute("SELECT app, max(name) FROM django_migrations GROUP BY app ORDER BY app")
    return dict(rows.fetchall())


def _any_row(run: Cursor, name: str) -> bool:
    statement = psycopg.sql.SQL("SELECT EXISTS (SELECT FROM {})").format(
        psycopg.sql.Identifier("public", name)
    )
    return bool((run.execute(statement).fetchone() or (False,))[0])
