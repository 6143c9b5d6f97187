"""Tests and benchmarks empty whole tables, which the activity log refuses."""

from django.db import connection


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
