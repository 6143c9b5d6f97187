"""The second fence: PostgreSQL shows and takes only what belongs to the identity in force.

Everything here is SQL past the ORM. Tables come from the database's own catalogue, so a table
that gets a user tomorrow is held to the same rules without a line here.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import date
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import ForeignKey
from psycopg import errors

from tests import factories
from tracker import partitions, tasks, tenancy

# Tables that the models say have a user. The catalogue is compared with this list below.
OWNED = sorted(
    {"users"}
    | {
        model._meta.db_table
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.concrete_fields
        if field.column == "user_id"
    }
)


def rows(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()


def changed(statement: str, *parameters: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.rowcount


def tables_in_the_catalogue() -> dict[str, tuple[bool, bool, bool]]:
    """Every table with a user: is it a partition, is row security enabled, is it forced."""
    found = rows(
        """
        SELECT relname, relispartition, relrowsecurity, relforcerowsecurity FROM pg_class
        WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
          AND (relname = 'users' OR EXISTS (
            SELECT FROM pg_attribute
            WHERE attrelid = pg_class.oid AND attname = 'user_id' AND NOT attisdropped))
        """
    )
    return {name: (partition, enabled, forced) for name, partition, enabled, forced in found}


def owner_column(table: str) -> str:
    return "id" if table == "users" else "user_id"


@pytest.fixture
def alice(db):
    """Somebody with a row in every table."""
    user = factories.person("alice@example.com")
    factories.something_everywhere(user)
    user.prefix = factories.api_key(user).prefix
    return user


@pytest.fixture
def charlie(db):
    """Somebody with nothing but an API key."""
    user = factories.person("charlie@example.com")
    user.prefix = factories.api_key(user).prefix
    return user


# --- the catalogue ------------------------------------------------------------------------------
def test_every_table_with_a_user_has_row_security_enabled_and_forced(db):
    """S15: partitions too."""
    found = tables_in_the_catalogue()
    unprotected = [name for name, (_, *flags) in found.items() if flags != [True, True]]
    assert unprotected == []


def test_the_catalogue_and_the_models_name_the_same_tables(db):
    found = tables_in_the_catalogue()
    assert sorted(name for name, (partition, *_) in found.items() if not partition) == OWNED
    assert any(partition for partition, *_ in found.values())


def protected_partitions() -> list[str]:
    """Partitions of tables with a user, which the system alone sees directly: for dumps."""
    return [name for name, (partition, *_) in tables_in_the_catalogue().items() if partition]


# Tables with a row that can be found before there is an identity, and the setting that names it.
# dj-stripe's copies, which know their person by other names (tests.billing.test_catalogue).
THROUGH_OTHERS = ("djstripe_customer", "djstripe_subscription", "djstripe_subscriptionitem")
LOOKUPS = {"users": "app.lookup_email", "api_keys": "app.lookup_api_key"}


def test_every_such_table_has_a_policy_of_its_owner_and_only_two_have_another(db):
    """S15: policies are permissive, so one more would open a door, not close one."""
    policies = rows("SELECT tablename, policyname, cmd, qual, with_check FROM pg_policies")
    named = sorted((table, name, command) for table, name, command, *_ in policies)
    assert named == sorted(
        [(table, "owner", "ALL") for table in OWNED]
        + [(table, "owner", "ALL") for table in THROUGH_OTHERS]
        + [(table, "lookup", "SELECT") for table in LOOKUPS]
        + [(part, "dumped", "SELECT") for part in protected_partitions()]
    )
    for table, name, _, using, check in policies:
        if name == "dumped":
            assert "app.system" in using
            assert "OR" not in using
            continue
        setting = LOOKUPS[table] if name == "lookup" else "app.user_id"
        assert setting in using, table
        assert name == "lookup" or setting in check, table


def test_the_runtime_role_is_neither_superuser_nor_above_row_security(db):
    """S15"""
    role = "SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"
    assert rows(role) == [(False, False)]
    memberships = """
        SELECT rolname FROM pg_roles
        WHERE pg_has_role(current_user, oid, 'MEMBER') AND (rolsuper OR rolbypassrls)
    """
    assert rows(memberships) == []


def test_no_view_and_no_function_reads_with_more_rights_than_its_caller(db):
    """S15: a view or a SECURITY DEFINER function of the owner would step over the policies."""
    assert rows("SELECT viewname FROM pg_views WHERE schemaname = 'public'") == []
    assert rows("SELECT matviewname FROM pg_matviews WHERE schemaname = 'public'") == []
    definer = """
        SELECT proname FROM pg_proc
        WHERE prosecdef AND pronamespace = 'public'::regnamespace
    """
    assert rows(definer) == []


# --- each table, each statement, each identity --------------------------------------------------
def copies_of(user: Any) -> dict[str, str]:
    """One row of each table as JSON, to be written again by somebody else."""
    with tenancy.as_system("test"):
        return {
            table: rows(
                f"SELECT to_jsonb(t)::text FROM {table} t WHERE {owner_column(table)} = %s LIMIT 1",
                user.id,
            )[0][0]
            for table in OWNED
        }


@contextmanager
def undone() -> Iterator[None]:
    """A savepoint that is always rolled back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def reached(statement: str, *parameters: Any) -> int:
    """How many rows the statement changes; undone afterwards."""
    try:
        with undone():
            return changed(statement, *parameters)
    except IntegrityError:  # another row stands in the way, so this one was reached
        return 1
    except DatabaseError as error:
        if isinstance(error.__cause__, errors.InsufficientPrivilege):
            return 0
        raise


