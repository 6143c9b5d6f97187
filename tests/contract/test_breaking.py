"""What breaks in the schema, as a table; and the file that apps are made of."""

import copy
import json
from typing import Any

import pytest

from tests.contract import breaking, document

STATES = {"type": "string", "enum": ["open", "closed"]}
BASE: dict[str, Any] = {
    "paths": {
        "/things": {
            "get": {
                "operationId": "things_list",
                "security": [{"accessToken": []}, {"apiKey": ["read"]}],
                "parameters": [
                    {"in": "query", "name": "state", "schema": STATES},
                    {"in": "query", "name": "page", "schema": {"type": "integer", "maximum": 9}},
                ],
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Things"}},
                            "text/csv": {"schema": {"type": "string"}},
                        }
                    },
                    "304": {"description": "Known."},
                    "404": {"description": "None."},
                },
            },
            "post": {
                "operationId": "things_create",
                "security": [{}],
                "requestBody": {
                    "required": False,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/New"}}
                    },
                },
                "responses": {"201": {"description": "Made."}},
            },
        }
    },
    "components": {
        "schemas": {
            "Things": {
                "type": "object",
                "required": ["results"],
                "properties": {
                    "results": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}}
                },
            },
            "Thing": {
                "type": "object",
                "required": ["id", "state"],
                "properties": {
                    "id": {"type": "string", "format": "uuid"},
                    "state": STATES,
                    "note": {"oneOf": [{"type": "string"}, {"type": "null"}]},
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}},
                },
            },
            "New": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "maxLength": 40},
                    "size": {"type": ["integer", "null"], "minimum": 1},
                    "state": STATES,
                },
            },
        }
    },
}
SCHEMAS = ("components", "schemas")
LIST, MAKE = ("paths", "/things", "get"), ("paths", "/things", "post")
GONE = object()


def changed(*steps: Any, to: Any) -> Any:
    """The base with one thing changed, by the way to it."""
    new = json.loads(json.dumps(BASE))  # no part is shared
    *way, last = steps
    place = new
    for step in way:
        place = place[step]
    if to is GONE:
        del place[last]
    elif isinstance(place, list) and last == len(place):
        place.append(to)
    else:
        place[last] = to
    return new


def told(new: Any) -> list[str]:
    return [str(each) for each in breaking.breaks(BASE, new)]


ANSWER = (*LIST, "responses", "200", "content")
NEW = (*SCHEMAS, "New", "properties")
THING = (*SCHEMAS, "Thing", "properties")
NEEDED = {"in": "query", "name": "since", "required": True, "schema": {"type": "string"}}


@pytest.mark.parametrize(
    ("steps", "to", "what"),
    [
        (("paths", "/things"), GONE, "things_list: the operation is gone"),
        (LIST, GONE, "things_list: the operation is gone"),
        ((*LIST, "operationId"), "list_things", "things_list: the operation id is list_things now"),
        ((*LIST, "security"), [{"accessToken": []}], "no longer be called with apiKey read"),
        ((*MAKE, "security"), [{"accessToken": []}], "no longer be called with no token"),
        ((*LIST, "parameters", 0), GONE, "the query parameter state is gone"),
        ((*LIST, "parameters", 2), NEEDED, "the query parameter since is needed now"),
        ((*LIST, "parameters", 0, "required"), True, "the query parameter state is needed now"),
        ((*LIST, "parameters", 0, "schema", "enum"), ["open"], 'no longer takes "closed"'),
        ((*LIST, "parameters", 1, "schema", "maximum"), 5, "page has maximum 5 now"),
        ((*MAKE, "requestBody", "required"), True, "a body is needed now"),
        ((*MAKE, "requestBody", "content"), {}, "a body of application/json is no longer taken"),
        ((*SCHEMAS, "New", "required"), ["name", "size"], "needs the field size now"),
        ((*NEW, "size"), GONE, "no longer takes the field size"),
        ((*NEW, "size", "type"), "integer", "no longer takes null"),
        ((*NEW, "size", "minimum"), 2, "has minimum 2 now"),
        ((*NEW, "name", "maxLength"), 20, "has maxLength 20 now"),
        ((*NEW, "name", "pattern"), "^x", "has pattern ^x now"),
        ((*NEW, "name", "enum"), ["x"], "no longer takes any value"),
        ((*NEW, "state", "enum"), ["open"], 'no longer takes "closed"'),
        ((*LIST, "responses", "200"), GONE, "it no longer answers 200"),
        ((*LIST, "responses", "304"), GONE, "it no longer answers 304"),
        ((*ANSWER, "text/csv"), GONE, "it no longer answers 200 with text/csv"),
        ((*THING, "id"), GONE, "no longer has the field id"),
        ((*THING, "id", "type"), "integer", "can be integer now"),
        ((*THING, "id", "format"), "date", "has the format date now"),
        ((*THING, "state", "type"), ["string", "null"], "can be null now"),
        ((*SCHEMAS, "Thing", "required"), ["id"], "does not always have the field state"),
        ((*SCHEMAS, "Things", "properties", "results", "items"), {"type": "string"},
         "no longer has the field id"),
    ],
)  # fmt: skip
def test_it_breaks(steps, to, what):
    found = told(changed(*steps, to=to))
    assert any(what in each for each in found), found


