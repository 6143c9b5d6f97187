"""A migrated database that the tests' own databases are copied from.

Migrating takes half a minute, and each parallel worker needs a database: the first of them
migrates once, and everybody copies the files. The next run copies them again, until a source, a
requirement or the day has changed: migrating makes the partitions of the coming months.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql

from tests.servers import PROJECT
from tracker import embedded

_ROOMS = ("tracker", "accounts", "audit", "billing", "exchanges", "portfolios", "requirements")
_PREFIX = "template_"


def migrated(url: str) -> str:
    """The name of a database beside the one of ``url`` in which everything is migrated."""
    name = f"{_PREFIX}{_state_of_sources()}"
    with (embedded.DATA_DIR / "test" / "templates.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with psycopg.connect(url, autocommit=True) as server:
            if name not in _templates(server):
                _forget(server, _templates(server))
                _migrate(server, url, name)
    return name


def _templates(server: psycopg.Connection) -> list[str]:
    found = server.execute(
        "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [_PREFIX]
    )
    return [name for (name,) in found]


def _forget(server: psycopg.Connection, names: list[str]) -> None:
    for name in names:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def _migrate(server: psycopg.Connection, url: str, name: str) -> None:
    """Under another name until it is finished: half of a template is none."""
    _forget(server, ["migrating"])
    server.execute("CREATE DATABASE migrating")
    base, _, rest = url.partition("?")
    unfinished = f"{base.rpartition('/')[0]}/migrating?{rest}"
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    environment = os.environ | {
        "DATABASE_URL": unfinished,
        "DJANGO_SETTINGS_MODULE": "tracker.settings",
    }
    subprocess.run(command, cwd=PROJECT, env=environment, check=True)
    server.execute(sql.SQL("ALTER DATABASE migrating RENAME TO {}").format(sql.Identifier(name)))


def _state_of_sources() -> str:
    digest = hashlib.sha256(datetime.now(UTC).date().isoformat().encode())
    for path in _sources():
        digest.update(str(path.relative_to(PROJECT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _sources() -> Iterator[Path]:
    for room in _ROOMS:
        yield from sorted((PROJECT / room).rglob("*.py"))
        yield from sorted((PROJECT / room).rglob("*.txt"))
