"""When the pinned requirements were last looked up among known holes, told by a file beside them.

`make audit` writes ``audited.json`` after pip-audit found nothing; it travels with the release. The
file names the digest of the requirements that were audited, so it speaks for no others, and what
is installed is compared with them. A running system cannot look holes up by itself, and does not
pretend to: without a young file it was not audited.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tracker import clock

FOLDER = Path(__file__).resolve().parent.parent / "requirements"
VALID = timedelta(days=31)
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)


class NotAudited(Exception):
    """Why nobody can say that what is installed has no known hole."""


def note(folder: Path = FOLDER, *, now: datetime) -> Path:
    """Write down that the requirements as they stand were audited; returns the file."""
    told = {"audited_at": now.isoformat(), "sha256": _digest(folder)}
    _file(folder).write_text(json.dumps(told) + "\n", encoding="utf-8")
    return _file(folder)


def audited_at(folder: Path = FOLDER, *, now: datetime) -> datetime:
    """When what is installed was audited. Raises NotAudited, also when that is too long ago."""
    at, digest = _read(folder)
    if digest != _digest(folder):
        raise NotAudited("the requirements have changed since their audit")
    if strangers := sorted(_differing(folder)):
        raise NotAudited(f"installed in another version than audited: {', '.join(strangers[:5])}")
    if now - at > VALID:
        raise NotAudited(f"the last audit is {(now - at).days} days old")
    return at


def _read(folder: Path) -> tuple[datetime, str]:
    try:
        told = json.loads(_file(folder).read_text(encoding="utf-8"))
        return datetime.fromisoformat(told["audited_at"]), told["sha256"]
    except FileNotFoundError:
        raise NotAudited("the requirements were never audited") from None
    except (ValueError, KeyError, TypeError):
        raise NotAudited("requirements/audited.json cannot be read") from None


def _differing(folder: Path) -> Iterator[str]:
    """Pinned packages installed in another version; those that are not installed are left out."""
    pins: dict[str, set[str]] = {}  # some have one version for each of Python's
    for name, pinned in _PIN.findall(_pins(folder).read_text(encoding="utf-8")):
        pins.setdefault(name, set()).add(pinned)
    for name, allowed in pins.items():
        try:
            if version(name) not in allowed:
                yield name
        except PackageNotFoundError:
            continue


def _digest(folder: Path) -> str:
    return hashlib.sha256(_pins(folder).read_bytes()).hexdigest()


def _pins(folder: Path) -> Path:
    return folder / "production.txt"


def _file(folder: Path) -> Path:
    return folder / "audited.json"


if __name__ == "__main__":
    print(f"noted in {note(now=clock.now())}")  # noqa: T201  (for who runs `make audit`)
