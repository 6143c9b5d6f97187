"""Notes what the API really answers in tests, for the examples and error codes of the schema.

A pytest plugin that is on only when asked for (``make examples``): it watches Django's test
client, and each process writes what it saw into a folder, from which ``tests.contract`` makes the
tables of the schema.
"""

import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.test import Client
from django.urls import Resolver404, resolve

MOST_ROWS, MOST_TEXT, MOST_SEEN = 2, 600, 60
FOLDER = "RECORD_TO"
_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
_HOST = re.compile(r"http://(?:127\.0\.0\.1|localhost|testserver|portfolio\.test)(?::\d+)?")
_SECRET = re.compile(r"(?:trk|whsec|sk_test|pk_test|ek_test|cs_test|seti|pi)_[\w.=-]{12,}")
_PLACE = re.compile(r"<(?:[^:>]+:)?[^>]+>")


class Notes:
    """Answers and error codes by method and address."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    def take(self, environ: dict[str, Any], body: bytes, answer: Any) -> None:
        key = _operation(environ)
        if key is None or answer.status_code in (304, 405):
            return
        entry = self.seen.setdefault(key, {"answers": [], "errors": {}})
        told = _json_of(answer)
        if answer.status_code < 400:
            if len(entry["answers"]) < MOST_SEEN:
                entry["answers"].append(_pair(environ, body, answer, told))
        elif isinstance(told, dict) and told.get("code") != "internal_error":
            codes = entry["errors"].setdefault(str(answer.status_code), [])
            codes += [told["code"]] * (told["code"] not in codes)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.seen, indent=1, sort_keys=True) + "\n")


def _operation(environ: dict[str, Any]) -> str | None:
    path = environ["PATH_INFO"]
    if not path.startswith("/api/v1/"):
        return None
    try:
        route = resolve(path).route
    except Resolver404:
        return None
    return f"{environ['REQUEST_METHOD']} /{_PLACE.sub('{}', route)}"


def _pair(environ: dict[str, Any], body: bytes, answer: Any, told: Any) -> dict[str, Any]:
    sent = environ.get("CONTENT_TYPE", "")
    request = json.loads(body) if body and sent.startswith("application/json") else None
    return {
        "request": _plain(request), "query": _plain(environ.get("QUERY_STRING", "")),
        "status": answer.status_code, "body": _plain(told),
    }  # fmt: skip


def _json_of(answer: Any) -> Any:
    kind = answer.headers.get("Content-Type", "")
    if getattr(answer, "streaming", False):
        return None
    if kind.startswith(("text/csv", "image/svg")):
        return answer.content.decode()
    return json.loads(answer.content or b"null") if "json" in kind else None


def _plain(value: Any) -> Any:
    """Short, and without what looks like a secret or an address of this machine."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value[:MOST_ROWS]]
    if isinstance(value, str):
        value = _SECRET.sub("secret", _JWT.sub("<token>", value))
        return _HOST.sub("https://portfolio.example.com", value)[:MOST_TEXT]
    return value


# --- the plugin ---------------------------------------------------------------------------------
def pytest_configure(config: Any) -> None:
    config.stash_notes = notes = Notes()
    original = Client.request

    def request(client: Client, **environ: Any) -> Any:
        sent = environ.get("wsgi.input")
        body = sent.read() if sent is not None else b""
        environ["wsgi.input"] = io.BytesIO(body)
        answer = original(client, **environ)
        notes.take(environ, body, answer)
        return answer

    Client.request = request  # type: ignore[method-assign]


def pytest_unconfigure(config: Any) -> None:
    folder = Path(os.environ[FOLDER])
    folder.mkdir(parents=True, exist_ok=True)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    config.stash_notes.write(folder / f"{worker}-{os.getpid()}.json")


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """What the processes of a recording wrote, in the order of their names."""
    for path in sorted(folder.glob("*.json")):
        yield json.loads(path.read_text())
