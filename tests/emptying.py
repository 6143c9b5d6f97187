"""Tests and benchmarks empty whole tables, which the activity log refuses."""

import functools

import psycopg
from django.db import connection
from django.test import TransactionTestCase

# What migrating writes there is the same for all tests, and none of them changes it.
_KEPT = ("django_migrations", "django_content_type", "auth_permission")


def allow() -> None:
    """Switch the refusal of TRUNCATE off in this database; ``test_sealing`` has it on again."""
    _switch("DISABLE")


def refuse() -> None:
    _switch("ENABLE")


def _switch(verb: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'refuse_truncate'"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE ONLY {table} {verb} TRIGGER refuse_truncate")


def quickly() -> None:
    """After a test with committed rows, delete what there is instead of truncating everything.

    Django's flush makes each of a thousand files of tables and indexes anew, then all permissions.
    Deleting past references and triggers is for a superuser; where there is none, Django's flush
    stays.
    """
    try:
        _superuser()
    except psycopg.OperationalError:
        return
    TransactionTestCase._fixture_teardown = lambda case: _delete_all()  # type: ignore[method-assign]


def _delete_all() -> None:
    admin = _superuser()
    filled = admin.execute(
        """
        SELECT string_agg(format('DELETE FROM %%s', oid::regclass), '; ') FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
          AND pg_relation_size(oid) > 0 AND relname <> ALL(%s)
        """,
        [list(_KEPT)],
    ).fetchone()
    if filled and filled[0]:
        admin.execute(filled[0])


def close() -> None:
    """Leave the database, so that it can be dropped."""
    if _superuser.cache_info().currsize:
        _superuser().close()
        _superuser.cache_clear()


@functools.cache
def _superuser() -> psycopg.Connection:
    """A connection to the tests' database past policies, references and triggers."""
    found = connection.get_connection_params()
    place = {name: found[name] for name in ("dbname", "host", "port") if name in found}
    admin = psycopg.connect(**place, user="postgres", autocommit=True)
    admin.execute("SET session_replication_role = replica")
    return admin
