"""Many rows in one statement, through the row-level policies, telling which were new.

``COPY`` into a protected table is refused by PostgreSQL, and ``bulk_create(ignore_conflicts)``
does not say what it skipped. ``INSERT … SELECT unnest(…) ON CONFLICT DO NOTHING RETURNING`` does
both in one round trip. Many thousands of plain rows go faster past the models, and while they are
still being computed (``insert_from``).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection, models
from psycopg import generators
from psycopg.types.datetime import TimestamptzBinaryLoader
from psycopg.types.string import ByteaBinaryLoader

from tracker import arrays


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


def read(sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Many rows at once, past Django's own conversions. Instants are in UTC.

    Ids stay the 16 bytes that PostgreSQL sends: making objects of them takes four times as long
    as all other columns (1.2 µs each). ``insert_from`` takes them as they are. Ask for numbers
    as text where there are many: PostgreSQL's binary format of them takes five times as long to
    read as ``Decimal`` does. Call inside a transaction.
    """
    with connection.wrap_database_errors:
        return _reader().execute(sql, parameters, binary=True).fetchall()


def read_each(
    *readings: tuple[str, Callable[[Iterator[Any]], Any]], parameters: Mapping[str, Any]
) -> list[Any]:
    """Several queries as ``read`` reads them, and what a function makes of the rows of each.

    PostgreSQL works on the next query while objects are made of the rows of the one before.
    """
    made: list[Any] = []
    arrived: list[tuple[Callable[[Iterator[Any]], Any], Iterator[Any]]] = []
    with ahead():
        for sql, make in readings:
            cursor = _reader().execute(sql, parameters, binary=True)  # returns when it is sent
            made += [make_before(rows) for make_before, rows in arrived]
            first = cursor.fetchone()  # is there when all are
            arrived = [(make, _rows(first, cursor))]
        made += [make(rows) for make, rows in arrived]
    return made


def _rows(first: Any, cursor: psycopg.Cursor[Any]) -> Iterator[Any]:
    """Some thousands at a time, so that those of a long history do not all exist at once."""
    some = [] if first is None else [first]
    while some:
        yield from some
        some = cursor.fetchmany(_AT_ONCE)


def _reader() -> psycopg.Cursor[Any]:
    cursor = psycopg.Cursor(connection.connection)
    for name, loader in _LOADERS.items():
        cursor.adapters.register_loader(name, loader)
    return cursor


_LOADERS: dict[str, Any] = {"timestamptz": TimestamptzBinaryLoader, "uuid": ByteaBinaryLoader}


@contextmanager
def ahead() -> Iterator[None]:
    """Statements of this module are sent without waiting for those before them.

    What one of them raises comes up at a later one, or at the end of the context, which waits
    for all. Call inside a transaction, and use no other cursor inside.
    """
    raw = connection.connection
    if raw.pgconn.pipeline_status:
        yield
        return
    with connection.wrap_database_errors, raw.pipeline():
        yield


# So many rows are sent at once: few enough that PostgreSQL soon has something to do, and enough
# that planning the statement does not count.
_AT_ONCE = 4_000


def insert_from(
    rows: Iterable[Sequence[Any]],
    *,
    columns: Mapping[str, str],
    statement: str,
    parameters: Mapping[str, Any],
) -> None:
    """Run a statement that reads ``incoming``, a table of these rows, some thousands at a time.

    ``columns`` are its names and PostgreSQL types. Ids may be UUIDs or their 16 bytes. Numbers
    (``numeric``) are text: packing a Decimal into PostgreSQL's binary format takes ten times as
    long. While PostgreSQL works on some rows the next are asked of ``rows``, and packed. They
    travel as arrays: ``COPY`` into a table with policies is refused, and one into a temporary
    table takes as long but makes everybody wait for everybody. Call inside a transaction.
    """
    rows = iter(rows)
    arrays = ", ".join(f"%(incoming_{name})s::{kind}[]" for name, kind in columns.items())
    names = ", ".join(f'"{name}"' for name in columns)
    # The names are the caller's code.
    sql = f"WITH incoming ({names}) AS (SELECT * FROM unnest({arrays})) {statement}"  # noqa: S608
    with ahead():
        while some := list(islice(rows, _AT_ONCE)):
            _send(sql, {**parameters, **_packed(some, columns)})


def _packed(rows: Sequence[Sequence[Any]], columns: Mapping[str, str]) -> dict[str, Any]:
    values = zip(*rows, strict=True)
    return {
        f"incoming_{name}": arrays.of(kind, column)
        for (name, kind), column in zip(columns.items(), values, strict=True)
    }


def _send(sql: str, parameters: Mapping[str, Any]) -> None:
    """Send a statement to its last byte: PostgreSQL begins when it has that, and psycopg leaves
    what the socket does not take at once until the next statement."""
    raw = connection.connection
    cursor = psycopg.Cursor(raw)
    cursor.adapters.register_dumper(arrays.Packed, arrays.PackedDumper)
    cursor.execute(sql, parameters)
    raw.wait(generators.send(raw.pgconn))
