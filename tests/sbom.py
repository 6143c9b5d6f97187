"""The software bill of materials of production: ``make sbom``, or ``python -m tests.sbom FILE``.

cyclonedx-bom reads this environment, which has more than production: tests and checks. Only what
requirements/production.txt pins is kept. A package that is missing, of another version or without
a licence stops it (S55).
"""

import json
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parent.parent
PINS = PROJECT / "requirements" / "production.txt"


# Packages whose licence stands in no field, only in the text that comes with them.
READ_IN_TEXT = {"ta-lib": "BSD-2-Clause"}


class NotWhole(Exception):
    """The environment does not have what is pinned, or not its licence."""


def pinned() -> dict[str, str]:
    """Version by name of all that production installs on this platform and Python."""
    found = {}
    for line in re.findall(r"^[A-Za-z0-9][^\\\n]*", PINS.read_text(), re.MULTILINE):
        requirement = Requirement(line.strip())
        if requirement.marker is None or requirement.marker.evaluate():
            version = str(requirement.specifier).removeprefix("==")
            found[canonicalize_name(requirement.name)] = version
    return found


def bill() -> dict[str, Any]:
    """The bill as CycloneDX JSON. Raises NotWhole."""
    found, pins = _of_this_environment(), pinned()
    kept = {
        canonicalize_name(part["name"]): part
        for part in found["components"]
        if pins.get(canonicalize_name(part["name"])) == part.get("version")
    }
    for name, part in kept.items():
        _complete(name, part)
    missing = sorted(pins.keys() - kept.keys())
    unlicensed = sorted(name for name, part in kept.items() if not licences(part))
    if missing or unlicensed:
        raise NotWhole(f"not installed as pinned: {missing}; without a licence: {unlicensed}")
    found["components"] = [kept[name] for name in sorted(kept)]
    found["dependencies"] = _between(found, {part["bom-ref"] for part in kept.values()})
    return found


def licences(part: dict[str, Any]) -> list[str]:
    """What a component says about its licence."""
    return [
        entry.get("expression") or entry["license"].get("id") or entry["license"].get("name")
        for entry in part.get("licenses", [])
    ]


def _complete(name: str, part: dict[str, Any]) -> None:
    """The old licence field, which cyclonedx-bom leaves out where a licence file is named too."""
    told = READ_IN_TEXT.get(name) or metadata.metadata(name).get("License") or ""
    if not licences(part) and told:
        part["licenses"] = [{"license": {"name": told.splitlines()[0]}}]


def _between(found: dict[str, Any], kept: set[str]) -> list[dict[str, Any]]:
    kept |= {found.get("metadata", {}).get("component", {}).get("bom-ref", "")}
    return [
        row | {"dependsOn": [ref for ref in row.get("dependsOn", []) if ref in kept]}
        for row in found.get("dependencies", [])
        if row["ref"] in kept
    ]


def _of_this_environment() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bom.json"
        command = [
            sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible",
            "--pyproject", str(PROJECT / "pyproject.toml"), "--of", "JSON", "-o", str(path),
            sys.executable,
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        return json.loads(path.read_text())


def main() -> int:
    made = bill()
    Path(sys.argv[1]).write_text(json.dumps(made, indent=2, sort_keys=True) + "\n")
    print(f"{len(made['components'])} packages in {sys.argv[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
