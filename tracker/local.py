"""``make run``: the whole system on one machine, on its own servers, until Ctrl-C.

honcho runs the processes; this module prepares them (migrations, catalogue), waits until
everything answers, seeds the demo, and says where things are.
"""

import http.client
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

from django.core.management import call_command
from honcho.manager import Manager

from exchanges.models import Exchange
from tracker.embedded import DATA_DIR
from tracker.local_environment import FASTER, Ports

READY_SECONDS = 120


def demo_logins(folder: Path = DATA_DIR) -> dict[str, str]:
    """Random passwords of the demo and staff logins, made once per checkout."""
    path = folder / "demo.env"
    if not path.exists():
        lines = [f"{name}={secrets.token_urlsafe(12)}" for name in ("demo", "staff")]
        with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write("\n".join(lines) + "\n")
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def prepare() -> None:
    """Bring the database up to date: migrations, and the catalogue when ccxt has changed."""
    call_command("migrate", verbosity=0, interactive=False)
    if not Exchange.objects.filter(ccxt_version=version("ccxt")).exists():
        call_command("refresh_exchanges")


def manager(where: Ports, env: Mapping[str, str]) -> Manager:
    """The processes: sandboxes of an exchange and of Stripe, web, worker, beat, streamed prices,
    live connections, price alerts."""
    python = sys.executable
    state = DATA_DIR / "sandbox.json"
    sandbox = f"{python} manage.py sandbox_exchange --port {where.sandbox} --state {state}"
    sandbox += f" --weight-limit {FASTER * 6_000}"
    for flag, name in (("--market-data", "SANDBOX_MARKET_DATA"),
                       ("--exchange-info", "SANDBOX_EXCHANGE_INFO")):  # fmt: skip
        if env.get(name):
            sandbox += f" {flag} {env[name]}"
    commands = {
        "sandbox": sandbox,
        "stripe": f"{python} manage.py sandbox_stripe --port {where.stripe} "
        f"--webhook-url {where.web_url}/api/webhook/stripe "
        f"--webhook-secret {env['STRIPE_WEBHOOK_SECRETS'].split(',')[0]}",
        "web": f"{python} -m gunicorn tracker.wsgi -c python:tracker.gunicorn",
        "worker": f"{python} -m celery -A tracker worker -c 2 -l WARNING "
        "-Q sync,derive,default,imports,exports,backtests --without-gossip --without-mingle",
        "beat": f"{python} -m celery -A tracker beat -l WARNING -s {DATA_DIR / 'beat'}",
        "prices": f"{python} manage.py stream_prices",
        "live": f"{python} manage.py serve_stream --port {where.live}",
        "alerts": f"{python} manage.py watch_alerts",
    }
    processes = Manager()
    for name, command in commands.items():
        processes.add_process(name, command, env=dict(env))
    return processes


def announce(where: Ports, *, on_ready: Callable[[], str]) -> threading.Thread:
    """In the background: wait until everything answers, then print what ``on_ready`` returns."""

    def wait_and_print() -> None:
        checks = (
            (where.sandbox, "/sandbox/health"), (where.stripe, "/_sandbox/state"),
            (where.web, "/readyz"), (where.live, "/healthz"),
        )  # fmt: skip
        if all(_wait_for(port, path) for port, path in checks):
            print(on_ready(), flush=True)  # noqa: T201  (this is what `make run` is for)

    thread = threading.Thread(target=wait_and_print, daemon=True)
    thread.start()
    return thread


def stop_with_parent(stop: Callable[[], None]) -> None:
    """End everything when the process that started us (make) has gone without a signal."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        stop()

    threading.Thread(target=watch, daemon=True).start()


def _wait_for(port: int, path: str) -> bool:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if _answers(port, path):
            return True
        time.sleep(0.1)
    return False


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