def refused(statement: str, *parameters: Any) -> bool:
    """Whether row security refuses the statement; any other refusal does not count."""
    try:
        with undone():
            changed(statement, *parameters)
    except DatabaseError as error:
        return isinstance(error.__cause__, errors.InsufficientPrivilege)
    return False


def leaks_of(table: str, user: Any, copy: str) -> list[str]:
    """What of this user's rows the identity in force can read or write, by kind of statement."""
    owner = owner_column(table)
    insert = f"INSERT INTO {table} SELECT * FROM jsonb_populate_record(NULL::{table}, %s::jsonb)"
    found = []
    if rows(f"SELECT 1 FROM {table} WHERE {owner} = %s", user.id):
        found.append(f"select {table}")
    for kind, statement in (
        ("update", f"UPDATE {table} SET {owner} = {owner} WHERE {owner} = %s"),
        ("delete", f"DELETE FROM {table} WHERE {owner} = %s"),
    ):
        if reached(statement, user.id):
            found.append(f"{kind} {table}")
    if not refused(insert, copy):
        found.append(f"insert {table}")
    return found


IDENTITIES = {
    "another user": lambda other: tenancy.as_user(other.id),
    "nobody": lambda other: nullcontext(),
    "a lookup of another address": lambda other: tenancy.as_lookup(email=other.email),
    "a lookup of another key": lambda other: tenancy.as_lookup(api_key=other.prefix),
}


@pytest.mark.parametrize("who", IDENTITIES)
def test_no_statement_reaches_the_rows_of_another_user(alice, charlie, who):
    """S16: table × select, insert, update, delete."""
    copies = copies_of(alice)
    with IDENTITIES[who](charlie):
        found = [leak for table in OWNED for leak in leaks_of(table, alice, copies[table])]
    assert found == []


@pytest.mark.django_db(transaction=True)
def test_no_statement_reaches_rows_after_the_transaction_of_their_owner():
    """S16: the stale context. Committed for real, on the same database connection."""
    alice = factories.person("alice@example.com")
    factories.something_everywhere(alice)
    copies = copies_of(alice)
    with tenancy.as_user(alice.id):
        backend = rows("SELECT pg_backend_pid()")
        assert rows("SELECT count(*) FROM trades") == [(1,)]
    found = [leak for table in OWNED for leak in leaks_of(table, alice, copies[table])]
    assert found == []
    assert rows("SELECT pg_backend_pid()") == backend


def test_an_owner_reaches_their_own_rows_and_only_those(alice, charlie):
    """The fence has a door: without this, a table that nobody can read would pass."""
    factories.something_everywhere(charlie)
    with tenancy.as_user(alice.id):
        for table in OWNED:
            seen = {owner for (owner,) in rows(f"SELECT {owner_column(table)} FROM {table}")}
            assert seen == {alice.id}, table


