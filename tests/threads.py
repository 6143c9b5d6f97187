"""Many callers at the same moment."""

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What ``work`` returns in each of some threads that begin together; errors are raised."""
    barrier, results, errors = threading.Barrier(count), [], []

    def run(number: int) -> None:
        try:
            barrier.wait()
            results.append(work(number))
        except BaseException as error:  # handed to the test's own thread
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def in_a_thread(work: Callable[[], Any]) -> Any:
    """What ``work`` returns; the thread's connection is closed behind it."""
    try:
        return work()
    finally:
        connection.close()


# Locks of rows name no database, but whoever waits for one holds one of a table as well. The
# server serves other tests beside this one, and pg_stat_activity stands still in a transaction.
_WAITING = """
SELECT count(*) FROM pg_locks AS waiting WHERE NOT waiting.granted AND EXISTS (
    SELECT FROM pg_locks AS held JOIN pg_database ON pg_database.oid = held.database
    WHERE held.pid = waiting.pid AND pg_database.datname = current_database())
"""


def await_somebody_waiting() -> None:
    """Until PostgreSQL says that somebody waits for us, in the database of this test."""
    for _ in range(100_000):
        with connection.cursor() as cursor:
            cursor.execute(_WAITING)
            if cursor.fetchone()[0]:
                return
    raise AssertionError("nobody waited")
