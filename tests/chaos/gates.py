"""Holding an operation at a moment of its own, by a lock that it waits for in the database."""

from contextlib import suppress
from typing import Any

import psycopg

from tests.chaos.system import System, wait_until

_WAITING = """
SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = pg_locks.relation
WHERE NOT granted AND pg_class.relname = %s
"""


class Gate:
    """A table lock, taken before the operation begins and let go after the fault has struck."""

    def __init__(self, system: System, table: str, mode: str) -> None:
        self._system, self._table, self._mode = system, table, mode
        self._connection: psycopg.Connection | None = system.database.connect()
        self._connection.autocommit = False
        self._lock()

    def somebody_waits(self) -> bool:
        return bool(self._system.rows(_WAITING, self._table)[0][0])

    def await_somebody(self, seconds: float = 20) -> bool:
        return wait_until(self.somebody_waits, seconds, every=0.02)

    def let_one_pass(self) -> None:
        """Whoever waits goes on; the lock is taken again as soon as they have committed."""
        assert self._connection is not None
        self._connection.commit()
        self._lock()

    def open(self) -> None:
        """Let everybody go; a database that has died has done so already."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.rollback()
            connection.close()

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        assert self._connection is not None
        return list(self._connection.execute(sql, parameters).fetchall())

    def _lock(self) -> None:
        assert self._connection is not None
        self._connection.execute(f"LOCK TABLE {self._table} IN {self._mode} MODE")