def test_no_row_can_be_handed_to_somebody_else(alice, charlie):
    """S16: neither given away nor pushed upon another user by an update of one's own rows."""
    with tenancy.as_user(alice.id):
        given = [
            table
            for table in OWNED
            if not refused(f"UPDATE {table} SET {owner_column(table)} = %s", charlie.id)
        ]
    assert given == []


def test_a_lookup_opens_one_row_for_reading_and_nothing_else(alice, charlie):
    """S16: what signing in sees before there is an identity."""
    with tenancy.as_lookup(email=alice.email):
        assert rows("SELECT email FROM users") == [(alice.email,)]
        assert changed("UPDATE users SET is_staff = true") == 0
        assert changed("DELETE FROM users") == 0
        others = [name for name in OWNED if name != "users" and rows(f"SELECT 1 FROM {name}")]
    assert others == []


def test_a_lookup_of_a_key_opens_one_row_for_reading_and_nothing_else(alice, charlie):
    """S16: what an API key's prefix shows before there is an identity."""
    prefix, other = alice.prefix, charlie.prefix
    with tenancy.as_lookup(api_key=prefix):
        assert rows("SELECT prefix FROM api_keys") == [(prefix,)]
        assert rows("SELECT 1 FROM api_keys WHERE prefix = %s", other) == []
        assert changed("UPDATE api_keys SET revoked_at = null") == 0
        assert changed("DELETE FROM api_keys") == 0
        others = [name for name in OWNED if name != "api_keys" and rows(f"SELECT 1 FROM {name}")]
    assert others == []


@pytest.mark.django_db(transaction=True)
def test_the_quick_lookup_of_a_key_leaves_nothing_behind_on_its_connection():
    """S17: setting and query travel as one message; what comes after it sees no row."""
    alice = factories.person("alice@example.com")
    prefix = factories.api_key(alice).prefix
    statement = "SELECT user_id FROM api_keys"
    assert tenancy.read_as_lookup(statement, {}, api_key=prefix) == [(alice.id,)]
    assert rows(statement) == []
    assert tenancy.read_as_lookup(statement, {}, api_key="") == []


@pytest.mark.parametrize("parent", tasks.PARTITIONED)
def test_partitions_addressed_directly_show_and_take_nothing(alice, parent):
    """S15: policies of the parent bind queries through the parent only."""
    parts = [name for (name,) in rows(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", parent
    )]  # fmt: skip
    assert f"{parent}_other" in parts
    copy = copies_of(alice)[parent]
    with tenancy.as_user(alice.id):
        assert rows(f"SELECT count(*) FROM {parent}") != [(0,)]
        for name in parts:
            assert leaks_of(name, alice, copy) == []


def test_partitions_made_later_are_protected_too(alice):
    """S15: those that the daily task makes."""
    with tenancy.as_system("test"):
        changed("DROP TABLE IF EXISTS activity_logs_209901")
        partitions.ensure("activity_logs", first=date(2099, 1, 1), last=date(2099, 1, 31))
    assert tables_in_the_catalogue()["activity_logs_209901"] == (True, True, True)


# --- the check itself ---------------------------------------------------------------------------
def problems_of(table: str, alice: Any, charlie: Any, copy: str) -> list[str]:
    """What the tests above would find wrong with one table."""
    found = []
    if tables_in_the_catalogue()[table][1:] != (True, True):
        found.append("row security is off")
    for who, identity in IDENTITIES.items():
        with identity(charlie):
            found += [f"{who}: {leak}" for leak in leaks_of(table, alice, copy)]
    with tenancy.as_user(alice.id):
        if not rows(f"SELECT 1 FROM {table} WHERE {owner_column(table)} = %s", alice.id):
            found.append("the owner sees nothing")
    with tenancy.as_lookup(email=alice.email):
        if table == "users" and not rows("SELECT 1 FROM users"):
            found.append("signing in finds nobody")
    with tenancy.as_lookup(api_key=alice.prefix):
        if table == "api_keys" and not rows("SELECT 1 FROM api_keys"):
            found.append("a key is not found")
    return found


