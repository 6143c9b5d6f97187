"""Who a database transaction acts for: the second fence, held by PostgreSQL itself.

Every table with a user has row-level security, enabled and forced. A policy compares the row's
user with a setting of the *transaction*; unset means no rows. There are two ways in, each around
one domain call, each owning its transaction:

- ``as_user(user_id)`` for requests and for each person's part of a task,
- ``as_system(reason)`` for admin, migrations and fleet-wide tasks.

Before there is an identity, ``as_lookup(email=…)`` or ``as_lookup(api_key=…)`` opens exactly one
row of one table.

The settings are transaction-local (``set_config(…, true)``), so a pooled connection never carries
an identity into the next request. A released savepoint would keep them, therefore they are put
back explicitly when a context ends inside an outer transaction.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection, connections, transaction
from django.db.migrations.operations import RunSQL

USER, SYSTEM = "app.user_id", "app.system"
LOOKUP_EMAIL, LOOKUP_API_KEY = "app.lookup_email", "app.lookup_api_key"


class TenancyError(RuntimeError):
    """A nested context asked for another identity: a programming error, never a person's."""


@dataclass(frozen=True, slots=True)
class Identity:
    """For whom a transaction acts, as the settings that policies read."""

    user_id: str = ""
    system: str = ""
    lookup_email: str = ""
    lookup_api_key: str = ""


_NOBODY = Identity()
_MARK = "tenancy_identity"  # on Django's connection, which is one per thread


@contextmanager
def as_user(user_id: UUID) -> Iterator[None]:
    """Act for one user: only their rows exist, and only theirs can be written."""
    with _acting_as(Identity(user_id=str(user_id))):
        yield


def read_as_user(user_id: UUID, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """One hot read for one user, in one round trip instead of four.

    Setting and query travel as one message, which PostgreSQL runs as one implicit transaction, so
    the setting is as local as in ``as_user``. Inside an open transaction it is ``as_user`` and a
    query. ``parameters`` may not use the name ``tenancy_user``.
    """
    if connection.in_atomic_block:
        with as_user(user_id), connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall()
    with connection.cursor() as cursor:
        setting = f"SELECT set_config('{USER}', %(tenancy_user)s, true); "
        cursor.execute(setting + sql, {**parameters, "tenancy_user": str(user_id)})
        cursor.nextset()
        return cursor.fetchall()


def write_as_user(user_id: UUID, sql: str, parameters: Mapping[str, Any]) -> int:
    """One hot write for one user, as ``read_as_user`` reads; returns how many rows it wrote.

    Outside a transaction it is committed at once.
    """
    if connection.in_atomic_block:
        with as_user(user_id), connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.rowcount
    with connection.cursor() as cursor:
        setting = f"SELECT set_config('{USER}', %(tenancy_user)s, true); "
        cursor.execute(setting + sql, {**parameters, "tenancy_user": str(user_id)})
        cursor.nextset()
        return cursor.rowcount


def read_as_lookup(
    sql: str, parameters: Mapping[str, Any], *, api_key: str
) -> list[tuple[Any, ...]]:
    """One hot read of the key with this prefix, as ``read_as_user`` reads."""
    if connection.in_atomic_block:
        with as_lookup(api_key=api_key), connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall()
    with connection.cursor() as cursor:
        setting = f"SELECT set_config('{LOOKUP_API_KEY}', %(tenancy_key)s, true); "
        cursor.execute(setting + sql, {**parameters, "tenancy_key": api_key})
        cursor.nextset()
        return cursor.fetchall()


@contextmanager
def snapshot_as_user(user_id: UUID, *, seconds: int) -> Iterator[psycopg.Cursor[Any]]:
    """Read for one user, everything as it is at one instant, for however long that takes.

    On a connection of its own, so that the thread's usual one can write short transactions
    meanwhile. ``seconds`` bounds each statement in place of the usual limit.
    """
    own = connections.create_connection(connection.alias)
    try:
        own.ensure_connection()
        with own.wrap_database_errors, own.connection.transaction(), own.connection.cursor() as run:
            run.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            run.execute(
                "SELECT set_config(%s, %s, true), set_config('statement_timeout', %s, true)",
                [USER, str(user_id), f"{seconds}s"],
            )
            yield run
    finally:
        own.close()


@contextmanager
def as_system(reason: str) -> Iterator[None]:
    """Act for the whole fleet. ``reason`` is visible in ``pg_stat_activity`` and required."""
    if not reason:
        raise TenancyError("as_system needs a reason")
    with _acting_as(Identity(system=reason)):
        yield


@contextmanager
def as_lookup(*, email: str = "", api_key: str = "") -> Iterator[None]:
    """Act for nobody yet: only the user with this e-mail address, or the key with this prefix."""
    with _acting_as(Identity(lookup_email=email, lookup_api_key=api_key)):
        yield


@contextmanager
def narrowed_to(user_id: UUID, *, read_only: bool = False) -> Iterator[None]:
    """Inside ``as_system``: act for one user only, for this long, and as the system again after.

    So that staff's pages can call what people's own pages call, and see no more than those. With
    ``read_only`` PostgreSQL itself refuses to write meanwhile. Raises TenancyError elsewhere.
    """
    before = current()
    if not before.system or not connection.in_atomic_block:
        raise TenancyError("only the system can narrow itself to one user")
    identity = Identity(user_id=str(user_id))
    try:
        with transaction.atomic():  # a savepoint: going back to it puts the settings back as well
            _apply(identity)
            setattr(connection, _MARK, identity)
            if read_only:  # PostgreSQL takes it back when the savepoint is released
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION READ ONLY")
            yield
            _apply(before)
    finally:
        setattr(connection, _MARK, before)


def current() -> Identity:
    """The identity of this thread's database connection."""
    return getattr(connection, _MARK, _NOBODY)


@contextmanager
def _acting_as(identity: Identity) -> Iterator[None]:
    before = current()
    if before == identity and connection.in_atomic_block:
        yield
        return
    if before != _NOBODY and connection.in_atomic_block:
        raise TenancyError("another identity is already in force in this transaction")
    nested = connection.in_atomic_block
    with transaction.atomic():
        _apply(identity)
        setattr(connection, _MARK, identity)
        try:
            yield
            if nested:
                _apply(_NOBODY)
        finally:
            setattr(connection, _MARK, _NOBODY)


def _apply(identity: Identity) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config(%s, %s, true), set_config(%s, %s, true), "
            "set_config(%s, %s, true), set_config(%s, %s, true)",
            [
                USER, identity.user_id, SYSTEM, identity.system,
                LOOKUP_EMAIL, identity.lookup_email, LOOKUP_API_KEY, identity.lookup_api_key,
            ],
        )  # fmt: skip


