"""Makes the schema's tables of examples and error codes of what a recording saw.

    python -m tests.contract.tables FOLDER

Examples that the tables have stay while they fit the schema, so that recording again changes no
more than it must. Codes are added, never dropped: that a test was not run says nothing.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import django

from tests import servers  # noqa: F401  (names the servers before Django reads its settings)

django.setup()

from jsonschema import Draft202012Validator  # noqa: E402  (after Django is set up)

from tests.contract import recording  # noqa: E402
from tests.tracker.routes import Route, every_route, normalized, schema  # noqa: E402
from tracker.api import to_json  # noqa: E402
from tracker.contract import errors, examples  # noqa: E402
from tracker.contract.errors import TITLES  # noqa: E402

MOST_BYTES = 5_000
FOLDER = Path(errors.__file__).parent


def main(folder: Path) -> None:
    seen = _merged(recording.read(folder))
    shown, codes = dict(examples.recorded()), {k: dict(v) for k, v in errors.own().items()}
    for route in every_route():
        found = seen.get(f"{route.method} {normalized(route.path)}", {"answers": [], "errors": {}})
        name = route.operation["operationId"]
        _add_codes(codes, route, found["errors"])
        if not (name in shown and fits(route, shown[name])):
            best = _best(route, found["answers"])
            shown |= {name: best} if best else {}
    _write(FOLDER / "examples.json", shown)
    _write(FOLDER / "codes.json", {name: codes[name] for name in codes if codes[name]})


def _merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        for key, found in part.items():
            entry = merged.setdefault(key, {"answers": [], "errors": {}})
            entry["answers"] += found["answers"]
            for status, names in found["errors"].items():
                entry["errors"].setdefault(status, set()).update(names)
    return merged


def _add_codes(codes: dict[str, Any], route: Route, found: Mapping[str, set[str]]) -> None:
    """Those that the operation's kind does not say already."""
    name, said = route.operation["operationId"], codes_of(route)
    own = codes.setdefault(name, {})
    for status, names in found.items():
        new = names - said.get(status, set())
        if new:
            own[status] = sorted({*own.get(status, []), *new})


def codes_of(route: Route) -> dict[str, set[str]]:
    """The error codes by status that the schema says."""
    said = {}
    for status, response in route.operation["responses"].items():
        if status in TITLES:
            shape = resolved(response)["content"]["application/json"]["schema"]
            said[status] = set(shape["properties"]["code"]["enum"])
    return said


def resolved(thing: Any) -> Any:
    """What a reference stands for."""
    if "$ref" not in thing:
        return thing
    found: Any = schema()
    for part in thing["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


# --- examples -----------------------------------------------------------------------------------
def _best(route: Route, answers: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The fullest pair that fits and is not too long; None where none was seen."""
    made = [_example(route, pair) for pair in answers]
    fitting = [one for one in made if len(to_json(one)) <= MOST_BYTES and fits(route, one)]
    return max(fitting, key=_fullness, default=None)


def _fullness(example: Mapping[str, Any]) -> tuple[int, int, bytes]:
    text = to_json(example.get("answer"))
    return len(text) - 8 * text.count(b"null"), len(to_json(example)), to_json(example)


def _example(route: Route, pair: Mapping[str, Any]) -> dict[str, Any]:
    example = {"query": pair["query"]} if pair["query"] else {}
    if pair["request"] is not None and "requestBody" in route.operation:
        example["request"] = pair["request"]
    return example | ({"answer": pair["body"]} if pair["body"] is not None else {})


def fits(route: Route, example: Mapping[str, Any]) -> bool:
    """Whether an example has all that the operation needs and is as its schema says."""
    return not list(faults(route, example))


def faults(route: Route, example: Mapping[str, Any]) -> Iterable[str]:
    """What is missing of an example or is not as the schema says."""
    body = route.operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None:
        yield from _faults_of("request", body["schema"], example)
    for response in successes(route):
        if shape := response.get("content", {}).get("application/json"):
            yield from _faults_of("answer", shape["schema"], example)
    for name in _needed(route):
        if f"{name}=" not in example.get("query", ""):
            yield f"no value for the parameter {name}"


def successes(route: Route) -> list[Any]:
    """The responses of an operation that are no refusal."""
    said = route.operation["responses"].items()
    return [resolved(response) for status, response in said if status.startswith("2")]


def _needed(route: Route) -> list[str]:
    rows = route.operation.get("parameters", ())
    return [row["name"] for row in rows if row["in"] == "query" and row.get("required")]


def _faults_of(part: str, shape: Any, example: Mapping[str, Any]) -> Iterable[str]:
    if part not in example:
        yield f"no {part}"
        return
    for fault in validator(shape).iter_errors(example[part]):
        yield f"{part} {fault.json_path}: {fault.message}"


def validator(shape: Any) -> Draft202012Validator:
    """Judges values by a schema of ours, formats included."""
    whole = json.loads(to_json({**shape, "components": schema()["components"]}))
    return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)


def _write(path: Path, table: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(table, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
