"""The app's main flows through a TypeScript client that is generated from the schema.

`openapi-typescript` makes the types of ``docs/openapi.json``, `tsc` checks the flows against them
(a renamed field or a code that is gone is a fault of types), and Node runs them.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end import system as systems
from tests.servers import PROJECT

CLIENT = PROJECT / "tests/contract/client"
FLOWS = [
    "sign up and in", "connect", "first sync", "home screen", "lists", "typed errors",
    "one refresh for all", "live", "sign out",
]  # fmt: skip
pytestmark = [pytest.mark.xdist_group("client"), pytest.mark.timeout(600)]


def node_version() -> tuple[int, ...]:
    if shutil.which("node") is None or shutil.which("npm") is None:
        return (0,)
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in re.findall(r"\d+", told))


needs_node = pytest.mark.skipif(node_version() < (20, 10), reason="needs Node 20.10 and npm")


def in_client(*command: str, **environment: str) -> str:
    """What a command prints in the client's folder; fails with all of it."""
    done = subprocess.run(
        command, cwd=CLIENT, capture_output=True, text=True, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def compiled() -> Path:
    """The flows, installed as locked, generated and checked."""
    lock = CLIENT / "package-lock.json"
    if not _is_newer(CLIENT / "node_modules/.package-lock.json", lock):
        in_client("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
    in_client("npm", "run", "--silent", "generate")
    in_client("npm", "run", "--silent", "check")
    return CLIENT / "dist"


def _is_newer(installed: Path, lock: Path) -> bool:
    return installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime


@needs_node
def test_the_app_s_main_flows_run_through_the_generated_client(compiled, tmp_path):
    """Signing up to signing out, against everything that `make run` starts."""
    with systems.running(tmp_path) as system:
        email, password = system.printed("Demo login:").split()
        told = in_client(
            "npm", "run", "--silent", "flows", BASE_URL=f"http://127.0.0.1:{system.port}",
            LIVE_URL=f"ws://127.0.0.1:{system.live_port}/ws/v1/stream",
            API_KEY=system.printed("API key:"), API_SECRET=system.printed("API secret:"),
            DEMO_EMAIL=email, DEMO_PASSWORD=password,
        )  # fmt: skip
    assert re.findall(r"^ok (.+)$", told, re.M) == FLOWS


@needs_node
@pytest.mark.parametrize(
    ("was", "wrong"),
    [
        ('case "exchange_key_rejected"', 'case "exchange_key_refused"'),
        ("seen.data.total_value", "seen.data.total"),
        ('"/api/v1/holdings"', '"/api/v1/holding"'),
        ("page_size: 500", 'page_size: "many"'),
    ],
    ids=["a code that no call gives", "a field", "an address", "a parameter's type"],
)
def test_what_is_not_in_the_schema_does_not_compile(compiled, tmp_path, was, wrong):
    """So that the flows' types are worth something."""
    for name in ("client.ts", "live.ts", "flows.ts", "schema.d.ts"):
        text = (CLIENT / "src" / name).read_text()
        (tmp_path / name).write_text(text.replace(was, wrong) if name == "flows.ts" else text)
    assert was in (CLIENT / "src/flows.ts").read_text()
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "node_modules").symlink_to(CLIENT / "node_modules")
    options = ["--noEmit", "--rootDir", str(tmp_path), "--project", str(_project(tmp_path))]
    command = [str(CLIENT / "node_modules/.bin/tsc"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "flows.ts" in done.stdout


def _project(folder: Path) -> Path:
    text = (CLIENT / "tsconfig.json").read_text().replace('"src"', '"."')
    (folder / "tsconfig.json").write_text(text)
    return folder / "tsconfig.json"


def test_the_lock_names_no_registry():
    """Packages are named and hashed; where they come from is npm's own setting."""
    text = (CLIENT / "package-lock.json").read_text()
    assert '"resolved"' not in text
    assert text.count('"integrity"') >= 30
