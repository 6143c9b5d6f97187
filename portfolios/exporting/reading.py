"""Reading a person's tables from the database row by row: all as they are at one instant.

``COPY`` of a query goes through the row-level policies like any other reading, and holds no more
than a row in memory. The whole file is read in one snapshot, so its tables agree with each other.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from portfolios.exporting import columns
from portfolios.exporting.columns import Column, Kind
from portfolios.exporting.tables import Loose, Table
from tracker import tenancy

MOST_SECONDS = 800  # of one table: a task may run 14 minutes
MOST_LOOSE = 200  # columns made of names in JSON
Row = Sequence[str | None]


@dataclass(frozen=True, slots=True)
class Range:
    """From when until when, the end not included; None is without an end."""

    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Selected:
    """A table narrowed to a person and a range, with all of its columns."""

    table: Table
    columns: Sequence[Column]
    parameters: Mapping[str, Any]
    where: str
    rows: int


class Reader:
    """One person's tables at one instant."""

    def __init__(self, cursor: "psycopg.Cursor[Any]", user_id: UUID, within: Range) -> None:
        self._cursor, self._user_id, self._within = cursor, user_id, within

    def select(self, table: Table) -> Selected:
        """The table, with how many rows it has and the columns that its JSON makes."""
        where, parameters = _narrowed(table, self._user_id, self._within)
        counted = f"SELECT count(*) FROM {table.source} WHERE {where}"  # noqa: S608  (ours)
        (rows,) = self._cursor.execute(counted, parameters).fetchone() or (0,)
        loose: list[Column] = []
        if table.loose:
            paths = self._paths(table.loose, table.source, where, parameters)
            if len(paths) > MOST_LOOSE:
                paths = [[]]  # the whole of it, rather than a part
            loose += _loose_columns(table.loose, paths)
            parameters |= {f"path{number}": path for number, path in enumerate(paths)}
        return Selected(table, (*table.columns, *loose), parameters, where, rows)

    @contextmanager
    def lines(self, selected: Selected) -> Iterator[Iterator[bytes]]:
        """Rows as lines of CSV, harmless to spreadsheets; nothing is read on after the block.

        A COPY that was left half read would be ended whenever its generator is collected, which
        may be while the connection's own lock is held for the end of the transaction.
        """
        copy = f"COPY ({_query(selected, columns.harmless)}) TO STDOUT (FORMAT csv)"
        with self._cursor.copy(copy, selected.parameters) as found:
            yield iter(lambda: bytes(found.read()), b"")

    @contextmanager
    def rows(self, selected: Selected) -> Iterator[Iterator[Row]]:
        """Rows as texts, None where there is nothing; nothing is read on after the block."""
        copy = f"COPY ({_query(selected, columns.plain)}) TO STDOUT"
        with self._cursor.copy(copy, selected.parameters) as found:
            yield found.rows()

    def _paths(
        self, loose: Loose, source: str, where: str, parameters: Mapping[str, Any]
    ) -> list[list[str]]:
        """Paths of one or two names that occur in a table's JSON, in alphabetical order.

        Objects are taken apart once: {"metrics": {"cagr": …}} has the path metrics, cagr.
        """
        found = self._cursor.execute(
            f"""
            SELECT DISTINCT outer_.key, inner_.key
            FROM {source}
            CROSS JOIN LATERAL jsonb_each(
                CASE WHEN jsonb_typeof({loose.each}) = 'object' THEN {loose.each}
                ELSE '{{}}'::jsonb END) AS outer_
            LEFT JOIN LATERAL jsonb_object_keys(
                CASE WHEN jsonb_typeof(outer_.value) = 'object' THEN outer_.value
                ELSE '{{}}'::jsonb END) AS inner_ (key) ON true
            WHERE {where} AND (outer_.value <> '{{}}'::jsonb) ORDER BY 1, 2 LIMIT {MOST_LOOSE + 1}
            """,  # noqa: S608  (ours)
            parameters,
        ).fetchall()
        return [[name for name in path if name is not None] for path in found]


@contextmanager
def snapshot(*, user_id: UUID, within: Range) -> Iterator[Reader]:
    """A person's tables as they are now, however long reading them takes."""
    with tenancy.snapshot_as_user(user_id, seconds=MOST_SECONDS) as cursor:
        yield Reader(cursor, user_id, within)


def _narrowed(table: Table, user_id: UUID, within: Range) -> tuple[str, dict[str, Any]]:
    """A condition and its parameters."""
    conditions = [f"{table.owner} = %(user)s"]
    if within.since is not None:
        conditions.append(f"{table.at} >= %(since)s")
    if within.until is not None:
        conditions.append(f"{table.at} < %(until)s")
    bounds = {"user": user_id, "since": within.since, "until": within.until}
    return " AND ".join(conditions), bounds


def _query(selected: Selected, written: Any) -> str:
    listed = ", ".join(written(column) for column in selected.columns)
    table = selected.table
    return (
        f"SELECT {listed} FROM {table.source} "  # noqa: S608  (ours)
        f"WHERE {selected.where} ORDER BY {table.order}"
    )


def _loose_columns(loose: Loose, paths: Sequence[Sequence[str]]) -> Iterator[Column]:
    used: set[str] = set()
    for number, path in enumerate(paths):
        name = ".".join((loose.prefix, *path))
        name = f"{name} ({number})" if name in used else name  # {"a": {"b": …}, "a.b": …}
        used.add(name)
        yield Column(name, Kind.VALUE, f"{loose.each} #> %(path{number})s", "As the backtest says")
