"""What stands in the files of a deployment, read as the programs that use them read it."""

import re
import shlex
from pathlib import Path
from typing import Any

import yaml

from tests.servers import PROJECT

DEPLOY = PROJECT / "docs" / "deploy"
SYSTEMD = DEPLOY / "systemd"
WORKFLOWS = PROJECT / ".github" / "workflows"
DOMAIN = "api.example.com"


def procfile() -> dict[str, list[str]]:
    """Each process with its command; of several joined by && the words of all."""
    lines = (PROJECT / "Procfile").read_text().splitlines()
    named = (line.partition(":") for line in lines if line.strip())
    return {name: words(command) for name, _, command in named}


LONG_RUNNING = ("web", "live", "worker", "beat", "prices", "alerts")


def words(command: str) -> list[str]:
    """A command's words, programs without the folder they are in and without what joins them."""
    found = shlex.split(command.replace("/srv/tracker/.venv/bin/", ""))
    return [word for word in found if word != "&&"]


def unit(path: Path) -> dict[str, list[str]]:
    """Every ``Name=value`` of a unit, values in order."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", path.read_text(), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


def workflow(name: str) -> dict[str, Any]:
    """A workflow; YAML reads its key ``on`` as true, which is put right here."""
    found = yaml.safe_load((WORKFLOWS / name).read_text())
    return {("on" if key is True else key): value for key, value in found.items()}


def steps(name: str) -> list[dict[str, Any]]:
    """All steps of a workflow."""
    return [step for job in workflow(name)["jobs"].values() for step in job["steps"]]


def template() -> set[str]:
    """Names of .env.example, those commented out included."""
    text = (PROJECT / ".env.example").read_text()
    return set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE))


_READ = re.compile(
    r"""(?:environ(?:\.get\(|\[)|getenv\(|env\.(?:list|str|bool|int)\(|
        \b_(?:int|switch|json|secret|previous_secret)\()\s*["']([A-Z][A-Z0-9_]+)["']""",
    re.VERBOSE,
)


def read_by_code() -> set[str]:
    """Variables that settings, gunicorn and the commands read."""
    rooms = ("tracker", "accounts", "audit", "billing", "exchanges", "portfolios")
    files = (path for room in rooms for path in (PROJECT / room).rglob("*.py"))
    return {name for path in files for name in _READ.findall(path.read_text())}


def documented() -> set[str]:
    """Variables in the table of docs/deploy/environment.md."""
    text = (DEPLOY / "environment.md").read_text()
    return set(re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \|", text, re.MULTILINE))
