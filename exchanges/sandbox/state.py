"""What a sandbox must remember to come back the same: its anchor and what was added to it."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_VERSION = 1


class StateError(Exception):
    """A state file that cannot be read or belongs to another sandbox; the message says which."""


@dataclass(slots=True)
class State:
    """Anchor, added facts and hidden facts; kept in `path`, or in memory without one.

    `identity` holds the settings that shape histories: a file is refused by a sandbox whose
    settings differ, because added facts would then hang on balances that no longer exist.
    """

    path: Path | None
    identity: dict[str, Any]
    anchor: int
    added: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    hidden: dict[int, list[tuple[str, str]]] = field(default_factory=dict)

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
            "added": self.added,
            "hidden": self.hidden,
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
        if plain["version"] != _VERSION:
            raise StateError(f"{path} is of version {plain['version']}, not {_VERSION}")
        added = {int(number): list(rows) for number, rows in plain["added"].items()}
        hidden = {
            int(number): [(feed, fact_id) for feed, fact_id in pairs]
            for number, pairs in plain["hidden"].items()
        }
        return State(path, dict(plain["identity"]), int(plain["anchor"]), added, hidden)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise StateError(f"{path} is not a sandbox state file") from None
