"""Finds what of a schema would break an app that was built for an earlier one.

    python -m tests.contract.breaking     docs/openapi.json against docs/openapi-released.json

What breaks is allowed when CHANGELOG.md names the operation under "Unreleased" in a line
``breaking: <operation id>: <what, and what to do>``.

What an app sends must stay accepted, and what it reads must stay there:

- an operation, its id, its address, a success status or a content type that is gone;
- a parameter or a field of a request that is gone (unknown ones are refused), that is needed now,
  or that takes less than before: types, values, lengths, bounds, formats;
- a field of an answer that is gone, that is no longer always there, or that has other types;
- a token or scope that is asked for now.

Not breaking, because docs/mobile.md has apps expect it: more operations, more optional fields,
more fields of answers, more values of an answer's enumeration, more or fewer error codes.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
METHODS = ("get", "put", "post", "delete", "patch")
_SMALLER = ("maxLength", "maximum", "maxItems", "exclusiveMaximum", "maxProperties")
_LARGER = ("minLength", "minimum", "minItems", "exclusiveMinimum", "minProperties")
_SAME = ("pattern", "format", "uniqueItems", "multipleOf")
Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Break:
    """What breaks, in which operation."""

    operation: str
    what: str

    def __str__(self) -> str:
        return f"{self.operation}: {self.what}"


@dataclass
class _Pair:
    """Two documents whose references are followed, each pair of components once."""

    old: Schema
    new: Schema
    seen: set[tuple[str, str, str]] = field(default_factory=set)


def breaks(old: Schema, new: Schema) -> list[Break]:
    """Everything that breaks from one OpenAPI document to the next, by operation."""
    found = []
    for path, operations in old["paths"].items():
        for method in METHODS:
            if method in operations:
                before, after = operations[method], new["paths"].get(path, {}).get(method)
                told = _of_operation(_Pair(old, new), before, after)
                found += [Break(before["operationId"], what) for what in told]
    return found


def unnamed(found: list[Break], changelog: str) -> list[Break]:
    """Those that the changelog's section "Unreleased" does not name."""
    section = re.search(r"^## Unreleased$(.*?)(?=^## |\Z)", changelog, re.M | re.S)
    told = section.group(1) if section else ""
    named = set(re.findall(r"^[-*]? *`?breaking: ([a-z_]+): *\S", told, re.M))
    return [each for each in found if each.operation not in named]


# --- operations ---------------------------------------------------------------------------------
def _of_operation(pair: _Pair, old: Schema, new: Schema | None) -> Iterator[str]:
    if new is None:
        yield "the operation is gone"
        return
    if old["operationId"] != new["operationId"]:
        yield f"the operation id is {new['operationId']} now"
    yield from _of_access(old.get("security", []), new.get("security", []))
    yield from _of_parameters(pair, old.get("parameters", []), new.get("parameters", []))
    yield from _of_body(pair, old.get("requestBody"), new.get("requestBody"))
    yield from _of_answers(pair, old["responses"], new["responses"])


def _of_access(old: list[Schema], new: list[Schema]) -> Iterator[str]:
    """Each way in that there was must still be one."""
    if {} in new:
        return
    for way in old:
        if way not in new:
            name = " ".join([*way, *(scope for scopes in way.values() for scope in scopes)])
            yield f"it can no longer be called with {name or 'no token'}"


def _of_parameters(pair: _Pair, old: list[Schema], new: list[Schema]) -> Iterator[str]:
    before = {(row["in"], row["name"]): row for row in old}
    after = {(row["in"], row["name"]): row for row in new}
    for (place, name), row in before.items():
        known = after.get((place, name))
        if known is None:
            yield f"the {place} parameter {name} is gone"
        else:
            yield from _taken(pair, f"the parameter {name}", row["schema"], known["schema"])
    for (place, name), row in after.items():
        if row.get("required") and not before.get((place, name), {}).get("required"):
            yield f"the {place} parameter {name} is needed now"


def _of_body(pair: _Pair, old: Schema | None, new: Schema | None) -> Iterator[str]:
    if new is not None and new.get("required") and not (old or {}).get("required"):
        yield "a body is needed now"
    for kind, content in (old or {}).get("content", {}).items():
        known = (new or {}).get("content", {}).get(kind)
        if known is None:
            yield f"a body of {kind} is no longer taken"
        else:
            yield from _taken(pair, "the request", content["schema"], known["schema"])


def _of_answers(pair: _Pair, old: Schema, new: Schema) -> Iterator[str]:
    for status, response in old.items():
        if not status.startswith(("2", "3")):
            continue
        if status not in new:
            yield f"it no longer answers {status}"
            continue
        before = _followed(pair.old, response).get("content", {})
        after = _followed(pair.new, new[status]).get("content", {})
        for kind, content in before.items():
            if kind not in after:
                yield f"it no longer answers {status} with {kind}"
            else:
                where = f"the answer {status}"
                yield from _given(pair, where, content["schema"], after[kind]["schema"])


