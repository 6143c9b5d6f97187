"""The whole system as it runs in production, in processes that can be killed one by one.

PostgreSQL (on a disk of its own), Valkey, the sandbox exchange, gunicorn, a Celery worker and
beat, each supervised: what dies is started again. Everything lies in one temporary folder.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import celery
import psycopg
import redis

from exchanges.sandbox import testing
from exchanges.sandbox.config import Config
from tests.chaos import servers
from tests.chaos.processes import Supervised, Supervisor
from tests.end_to_end.system import free_port
from tests.servers import PROJECT

PASSWORD = "correct horse battery staple"
ACCOUNTS = 50
LIMITS = {"ip": 60_000, "sapi": 120_000, "uid": 1_800_000}
_OWN = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "JWT_SECRET_KEY", "JWT_REFRESH_SECRET_KEY",
        "ENCRYPTION_KEY", "PYTEST_XDIST_WORKER")  # fmt: skip


class Away(Exception):
    """The API, the database or Redis did not answer."""


class System:
    """A running system: speaks to its API, looks into its database, and knows its processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = [secrets.token_hex(32)]
        self._secrets = {
            name: secrets.token_hex(32)
            for name in ("SECRET_KEY", "JWT_SECRET_KEY", "JWT_REFRESH_SECRET_KEY")
        }
        self.supervisor = Supervisor()
        self.disk = servers.Disk(folder / "disk")
        self.database = servers.Database(self.disk, folder / "run", folder / "postgresql.log")
        self.valkey_port, self.port = free_port(), free_port()
        self.valkey = servers.valkey(folder / "valkey", self.valkey_port, folder / "valkey.log")
        self._database: psycopg.Connection | None = None
        self._lock = threading.RLock()
        self.sandbox_process: testing.SandboxProcess | None = None
        self.inspector: subprocess.Popen[str] | None = None

    # --- starting and ending --------------------------------------------------------------------
    def start(self) -> None:
        """Everything, until it answers."""
        limit = LIMITS["ip"]
        settings = Config(accounts=ACCOUNTS, assets=6, trades=40, days=300, weight_limit=limit)
        self.sandbox_process = testing.start(settings)
        for process in (self.database.process, self.valkey):
            self.supervisor.add(process).start()
        self._await_servers()
        self.database.create()
        for command in ("migrate", "refresh_exchanges"):
            self.manage(command, check=True)
        self._start_application()
        self._start_inspector()
        self.await_ready()

    def _start_application(self) -> None:
        """Web, worker and beat; of beats there are two, which must have one effect (S44)."""
        gunicorn = ("gunicorn", "tracker.wsgi", "-c", "python:tracker.gunicorn")
        worker = ("celery", "-A", "tracker", "worker", "-c", "2", "-l", "WARNING",
                  "-Q", "sync,derive,default,imports,exports,backtests",
                  "--without-gossip", "--without-mingle")  # fmt: skip
        beat = ("celery", "-A", "tracker", "beat", "-l", "WARNING")
        self.web = self._process("web", gunicorn)
        self.worker = self._process("worker", worker)
        self.beats = [self._process(name, beat) for name in ("beat", "second-beat")]
        for process in self.application:
            process.start()

    @property
    def application(self) -> Sequence[Supervised]:
        return self.web, self.worker, *self.beats

    def restart_application(self) -> None:
        """As a deployment with another environment does."""
        for process in self.application:
            process.hold_down()
        for process in self.application:
            process.stop()
            process.start()
        self.await_ready()

    def await_ready(self, seconds: float = 60) -> None:
        wait_until(lambda: self.call("GET", "/healthz", path_prefix="")[0] == 200, seconds)
        wait_until(lambda: len(self.worker.children()) >= 2, seconds)

    def end(self) -> None:
        """Stop every process that was started, and remove the folder."""
        if self.inspector:
            self.inspector.kill()
            self.inspector.wait()
        self.disk.free()
        self.supervisor.end()
        if self.sandbox_process:
            self.sandbox_process.stop()
        self.disk.unmount()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _process(self, name: str, module: Sequence[str]) -> Supervised:
        command, log = (sys.executable, "-m", *module), self.folder / f"{name}.log"
        return self.supervisor.add(Supervised(name, command, self.environment, log))

    def environment(self) -> dict[str, str]:
        """What every process of the application sees."""
        inherited = {name: value for name, value in os.environ.items() if name not in _OWN}
        assert self.sandbox_process is not None
        return inherited | self._secrets | {
            "ENVIRONMENT": "development",
            "DATA_DIR": str(self.folder / "data"),
            "DATABASE_URL": self.database.url,
            "REDIS_URL": self.redis_url,
            "ENCRYPTION_KEY": ",".join(self.keys),
            "PORT": str(self.port),
            "WEB_CONCURRENCY": "1",
            "WEB_THREADS": "8",
            "BURST_LIMITS": "off",
            "AUTH_SHIELD": "off",
            "PRICE_EXCHANGES": "binance",
            "EXCHANGE_BASE_URLS": json.dumps({"binance": self.sandbox_process.url}),
            "EXCHANGE_BUDGETS": json.dumps({"binance": LIMITS}),
            "PRIVATE_FILES": str(self.files),
            "ERASURE_LOG": str(self.folder / "erasures.jsonl"),
            "DJANGO_SETTINGS_MODULE": "tracker.settings",
        }  # fmt: skip

    @property
    def files(self) -> Path:
        return self.folder / "files"

    @property
    def redis_url(self) -> str:
        return f"redis://127.0.0.1:{self.valkey_port}/0"

    def _await_servers(self) -> None:
        wait_until(lambda: self._listens(), 30)
        wait_until(lambda: self.redis().ping(), 30)

    def _listens(self) -> bool:
        with psycopg.connect(self.database._admin_url("postgres"), connect_timeout=2):
            return True

    # --- looking inside -------------------------------------------------------------------------
    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of one query, past every policy. Raises Away."""
        with self._lock:
            try:
                if self._database is None or self._database.closed:
                    self._database = self.database.connect()
                return list(self._database.execute(sql, parameters).fetchall())
            except psycopg.OperationalError as error:
                self._database = None
                raise Away(str(error)) from None

    def change(self, sql: str, *parameters: Any) -> None:
        """One statement that returns nothing. Raises Away."""
        self.rows(f"{sql} RETURNING 1", *parameters)

    def now(self) -> datetime:
        return self.rows("SELECT clock_timestamp()")[0][0]

    def redis(self) -> redis.Redis:
        return redis.Redis(port=self.valkey_port, socket_timeout=5)

    def forget_in_redis(self, pattern: str) -> None:
        with self.redis() as client:
            for key in client.scan_iter(pattern):
                client.delete(key)

    def send(self, task: str, *, queue: str = "default", **kwargs: Any) -> None:
        """Queue a task, as beat does."""
        with celery.Celery(broker=self.redis_url, set_as_current=False) as app:
            app.send_task(task, kwargs=kwargs, queue=queue)

    def ask(self, question: str, *, keys: str | None = None, **arguments: Any) -> dict[str, Any]:
        """An answer of the inspector."""
        assert self.inspector is not None
        assert self.inspector.stdin is not None
        assert self.inspector.stdout is not None
        told = {"ask": question, "keys": keys or ",".join(self.keys), **arguments}
        with self._lock:
            self.inspector.stdin.write(json.dumps(told) + "\n")
            self.inspector.stdin.flush()
            return json.loads(self.inspector.stdout.readline())

    def _start_inspector(self) -> None:
        with (self.folder / "inspector.log").open("ab") as log:
            self.inspector = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.inspector"], cwd=PROJECT, text=True,
                env=self.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip

    # --- commands, API, exchange ----------------------------------------------------------------
    def command(self, *words: str) -> "subprocess.Popen[bytes]":
        """Start ``manage.py`` with these words."""
        with (self.folder / "commands.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "manage.py", *words], cwd=PROJECT, env=self.environment(),
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def manage(self, *words: str, check: bool = False) -> bool:
        code = self.command(*words).wait()
        if check and code:
            raise AssertionError((self.folder / "commands.log").read_text()[-3000:])
        return code == 0

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        path_prefix: str = "/api/v1",
        timeout: float = 30,
    ) -> tuple[int, Any]:
        """Status and JSON of one call of the API. Raises Away."""
        return http(
            f"http://127.0.0.1:{self.port}{path_prefix}{path}", method, body, headers, timeout
        )

    def person(self, email: str) -> dict[str, str]:
        """Register somebody; returns the headers of their session."""
        status, answer = self.call("POST", "/auth/register", _login(email))
        assert status == 202, answer
        return self.signed_in(email)

    def signed_in(self, email: str) -> dict[str, str]:
        status, answer = self.call("POST", "/auth/login", _login(email))
        assert status == 200, answer
        return {"Authorization": f"Bearer {answer['access']}"}

    def sandbox(self, path: str, method: str = "GET", body: Any = None) -> Any:
        assert self.sandbox_process is not None
        return http(f"{self.sandbox_process.url}/sandbox/{path}", method, body, None, 30)[1]

    def key(self, account: int) -> dict[str, str]:
        assert self.sandbox_process is not None
        return {
            "api_key": self.sandbox_process.api_key(account),
            "api_secret": self.sandbox_process.api_secret(account),
        }

    def requests(self, path: str = "") -> int:
        """How many requests the exchange has had, in all or of one path."""
        counted = self.sandbox("stats")
        return counted["requests"].get(path, 0) if path else counted["total_requests"]


def _login(email: str) -> dict[str, str]:
    return {"email": email, "password": PASSWORD}


def http(
    url: str, method: str, body: Any, headers: dict[str, str] | None, timeout: float
) -> tuple[int, Any]:
    request = urllib.request.Request(  # noqa: S310  (loopback)
        url, method=method, data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **(headers or {})},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
            return answer.status, _json(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, _json(error.read())
    except (OSError, ValueError) as error:
        raise Away(type(error).__name__) from None


def _json(content: bytes) -> Any:
    try:
        return json.loads(content or b"null")
    except ValueError:
        return None


def wait_until(holds: Callable[[], Any], seconds: float, every: float = 0.1) -> bool:
    """Whether a condition came to hold in time; what is away holds nothing yet."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(Away, psycopg.Error, redis.RedisError):
            if holds():
                return True
        time.sleep(every)
    return False


@contextmanager
def running() -> Iterator[System]:
    """A system of its own, gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.chmod(0o755)
    system = System(folder)
    try:
        system.start()
        yield system
    finally:
        system.end()
