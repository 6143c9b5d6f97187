"""Which errors each operation can answer with.

What its kind makes possible is known here: a body can be malformed, an id can be nobody's, a token
can have run out. What is an operation's own stands by its id in ``codes.json``, as tests have
seen it; an answer with a code that neither says fails the tests of the contract.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_CODES = Path(__file__).with_name("codes.json")

# The status, what it is called, and what an answer with it has in its header.
TITLES = {
    "400": "What was sent cannot be used; `details.fields` says what.",
    "401": "Nobody is signed in, or what was shown is not accepted.",
    "402": "The payment was refused.",
    "403": "This may not be done: by this person, this key, on this plan or without proof.",
    "404": "There is nothing here with this id, or not for you.",
    "406": "Only what the operation answers with can be accepted.",
    "409": "It cannot be done as things stand; the code says why.",
    "410": "This is over.",
    "413": "The request is too large.",
    "415": "Another content type is expected.",
    "422": "The Idempotency-Key was used for another request.",
    "429": "Too many; `Retry-After` says when to come again.",
    "500": "A fault of ours.",
    "502": "The exchange could not be asked, or answered in no usable way.",
    "503": "Not possible right now; `Retry-After` says when to come again.",
    "504": "The exchange did not answer in time.",
}
_WAIT = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}}
_BEARER = {"WWW-Authenticate": {"description": "`Bearer`.", "schema": {"type": "string"}}}
HEADERS = {"401": _BEARER, "429": _WAIT, "503": _WAIT}


@dataclass(frozen=True, slots=True)
class Kind:
    """What of an operation decides which errors are possible by its kind."""

    signed_in: bool  # a token is asked for
    finds: bool  # by an id or a cursor, which may be nobody's or nothing's
    has_body: bool
    has_query: bool
    once: bool  # honours Idempotency-Key
    throttles: frozenset[str]


def possible(operation_id: str, kind: Kind) -> dict[str, list[str]]:
    """Codes by status, both sorted."""
    found: dict[str, set[str]] = {}
    for codes in (_of_kind(kind), own().get(operation_id, {})):
        for status, names in codes.items():
            found.setdefault(status, set()).update(names)
    return {status: sorted(found[status]) for status in sorted(found)}


@cache
def own() -> Mapping[str, Mapping[str, list[str]]]:
    """Codes by status of each operation that has some of its own."""
    return json.loads(_CODES.read_text())


def _of_kind(kind: Kind) -> dict[str, set[str]]:
    codes = {
        "406": {"not_acceptable"}, "500": {"internal_error"}, "503": {"service_unavailable"},
    }  # fmt: skip
    if kind.signed_in:
        codes |= {"401": {"not_authenticated", "token_invalid", "api_key_invalid"},
                  "403": {"scope_missing", "plan_has_no_api_keys"},
                  "429": {"too_many_attempts"}}  # fmt: skip
    else:  # the shield by address
        codes["429"] = {"too_many_attempts"}
    if kind.finds:
        codes["404"] = {"not_found"}
    if kind.has_query:
        codes["400"] = {"invalid_input", "bad_request"}
    if kind.has_body:
        codes |= {"400": {"invalid_input", "parse_error", "bad_request"},
                  "413": {"body_too_large"}, "415": {"unsupported_media_type"}}  # fmt: skip
    if kind.once:
        codes |= {"409": {"idempotency_in_progress"}, "422": {"idempotency_key_reused"}}
        codes.setdefault("400", set()).add("invalid_input")
    return codes | _limits(kind, codes)


def _limits(kind: Kind, codes: Mapping[str, set[str]]) -> dict[str, set[str]]:
    limited = codes.get("429", set())
    if kind.throttles:
        limited = limited | {"throttled"}
    if "BurstThrottle" in kind.throttles and kind.signed_in:
        limited = limited | {"monthly_calls_used"}
    return {"429": limited} if limited else {}


def responses(operation_id: str, kind: Kind) -> dict[str, Any]:
    """The error responses of an operation, as OpenAPI says them."""
    found = possible(operation_id, kind)
    return {status: response(status, codes) for status, codes in found.items()}


def response(status: str, codes: list[str]) -> dict[str, Any]:
    """One error response: the one format, with the codes that it can have."""
    shape = {
        "allOf": [{"$ref": "#/components/schemas/Error"}],
        "type": "object",
        "properties": {"code": {"type": "string", "enum": codes}},
    }
    body = {"description": TITLES[status], "content": {"application/json": {"schema": shape}}}
    return body | ({"headers": HEADERS[status]} if status in HEADERS else {})


def share(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A hook of drf-spectacular: error responses that several operations have stand once, among
    the components."""
    places = list(_error_responses(result))
    counted = Counter(_name_of(status, found) for _, status, found in places)
    shared = result["components"].setdefault("responses", {})
    for holder, status, found in places:
        name = _name_of(status, found)
        if counted[name] > 1:
            shared[name] = found
            holder[status] = {"$ref": f"#/components/responses/{name}"}
    result["components"]["responses"] = dict(sorted(shared.items()))
    return result


def _error_responses(result: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str, Any]]:
    for operations in result["paths"].values():
        for operation in operations.values():
            holder = operation["responses"]
            yield from [(holder, status, holder[status]) for status in holder if status in TITLES]


def _name_of(status: str, found: Mapping[str, Any]) -> str:
    shape = found["content"]["application/json"]["schema"]
    return f"{status}.{'.'.join(shape['properties']['code']['enum'])}"
