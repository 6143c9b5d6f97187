"""The wrapped data keys, apart from everything else and kept for days only.

Whoever is erased loses their data key. A copy of the database that is older has what was sealed
for them, but a restore takes the keys from the newest copy of keys, in which theirs is missing;
after seven days no copy holds it. So what was sealed for them stays unreadable in every backup,
while everybody else's stays readable.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from tracker import tenancy
from tracker.backups import manifest, store
from tracker.backups.content import Cursor
from tracker.backups.errors import NothingThere, NotReadable
from tracker.logs import get_logger

logger = get_logger(__name__)

TABLE = "user_data_keys"
KEPT = timedelta(days=7)
BATCH = 1_000
_BRING_BACK = f"""
    INSERT INTO {TABLE} SELECT row.*
    FROM jsonb_populate_recordset(NULL::{TABLE}, %s::jsonb) AS row
    WHERE EXISTS (SELECT FROM users WHERE users.id = row.user_id)
    ON CONFLICT DO NOTHING
"""  # noqa: S608  (a fixed name)


def lines(run: Cursor) -> Iterator[bytes]:
    """Every key of the snapshot, one JSON line each."""
    for (line,) in run.execute("SELECT to_jsonb(t)::text FROM user_data_keys AS t"):
        yield line.encode() + b"\n"


def newest() -> tuple[str, list[Any]]:
    """The name of the newest copy that opens, and its keys. Raises NothingThere, NotReadable."""
    names = store.key_copies()
    if not names:
        raise NothingThere("there is no copy of the data keys, so nothing sealed can be read")
    for name in reversed(names):
        try:
            return name, _read(name)
        except NotReadable as error:
            logger.warning("backup.keys_unreadable", backup=name, why=str(error))
            if name == names[0]:
                raise
    raise AssertionError("unreachable")


def _read(name: str) -> list[Any]:
    text = b"".join(manifest.read_part(name, manifest.KEYS))
    return [json.loads(line) for line in text.splitlines()]


def bring_back(rows: list[Any]) -> int:
    """Put keys into the restored database, for the people it has; returns how many.

    All or none, however many they are; what is there already stays, so it may be run again.
    """
    brought = 0
    with tenancy.as_system("restore data keys"), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        for begin in range(0, len(rows), BATCH):
            cursor.execute(_BRING_BACK, [json.dumps(rows[begin : begin + BATCH])])
            brought += cursor.rowcount
    return brought


def prune(*, now: datetime) -> int:
    """Remove the copies of keys whose time is over, also when no newer one could be made."""
    old = [name for name in store.begun_key_copies() if store.made_at(name) <= now - KEPT]
    for name in old:
        store.remove_keys(name)
    return len(old)