# --- shapes -------------------------------------------------------------------------------------
def _taken(pair: _Pair, where: str, old: Schema, new: Schema) -> Iterator[str]:
    """What of the values that were taken is no longer taken."""
    if _is_known(pair, "taken", old, new):
        return
    before, after = _flat(pair.old, old), _flat(pair.new, new)
    lost = before.types - after.types
    if after.types and (lost or not before.types):
        yield f"{where} no longer takes {_words(lost) or 'every type'}"
    if after.enum is not None and (before.enum is None or before.enum - after.enum):
        yield f"{where} no longer takes {_words((before.enum or {'any value'}) - after.enum)}"
    yield from _tighter(where, before.rest, after.rest)
    yield from _taken_fields(pair, where, before, after)
    if before.items is not None and after.items is not None:
        yield from _taken(pair, f"an item of {where}", before.items, after.items)


def _taken_fields(pair: _Pair, where: str, before: "_Flat", after: "_Flat") -> Iterator[str]:
    for name, shape in before.fields.items():
        if name not in after.fields:
            yield f"{where} no longer takes the field {name}"
        else:
            yield from _taken(pair, f"{name} of {where}", shape, after.fields[name])
    for name in sorted(after.required - before.required):
        yield f"{where} needs the field {name} now"


def _tighter(where: str, old: Schema, new: Schema) -> Iterator[str]:
    for name in _SMALLER:
        if name in new and (name not in old or new[name] < old[name]):
            yield f"{where} has {name} {new[name]} now"
    for name in _LARGER:
        if name in new and (name not in old or new[name] > old[name]):
            yield f"{where} has {name} {new[name]} now"
    for name in _SAME:
        if name in new and new[name] != old.get(name):
            yield f"{where} has {name} {new[name]} now"


def _given(pair: _Pair, where: str, old: Schema, new: Schema) -> Iterator[str]:
    """What was in every answer and is not, or is something else."""
    if _is_known(pair, "given", old, new):
        return
    before, after = _flat(pair.old, old), _flat(pair.new, new)
    more = after.types - before.types
    if before.types and (more or not after.types):
        yield f"{where} can be {_words(more) or 'of any type'} now"
    if before.rest.get("format") != after.rest.get("format"):
        yield f"{where} has the format {after.rest.get('format')} now"
    for name, shape in before.fields.items():
        if name not in after.fields:
            yield f"{where} no longer has the field {name}"
            continue
        if name in before.required - after.required:
            yield f"{where} does not always have the field {name} any more"
        yield from _given(pair, f"{name} of {where}", shape, after.fields[name])
    if before.items is not None and after.items is not None:
        yield from _given(pair, f"an item of {where}", before.items, after.items)


@dataclass
class _Flat:
    """A schema with its references followed and its alternatives joined."""

    types: set[str] = field(default_factory=set)
    enum: set[str] | None = None
    fields: dict[str, Schema] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    items: Schema | None = None
    rest: dict[str, Any] = field(default_factory=dict)


def _flat(document: Schema, schema: Schema) -> _Flat:
    schema = _followed(document, schema)
    given = schema.get("type", [])
    flat = _Flat({given} if isinstance(given, str) else set(given))
    if "enum" in schema or "const" in schema:
        flat.enum = {json.dumps(value) for value in schema.get("enum", [schema.get("const")])}
    flat.fields, flat.items = dict(schema.get("properties", {})), schema.get("items")
    if isinstance(inner := schema.get("additionalProperties"), Mapping) and inner:
        flat.fields["*"] = inner
    flat.required = set(schema.get("required", []))
    flat.rest = {name: schema[name] for name in (*_SMALLER, *_LARGER, *_SAME) if name in schema}
    for each in schema.get("allOf", []):
        _join(flat, _flat(document, each), every=True)
    for each in (*schema.get("oneOf", []), *schema.get("anyOf", [])):
        _join(flat, _flat(document, each), every=False)
    return flat


def _join(flat: _Flat, other: _Flat, *, every: bool) -> None:
    is_null = other.types == {"null"} or other.enum == {"null"}
    flat.types |= {"null"} if is_null else other.types
    if not is_null:
        flat.enum = other.enum if flat.enum is None else flat.enum | (other.enum or set())
        flat.fields |= other.fields
        flat.required |= other.required
        flat.items, flat.rest = flat.items or other.items, flat.rest | other.rest


def _followed(document: Schema, thing: Schema) -> Schema:
    while "$ref" in thing:
        found: Any = document
        for part in thing["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        thing = found
    return thing


def _is_known(pair: _Pair, way: str, old: Schema, new: Schema) -> bool:
    """Whether this pair of components was looked at in this operation; shapes may hold
    themselves."""
    if "$ref" not in old or "$ref" not in new:
        return False
    key = (way, old["$ref"], new["$ref"])
    known = key in pair.seen
    pair.seen.add(key)
    return known


def _words(values: set[str]) -> str:
    return ", ".join(sorted(values))


def main() -> int:
    """Prints what breaks and is not named; the number of those."""
    docs = ROOT / "docs"
    old = json.loads((docs / "openapi-released.json").read_text())
    new = json.loads((docs / "openapi.json").read_text())
    found = breaks(old, new)
    missing = unnamed(found, (ROOT / "CHANGELOG.md").read_text())
    for each in missing:
        print(f"breaking and not in CHANGELOG.md: {each}")
    print(f"{len(found)} breaking changes of the schema, {len(missing)} of them unnamed")
    return min(len(missing), 1)


if __name__ == "__main__":
    sys.exit(main())
