"""Many rows in one statement, through the row-level policies, telling which were new.

``COPY`` into a protected table is refused by PostgreSQL, and ``bulk_create(ignore_conflicts)``
does not say what it skipped. ``INSERT … SELECT unnest(…) ON CONFLICT DO NOTHING RETURNING`` does
both in one round trip.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import connection, models


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