# The sub-selects make PostgreSQL read a setting once per statement instead of once per row;
# nullif because a setting that was once local reads as '' afterwards, not as null.
_CURRENT_USER = f"(SELECT nullif(current_setting('{USER}', true), '')::uuid)"
_IS_SYSTEM = f"(SELECT nullif(current_setting('{SYSTEM}', true), '') IS NOT NULL)"
_LOOKUP = "(SELECT nullif(current_setting('{}', true), ''))"


def protect(
    table: str,
    *,
    user_column: str = "user_id",
    lookup_column: str = "",
    lookup_setting: str = LOOKUP_EMAIL,
) -> RunSQL:
    """Migration operation: enable and force row-level security on a table that has a user.

    The ORM has no notion of policies, hence SQL. ``lookup_column`` opens a single row for
    reading before there is an identity.
    """
    owner = f"{user_column} = {_CURRENT_USER} OR {_IS_SYSTEM}"
    forward: list[Any] = [
        f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY',
        f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY',
        f'CREATE POLICY owner ON "{table}" USING ({owner}) WITH CHECK ({owner})',
    ]
    reverse: list[Any] = [f'DROP POLICY owner ON "{table}"']
    if lookup_column:
        match = f"{lookup_column} = {_LOOKUP.format(lookup_setting)}"
        forward.append(f'CREATE POLICY lookup ON "{table}" FOR SELECT USING ({match})')
        reverse.append(f'DROP POLICY lookup ON "{table}"')
    reverse += [
        f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY',
        f'ALTER TABLE "{table}" DISABLE ROW LEVEL SECURITY',
    ]
    return RunSQL(sql=forward, reverse_sql=reverse)


def shown_to_system(partition: str) -> str:
    """SQL: a policy that shows a partition, addressed directly, to the system and nobody else.

    Without one a dump, which reads partitions one by one, would hold no rows of them.
    """
    return f'CREATE POLICY dumped ON "{partition}" FOR SELECT USING ({_IS_SYSTEM})'


def protect_through(table: str, owner: str) -> RunSQL:
    """Migration operation: the same for a table whose user is found through others.

    ``owner`` is a sub-select for the user of the row. It runs for each row that is looked at, so
    it is for tables that only the system reads in numbers.
    """
    mine = f"({owner}) = {_CURRENT_USER} OR {_IS_SYSTEM}"
    return RunSQL(
        sql=[
            f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY',
            f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY',
            f'CREATE POLICY owner ON "{table}" USING ({mine}) WITH CHECK ({mine})',
        ],
        reverse_sql=[
            f'DROP POLICY owner ON "{table}"',
            f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY',
            f'ALTER TABLE "{table}" DISABLE ROW LEVEL SECURITY',
        ],
    )


def same_owner(table: str, column: str, target: str, *, on_delete: str = "CASCADE") -> RunSQL:
    """Migration operation: a composite foreign key (user_id, column) → target (user_id, id).

    A plain foreign key accepts another tenant's row, because referential checks look past the
    policies; Django cannot declare composite ones. ``target`` needs a unique (user_id, id).
    """
    name = f"{table}_{column}_same_owner"
    return RunSQL(
        sql=f'ALTER TABLE "{table}" ADD CONSTRAINT "{name}" FOREIGN KEY (user_id, "{column}") '
        f'REFERENCES "{target}" (user_id, id) ON DELETE {on_delete} DEFERRABLE INITIALLY DEFERRED',
        reverse_sql=f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}"',
    )
