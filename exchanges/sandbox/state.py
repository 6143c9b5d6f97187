"""What a sandbox must remember to come back the same: its anchor and what was added to it."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_VERSION = 2
# What version 1 held was all of one house.
_WITHOUT_HOUSES, _FIRST_HOUSE = 1, "binance"


class StateError(Exception):
    """A state file that cannot be read or belongs to another sandbox; the message says which."""


@dataclass(slots=True)
class Changes:
    """What was added to the accounts of one house, and what was hidden there, by account."""

    added: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    hidden: dict[int, list[tuple[str, str]]] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {"added": self.added, "hidden": self.hidden}


@dataclass(slots=True)
class State:
    """Anchor and changes by house; kept in `path`, or in memory without one.

    `identity` holds the settings that shape histories: a file is refused by a sandbox whose
    settings differ, because added facts would then hang on balances that no longer exist.
    """

    path: Path | None
    identity: dict[str, Any]
    anchor: int
    changes: dict[str, Changes] = field(default_factory=dict)

    def of(self, house: str) -> Changes:
        """The changes of one house."""
        return self.changes.setdefault(house, Changes())

    def save(self) -> None:
        """Write the file whole or not at all."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(self.path.name + ".new")
        draft.write_text(json.dumps(self._plain(), indent=1))
        os.replace(draft, self.path)

    def _plain(self) -> dict[str, Any]:
        return {
            "version": _VERSION,
            "identity": self.identity,
            "anchor": self.anchor,
            "changes": {name: found.plain() for name, found in self.changes.items()},
        }


def opened(path: Path | None, *, identity: dict[str, Any], anchor: int, moved: bool) -> State:
    """The state in the file; a new one, saved at once, where there is no file yet.

    `moved` says that `anchor` was asked for and must not differ from the file's. Raises
    StateError.
    """
    if path is None or not path.exists():
        state = State(path, identity, anchor)
        state.save()
        return state
    state = _read(path)
    if state.identity != identity:
        differing = [key for key in identity if state.identity.get(key) != identity[key]]
        raise StateError(f"{path} was written with other settings: {', '.join(differing)}")
    if moved and state.anchor != anchor:
        raise StateError(f"{path} was written with another anchor")
    return state


def _read(path: Path) -> State:
    try:
        plain = json.loads(path.read_text())
        if plain["version"] not in (_WITHOUT_HOUSES, _VERSION):
            raise StateError(f"{path} is of version {plain['version']}, not {_VERSION}")
        found = {_FIRST_HOUSE: plain} if plain["version"] == _WITHOUT_HOUSES else plain["changes"]
        changes = {name: _changes(told) for name, told in found.items()}
        return State(path, dict(plain["identity"]), int(plain["anchor"]), changes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise StateError(f"{path} is not a sandbox state file") from None


def _changes(plain: dict[str, Any]) -> Changes:
    added = {int(number): list(rows) for number, rows in plain["added"].items()}
    hidden = {
        int(number): [(feed, fact_id) for feed, fact_id in pairs]
        for number, pairs in plain["hidden"].items()
    }
    return Changes(added, hidden)