SABOTAGE = {
    "the owner's policy is dropped": 'DROP POLICY owner ON "{table}"',
    "the owner's policy lets all through": 'ALTER POLICY owner ON "{table}" USING (true)',
    "the owner's policy takes all": 'ALTER POLICY owner ON "{table}" WITH CHECK (true)',
    "another policy is added": 'CREATE POLICY more ON "{table}" USING (true)',
    "row security is not forced": 'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY',
    "row security is disabled": 'ALTER TABLE "{table}" DISABLE ROW LEVEL SECURITY',
}


@pytest.mark.parametrize("table", OWNED)
def test_the_check_notices_each_policy_that_is_gone_or_weakened(alice, charlie, table):
    """S16: dropping any one policy makes the tests above fail."""
    copy = copies_of(alice)[table]
    changed("SET CONSTRAINTS ALL IMMEDIATE")
    assert problems_of(table, alice, charlie, copy) == []
    for what, statement in SABOTAGE.items():
        with undone():
            changed(statement.format(table=table))
            assert problems_of(table, alice, charlie, copy) != [], what
    assert problems_of(table, alice, charlie, copy) == []


@pytest.mark.parametrize(
    ("table", "problem"),
    [("users", "signing in finds nobody"), ("api_keys", "a key is not found")],
)
def test_the_check_notices_that_the_policy_of_lookups_is_gone(alice, charlie, table, problem):
    """S16"""
    copy = copies_of(alice)[table]
    changed("SET CONSTRAINTS ALL IMMEDIATE")
    with undone():
        changed(f"DROP POLICY lookup ON {table}")
        found = problems_of(table, alice, charlie, copy)
    assert found == [problem]


# --- references ---------------------------------------------------------------------------------
# Computed rows, which only a derivation writes and which are thrown away when what they came from
# changes: no constraint holds their references, because checking them costs more than they do.
DERIVED = {"lots", "disposals", "incomes"}


def references_between_owned_tables() -> list[tuple[str, str, str]]:
    """(table, column, target) of every reference from a row of a person to another such row."""
    return sorted(
        (model._meta.db_table, field.column, field.related_model._meta.db_table)
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.concrete_fields
        if model._meta.db_table in OWNED
        and model._meta.db_table not in DERIVED
        and isinstance(field, ForeignKey)
        and field.related_model._meta.db_table in set(OWNED) - {"users"}
    )


def test_every_reference_to_an_owned_row_is_composite_as_well(db):
    """S16: one over a single column looks past the policies and accepts another user's row."""
    composite = rows(
        """
        SELECT conrelid::regclass::text, array_agg(attname::text ORDER BY attname::text)
        FROM pg_constraint
        JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY (conkey)
        WHERE contype = 'f' AND cardinality(conkey) = 2
        GROUP BY pg_constraint.oid, conrelid
        """
    )
    guarded = {(table, (set(columns) - {"user_id"}).pop()) for table, columns in composite}
    found = [(table, column) for table, column, _ in references_between_owned_tables()]
    assert len(found) >= 13
    assert [place for place in found if place not in guarded] == []


def test_a_reference_to_another_users_row_is_refused_even_to_the_system(alice, charlie):
    """S16: each reference of each table, past the ORM and past the policies."""
    factories.something_everywhere(charlie)
    accepted = []
    with tenancy.as_system("test"):
        changed("SET CONSTRAINTS ALL IMMEDIATE")
        for table, column, target in references_between_owned_tables():
            try:
                with undone():
                    changed(
                        f"UPDATE {table} SET {column} = (SELECT id FROM {target} "
                        f"WHERE user_id = %s LIMIT 1) WHERE user_id = %s AND {column} IS NOT NULL",
                        alice.id, charlie.id,
                    )  # fmt: skip
                    accepted.append((table, column))
            except IntegrityError:
                continue
    assert accepted == []


@pytest.mark.django_db(transaction=True)
def test_migrating_leaves_no_identity_behind_on_its_connection():
    """S17: the one command that sets an identity for a session takes it back."""
    call_command("migrate", verbosity=0)
    settings_left = [
        rows("SELECT nullif(current_setting(%s, true), '')", name)[0][0]
        for name in (tenancy.USER, tenancy.SYSTEM, tenancy.LOOKUP_EMAIL, tenancy.LOOKUP_API_KEY)
    ]
    assert settings_left == [None] * 4
