"""The Procfile with production settings, on servers as a platform offers them.

TLS before everything: nginx before `web` and `live`, PgBouncer in transaction mode before the
embedded PostgreSQL, and a relay before Valkey, whose wheel knows no TLS. honcho runs the Procfile.
"""

import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil
import psycopg
import pytest

from exchanges.sandbox import testing
from exchanges.sandbox.config import Config
from tests.deploy import nginx, relay
from tests.deploy.files import DOMAIN, LONG_RUNNING
from tests.end_to_end.system import free_port
from tests.servers import PROJECT

START_SECONDS = 120
# Few days of history, and ten times the exchange's limits here and there: a first read is short.
_LIMITS = {"ip": 60_000, "sapi": 120_000, "uid": 1_800_000}
_EXCHANGE = Config(accounts=2, assets=4, trades=12, days=30, weight_limit=_LIMITS["ip"])
_SHELL = ("/bin/sh", "sh ")
_BIN = Path(sys.executable).parent
_POOLER = """
[databases]
{name} = host={socket} dbname={name} user=tracker
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 8
max_client_conn = 200
client_tls_sslmode = require
client_tls_cert_file = {folder}/fullchain.pem
client_tls_key_file = {folder}/privkey.pem
"""


@dataclass
class Production:
    """A running deployment; `call` speaks to it as the app does, from outside."""

    folder: Path
    plain: int
    tls: int
    environment: dict[str, str]
    sandbox: testing.SandboxProcess
    honcho: "subprocess.Popen[bytes]"
    token: str = ""

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.folder / "nginx" / "fullchain.pem"))

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        source: str = "127.0.0.1",
        **headers: str,
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content of one request over TLS, on a connection of its own."""
        connection = _Connection(self.trust(), self.tls, source)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {"Host": DOMAIN} | named)
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        finally:
            connection.close()

    def call(self, method: str, path: str, body: Any = None, **options: str) -> tuple[int, Any]:
        """Status and JSON answer of one call of the API."""
        if self.token:
            options["Authorization"] = f"Bearer {self.token}"
        content = None if body is None else json.dumps(body).encode()
        status, _, answer = self.send(
            method, f"/api/v1{path}", content, Content_Type="application/json", **options
        )
        return status, json.loads(answer or b"null")

    def manage(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A command of ours, in the environment of the deployment."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=PROJECT, env=self.environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def gunicorn(self) -> tuple[psutil.Process, list[psutil.Process]]:
        """The master and its workers."""
        family = psutil.Process(self.honcho.pid).children(recursive=True)
        # honcho starts it through a shell, whose words are the same.
        ours = [
            child for child in family
            if "tracker.gunicorn" in _words(child) and not _words(child).startswith(_SHELL)
        ]  # fmt: skip
        numbers = {child.pid for child in ours}
        workers = [child for child in ours if child.ppid() in numbers]
        (master,) = {child.ppid() for child in workers}
        return psutil.Process(master), workers

    def written(self) -> str:
        """The end of what the processes wrote, without each request and each tick."""
        lines = (self.folder / "output.txt").read_text().splitlines()
        told = [line for line in lines if '"request"' not in line and "Sending due" not in line]
        return "\n".join(told)[-6000:]


class _Connection(http.client.HTTPSConnection):
    """To nginx by number, while it is asked for our domain."""

    def __init__(self, trust: ssl.SSLContext, port: int, source: str) -> None:
        super().__init__("127.0.0.1", port, timeout=40, context=trust)
        self._trust, self._source = trust, source

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), 40, (self._source, 0))
        self.sock = self._trust.wrap_socket(plain, server_hostname=DOMAIN)


@contextmanager
def running(direct_url: str, redis_url: str) -> Iterator[Production]:
    """Everything, from the release on; ``direct_url`` names an empty or migrated database."""
    nginx.program()
    folder = Path(tempfile.mkdtemp(prefix="deploy-"))
    folder.chmod(0o755)
    nginx.certificate(folder)
    ports = {"web": free_port(), "live": free_port(), "plain": free_port(), "tls": free_port()}
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        pooled = stack.enter_context(_pooler(folder, direct_url))
        cache = stack.enter_context(_redis_over_tls(folder, redis_url))
        sandbox = stack.enter_context(testing.start(_EXCHANGE))
        environment = _environment(folder, ports, sandbox.url) | {
            "DATABASE_URL": pooled, "REDIS_URL": cache, "DIRECT_DATABASE_URL": direct_url,
        }  # fmt: skip
        _release(environment)
        stack.enter_context(nginx.running(folder / "nginx", **ports))
        honcho = stack.enter_context(_processes(folder, environment, ports["web"]))
        found = Production(folder, ports["plain"], ports["tls"], environment, sandbox, honcho)
        _await_ready(found)
        yield found


def _environment(folder: Path, ports: dict[str, int], exchange: str) -> dict[str, str]:
    made = {name: secrets.token_hex(32) for name in (
        "SECRET_KEY", "JWT_SECRET_KEY", "JWT_REFRESH_SECRET_KEY", "ENCRYPTION_KEY", "BACKUP_KEY",
    )}  # fmt: skip
    return made | {
        "PATH": f"{_BIN}:{os.environ['PATH']}", "HOME": str(folder), "PYTHONUNBUFFERED": "1",
        "ENVIRONMENT": "production", "ALLOWED_HOSTS": DOMAIN, "HOST": "127.0.0.1",
        "PUBLIC_URL": f"https://{DOMAIN}", "LIVE_PORT": str(ports["live"]),
        "TRUSTED_PROXY_COUNT": "1", "DATABASE_POOLER": "transaction", "WEB_THREADS": "4",
        "EMAIL_PROVIDER": "smtps://127.0.0.1:1", "EMAIL_FROM": "tracker@example.com",
        "EMAIL_CONFIRMATION": "off", "PRIVATE_FILES": str(folder / "files"),
        "BACKUPS": str(folder / "backups"), "ERASURE_LOG": str(folder / "erasures.jsonl"),
        "OPERATOR_NAME": "Example Ltd", "OPERATOR_ADDRESS": "1 Example Street",
        "OPERATOR_EMAIL": "ops@example.com", "OPERATOR_COUNTRY": "Switzerland",
        "EXCHANGE_BUDGETS": json.dumps({"binance": _LIMITS}), "PRICE_EXCHANGES": "binance",
        "EXCHANGE_BASE_URLS": json.dumps({"binance": exchange}),
    }  # fmt: skip


def _release(environment: dict[str, str]) -> None:
    """What the Procfile runs before new code, and the build step before that."""
    command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
    subprocess.run(command, cwd=PROJECT, env=environment, check=True)
    result = subprocess.run(
        [_BIN / "honcho", "run", "sh", "-c", _line_of("release")],
        cwd=PROJECT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]


def _line_of(name: str) -> str:
    for line in (PROJECT / "Procfile").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.partition(":")[2].strip()
    raise AssertionError(f"the Procfile has no {name}")


@contextmanager
def _processes(
    folder: Path, environment: dict[str, str], port: int
) -> Iterator["subprocess.Popen[bytes]"]:
    command = [_BIN / "honcho", "start", "--port", str(port), *LONG_RUNNING]
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    family: list[psutil.Process] = []
    try:
        yield process
        family = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
        for child in family:
            if child.is_running():
                child.kill()


@contextmanager
def _pooler(folder: Path, direct_url: str) -> Iterator[str]:
    """PgBouncer in front of PostgreSQL, in transaction mode and over TLS; its URL."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if not program:
        pytest.skip("pgbouncer is not installed")
    parts, port = urlsplit(direct_url), free_port()
    name, place = parts.path.strip("/"), parse_qs(parts.query)["host"][0]
    settings = folder / "pgbouncer.ini"
    settings.write_text(_POOLER.format(name=name, socket=place, port=port, folder=folder))
    owner = os.stat(place).st_uid if os.geteuid() == 0 else os.geteuid()  # it refuses root
    os.chown(folder / "privkey.pem", owner, -1)
    with (folder / "pgbouncer.txt").open("wb") as log:
        process = subprocess.Popen(
            [program, str(settings)], stdout=log, stderr=log, user=owner or "nobody"
        )
    url = f"postgresql://tracker:any@127.0.0.1:{port}/{name}"
    try:
        _until(lambda: _connects(url), (folder / "pgbouncer.txt").read_text)
        # Checked down to the name: psycopg asks who answers.
        yield f"{url}?sslmode=verify-full&sslrootcert={folder}/fullchain.pem"
    finally:
        process.terminate()
        process.wait(20)


def _connects(url: str) -> bool:
    try:
        psycopg.connect(url, sslmode="require", connect_timeout=5).close()
    except psycopg.Error:
        return False
    return True


@contextmanager
def _redis_over_tls(folder: Path, redis_url: str) -> Iterator[str]:
    parts = urlsplit(redis_url)
    with relay.over_tls(folder, to=(parts.hostname or "", parts.port or 6379)) as port:
        yield f"rediss://127.0.0.1:{port}{parts.path}?ssl_ca_certs={folder}/fullchain.pem"


def _await_ready(production: Production) -> None:
    """Until `web` and `live` both answer through nginx."""
    _until(lambda: _answers(production, "/readyz", 200), production.written)
    # `live` answers a plain request too: 426, or whatever says that it is no 502 of nginx's.
    _until(lambda: not _answers(production, "/ws/v1/stream", 502), production.written)


def _answers(production: Production, path: str, status: int) -> bool:
    try:
        return production.send("GET", path)[0] == status
    except OSError:
        return False


def _until(holds: Any, say: Any) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not holds():
        assert time.monotonic() < deadline, say()
        time.sleep(0.1)


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