@pytest.mark.parametrize(
    ("steps", "to"),
    [
        (("paths", "/others"), {"get": {"operationId": "others_list", "responses": {}}}),
        ((*LIST, "parameters", 2), {**NEEDED, "required": False}),
        ((*LIST, "security"), [{"accessToken": []}, {"apiKey": ["read"]}, {}]),
        ((*MAKE, "security"), [{}, {"accessToken": []}]),
        ((*LIST, "responses", "404"), GONE),
        ((*LIST, "responses", "409"), {"description": "No."}),
        ((*NEW, "extra"), {"type": "string"}),
        ((*NEW, "name", "maxLength"), 80),
        ((*NEW, "name", "type"), ["string", "null"]),
        ((*NEW, "state", "enum"), ["open", "closed", "lost"]),
        ((*SCHEMAS, "New", "required"), []),
        ((*THING, "extra"), {"type": "string"}),
        ((*THING, "state", "enum"), ["open", "closed", "lost"]),
        ((*THING, "state", "enum"), ["open"]),
        ((*THING, "note"), {"type": "string"}),
        ((*SCHEMAS, "Thing", "required"), ["id", "state", "note"]),
        ((*THING, "id", "description"), "Who it is."),
    ],
)  # fmt: skip
def test_it_does_not_break(steps, to):
    assert told(changed(*steps, to=to)) == []


def test_nothing_breaks_when_nothing_changed_though_things_hold_things():
    assert told(copy.deepcopy(BASE)) == []


@pytest.mark.parametrize(
    ("changelog", "left"),
    [
        ("# Changelog\n\n## Unreleased\n\nbreaking: things_list: no csv any more\n", 0),
        ("## Unreleased\n\n- `breaking: things_list: no csv any more`\n\n## 1.0\n", 0),
        ("## Unreleased\n\nbreaking: things_create: something else\n", 1),
        ("## Unreleased\n\nbreaking: things_list:\n", 1),
        ("## Unreleased\n\n## 1.0\n\nbreaking: things_list: no csv any more\n", 1),
        ("nothing\n", 1),
    ],
)
def test_what_breaks_is_allowed_when_the_changelog_names_it(changelog, left):
    found = breaking.breaks(BASE, changed(*ANSWER, "text/csv", to=GONE))
    assert len(found) == 1
    assert len(breaking.unnamed(found, changelog)) == left


# --- the files ----------------------------------------------------------------------------------
def test_the_schema_in_docs_is_that_of_the_code():
    """Run `make schema` and look at what changed."""
    assert document.CURRENT.read_text() == document.text()


def test_nothing_that_was_released_breaks_without_being_named():
    old, new = (json.loads(path.read_text()) for path in (document.RELEASED, document.CURRENT))
    changelog = (breaking.ROOT / "CHANGELOG.md").read_text()
    assert [str(each) for each in breaking.unnamed(breaking.breaks(old, new), changelog)] == []
    assert len(old["paths"]) > 100


def test_what_is_promised_leaves_prose_out_and_no_field():
    prose = {"description": "Prose.", "example": 1, "summary": "Prose."}
    kept = document.promises(
        {"properties": {"description": {"type": "string"}, "example": {}}, **prose}
    )
    assert kept == {"properties": {"description": {"type": "string"}, "example": {}}}
