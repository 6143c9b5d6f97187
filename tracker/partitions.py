"""Tables partitioned by month: made in migrations, extended ahead of time by a daily task.

Django cannot declare partitions, so the parent is made in SQL. Row-level security binds a query
through the parent; each partition has it forced too, with a policy for the system's reading
alone: addressing a partition directly shows a person nothing, and a dump, which reads partitions
directly, holds their rows. A table that is the same for everybody goes without.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime

from django.db import connection, transaction
from django.db.migrations.operations import RunPython

from tracker import tenancy

MONTHS_AHEAD = 3


def months(first: date, last: date) -> Iterator[tuple[date, date]]:
    """Each calendar month that touches [first, last], as (its first day, next month's)."""
    start = first.replace(day=1)
    while start <= last:
        end = date(start.year + start.month // 12, start.month % 12 + 1, 1)
        yield start, end
        start = end


def ensure(table: str, *, first: date, last: date, protected: bool = True) -> None:
    """Create the missing monthly partitions of ``table`` between two days, inclusive.

    Whoever comes second waits for the first, and finds the partitions there.
    """
    with connection.cursor() as cursor:
        if not _missing(cursor, table, first, last):
            return
        with transaction.atomic():
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"partitions of {table}"]
            )
            for name, (start, end) in _missing(cursor, table, first, last).items():
                _create(cursor, table, name, start, end, protected)


def _missing(cursor, table: str, first: date, last: date) -> dict[str, tuple[date, date]]:
    existing = _names(cursor, table)
    wanted = {f"{table}_{start:%Y%m}": (start, end) for start, end in months(first, last)}
    return {name: month for name, month in wanted.items() if name not in existing}


def ended(table: str, *, before: date) -> dict[str, date]:
    """The monthly partitions that ended by a day, oldest first, with the first day after each."""
    day = before.date() if isinstance(before, datetime) else before
    ends = {}
    with connection.cursor() as cursor:
        for name in sorted(_names(cursor, table)):
            if month := re.fullmatch(rf"{table}_(\d{{4}})(\d\d)", name):
                first = date(int(month[1]), int(month[2]), 1)
                ((_, ends[name]),) = months(first, first)
    return {name: end for name, end in ends.items() if end <= day}


def _names(cursor, table: str) -> set[str]:
    cursor.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [table]
    )
    return {name for (name,) in cursor.fetchall()}


def _create(cursor, table: str, name: str, start: date, end: date, protected: bool) -> None:
    cursor.execute(
        f'CREATE TABLE "{name}" PARTITION OF "{table}" '
        f"FOR VALUES FROM ('{start} 00:00+00') TO ('{end} 00:00+00')"
    )
    if protected:
        cursor.execute(f'ALTER TABLE "{name}" ENABLE ROW LEVEL SECURITY')
        cursor.execute(f'ALTER TABLE "{name}" FORCE ROW LEVEL SECURITY')
        cursor.execute(tenancy.shown_to_system(name))
    # Triggers on rows are handed down to partitions, those on TRUNCATE are not.
    cursor.execute(
        "SELECT tgname, tgfoid::regproc::text FROM pg_trigger "
        "WHERE tgrelid = %s::regclass AND tgtype & 32 <> 0",
        [table],
    )
    for trigger, function in cursor.fetchall():
        cursor.execute(
            f'CREATE TRIGGER "{trigger}" BEFORE TRUNCATE ON "{name}" '
            f"FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
        )


def initial(table: str, *, first: date, last: date, protected: bool = True) -> RunPython:
    """Migration operation: the partitions a fresh database starts with."""
    return RunPython(
        lambda apps, editor: ensure(table, first=first, last=last, protected=protected),
        RunPython.noop,
        elidable=False,
    )


def shown_to_system(table: str) -> RunPython:
    """Migration operation: what `ensure` gives new partitions, for those made before it did."""
    return RunPython(lambda apps, editor: _show_to_system(table), RunPython.noop, elidable=False)


def _show_to_system(table: str) -> None:
    with connection.cursor() as cursor:
        for name in sorted(_names(cursor, table)):
            cursor.execute("SELECT 1 FROM pg_policy WHERE polrelid = %s::regclass", [name])
            if cursor.fetchone() is None:
                cursor.execute(tenancy.shown_to_system(name))
