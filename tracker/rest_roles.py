"""Roles with which a platform serves tables to the world by itself, shut out of ours.

Supabase puts a REST interface in front of every database. It acts as one of these roles, to which
the platform grants what is made in the schema ``public``.
"""

from django.db import connection
from psycopg import sql

ROLES = ("anon", "authenticated", "service_role")
_THERE = "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) ORDER BY rolname"
# Only what is ours: of other people's tables in the schema we may take nothing away.
_OURS = """
    SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || oid::regclass
    FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND relnamespace = 'public'::regnamespace AND relowner = current_user::regrole
    UNION ALL
    SELECT 'ROUTINE ' || oid::regprocedure FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND proowner = current_user::regrole
"""
# … and what our role will ever make there.
_IN_FUTURE = """
    ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM {role};
    ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON SEQUENCES FROM {role};
    ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON ROUTINES FROM {role}
"""
_OPEN = """
    SELECT c.relname, r.rolname FROM pg_class AS c, pg_roles AS r
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND c.relowner = current_user::regrole AND r.rolname = ANY(%s)
      AND has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
    ORDER BY 1, 2
"""


def present() -> list[str]:
    """Those of the roles that this server has."""
    with connection.cursor() as cursor:
        cursor.execute(_THERE, [list(ROLES)])
        return [name for (name,) in cursor.fetchall()]


def shut_out() -> None:
    """Take from them all that is ours, now and in future. May run any number of times."""
    roles = sql.SQL(", ").join(map(sql.Identifier, present()))
    if not roles.as_string():
        return
    with connection.cursor() as cursor:
        cursor.execute(_OURS)
        ours = [name for (name,) in cursor.fetchall()]
        for name in ours:
            cursor.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(sql.SQL(name), roles))
        cursor.execute(sql.SQL(_IN_FUTURE).format(role=roles))


def still_open() -> list[tuple[str, str]]:
    """Tables of ours that one of them may read or write, each with the role."""
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, [list(ROLES)])
        return [(table, role) for table, role in cursor.fetchall()]
