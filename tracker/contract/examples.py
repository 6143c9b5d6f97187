"""Real requests and answers, recorded by tests, as the examples of the schema."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

_EXAMPLES = Path(__file__).with_name("examples.json")


@cache
def recorded() -> Mapping[str, Any]:
    """By operation id: ``request`` (a JSON body), ``query`` and ``answer``."""
    return json.loads(_EXAMPLES.read_text())


def attach(operation: dict[str, Any]) -> None:
    """Put what was recorded of an operation into its description."""
    found = recorded().get(operation["operationId"], {})
    if "request" in found and "requestBody" in operation:
        for content in operation["requestBody"]["content"].values():
            content["example"] = found["request"]
    if "answer" in found:
        _attach_answer(operation, found["answer"])
    _attach_query(operation, dict(parse_qsl(found.get("query", ""))))


def _attach_answer(operation: dict[str, Any], answer: Any) -> None:
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            for media, content in response.get("content", {}).items():
                if isinstance(answer, str) == (media != "application/json"):
                    content["example"] = answer


def _attach_query(operation: dict[str, Any], given: Mapping[str, str]) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "query" and parameter["name"] in given:
            parameter["example"] = given[parameter["name"]]
