"""The schema as a file: ``docs/openapi.json`` is what apps are generated from.

    python -m tests.contract.document             writes docs/openapi.json
    python -m tests.contract.document --release   and says that it is released

Whatever docs/openapi-released.json promises is kept, or CHANGELOG.md says that it is not
(tests/contract/breaking.py).
"""

import json
import sys
from typing import Any

import django

from tests.servers import PROJECT  # names the servers before Django reads its settings

django.setup()

from tests.tracker.routes import schema  # noqa: E402  (after Django is set up)
from tracker.api import to_json  # noqa: E402

_PROSE = {"description", "example", "summary"}
CURRENT, RELEASED = PROJECT / "docs/openapi.json", PROJECT / "docs/openapi-released.json"


def text() -> str:
    """The schema of the running code, the same bytes for the same code."""
    whole = json.loads(to_json(schema()))
    return json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def promises(document: Any) -> Any:
    """What of a schema a client can rely on: no examples and no prose."""
    if isinstance(document, list):
        return [promises(item) for item in document]
    if not isinstance(document, dict):
        return document
    return {
        name: {each: promises(shape) for each, shape in item.items()}
        if name == "properties"
        else promises(item)
        for name, item in document.items()
        if name not in _PROSE
    }


def main(arguments: list[str]) -> None:
    CURRENT.write_text(text())
    if "--release" in arguments:
        kept = promises(json.loads(text()))
        RELEASED.write_text(json.dumps(kept, separators=(",", ":"), sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
