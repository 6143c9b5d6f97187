"""Many rows in one statement, through the row-level policies, telling which were new.

``COPY`` into a protected table is refused by PostgreSQL, and ``bulk_create(ignore_conflicts)``
does not say what it skipped. ``INSERT … SELECT unnest(…) ON CONFLICT DO NOTHING RETURNING`` does
both in one round trip. Many thousands go faster through a temporary table (``insert_from``).
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection, models
from psycopg.types.datetime import TimestamptzBinaryLoader
from psycopg.types.string import ByteaBinaryLoader


def insert_new(rows: Sequence[models.Model]) -> set[UUID]:
    """Insert what is not there yet; returns the ids of the rows that were inserted.

    All rows are of one model. A row that violates a unique constraint is left out silently;
    any other violation raises IntegrityError.
    """
    if not rows:
        return set()
    model = type(rows[0])
    fields = [field for field in model._meta.concrete_fields if not field.generated]
    columns = ", ".join(f'"{field.column}"' for field in fields)
    arrays = ", ".join(f"%s::{_array_type(field)}" for field in fields)
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{model._meta.db_table}" ({columns}) '  # noqa: S608  (names are the model's)
            f"SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING RETURNING id",
            [_column(field, rows) for field in fields],
        )
        return {row[0] for row in cursor.fetchall()}


def _array_type(field: models.Field) -> str:
    kind = field.rel_db_type(connection) if field.is_relation else field.db_type(connection)
    base = str(kind).split("(")[0]
    return f"{base}[]"


def _column(field: models.Field, rows: Sequence[models.Model]) -> list[Any]:
    """One column's values. psycopg knows UUID, Decimal, datetime and bytes by itself, and asking
    the field about each value would take half of the time."""
    values = [getattr(row, field.attname) for row in rows]
    if isinstance(field, models.JSONField):
        return [field.get_db_prep_save(value, connection) for value in values]
    if isinstance(field, models.CharField):  # also makes plain text of enumerations
        return [None if value is None else str(value) for value in values]
    return values


# Up to so many rows, arrays are quicker than making a temporary table to copy into.
_FEW = 300


def read(sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Many rows at once, past Django's own conversions. Instants are in UTC.

    Ids stay the 16 bytes that PostgreSQL sends: making objects of them takes four times as long
    as all other columns (1.2 µs each). ``insert_from`` takes them as they are. Ask for numbers
    as text where there are many: PostgreSQL's binary format of them takes five times as long to
    read as ``Decimal`` does. Call inside a transaction.
    """
    cursor = psycopg.Cursor(connection.connection)
    for name, loader in _LOADERS.items():
        cursor.adapters.register_loader(name, loader)
    with connection.wrap_database_errors, cursor:
        return cursor.execute(sql, parameters, binary=True).fetchall()


_LOADERS: dict[str, Any] = {"timestamptz": TimestamptzBinaryLoader, "uuid": ByteaBinaryLoader}


def insert_from(
    rows: Iterable[Sequence[Any]],
    *,
    columns: Mapping[str, str],
    statement: str,
    parameters: Mapping[str, Any],
) -> int:
    """Run a statement that reads ``incoming``, a table of these rows; returns how many it wrote.

    ``columns`` are its names and PostgreSQL types. Ids may be UUIDs or their 16 bytes, the same
    throughout a column. Numbers (``numeric``) are text: packing a Decimal into PostgreSQL's
    binary format takes ten times as long. The rows are copied into a temporary table, because
    PostgreSQL refuses ``COPY`` into one with policies; a few are sent as arrays. Call inside a
    transaction.
    """
    rows = iter(rows)
    first = list(islice(rows, _FEW))
    if not first:
        return 0
    if len(first) < _FEW:
        return _insert_few(first, columns, statement, parameters)
    listed = ", ".join(f'"{name}" {_copied_as(kind)}' for name, kind in columns.items())
    typed = ", ".join(f'"{name}"::{kind}' for name, kind in columns.items())
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE copied ({listed}) ON COMMIT DROP")
        _copy(chain(first, rows), columns, first[0])
        source = f"SELECT {typed} FROM copied"  # noqa: S608  (names are the caller's code)
        cursor.execute(_reading(columns, source, statement), parameters)
        written = cursor.rowcount
        cursor.execute("DROP TABLE copied")
        return written


def _copied_as(kind: str) -> str:
    return "text" if kind == "numeric" else kind


def _reading(columns: Iterable[str], source: str, statement: str) -> str:
    """The statement with ``incoming`` before it."""
    names = ", ".join(f'"{name}"' for name in columns)
    return f"WITH incoming ({names}) AS ({source}) {statement}"


def _insert_few(
    rows: Sequence[Sequence[Any]],
    columns: Mapping[str, str],
    statement: str,
    parameters: Mapping[str, Any],
) -> int:
    arrays = ", ".join(f"%(incoming_{name})s::{kind}[]" for name, kind in columns.items())
    values = {
        f"incoming_{name}": [_as_id(row[place]) for row in rows]
        for place, name in enumerate(columns)
    }
    source = f"SELECT * FROM unnest({arrays})"  # noqa: S608  (names are the caller's code)
    with connection.cursor() as cursor:
        cursor.execute(_reading(columns, source, statement), {**parameters, **values})
        return cursor.rowcount


def _as_id(value: Any) -> Any:
    return UUID(bytes=value) if isinstance(value, bytes) else value


def _copy(
    rows: Iterable[Sequence[Any]], columns: Mapping[str, str], example: Sequence[Any]
) -> None:
    kinds = [
        # In the binary format the bytes of an id are the id.
        "bytea" if kind == "uuid" and not isinstance(value, UUID) else _copied_as(kind)
        for kind, value in zip(columns.values(), example, strict=True)
    ]
    cursor = psycopg.Cursor(connection.connection)
    with (
        connection.wrap_database_errors,
        cursor.copy("COPY copied FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.set_types(kinds)
        for row in rows:
            copy.write_row(row)
