"""``/status`` and ``/status.json``: for everybody, from a copy, whatever else is down.

Each web process looks for a newer copy in Redis every few seconds and keeps the last one, written
out, in memory. So a request costs a comparison of entity tags; it neither asks the database nor
waits for Redis, except for the first in a process that finds no copy at all.
"""

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from audit import status_copy
from tracker import clock
from tracker.monitoring import bars

LOOK_EVERY = timedelta(seconds=15)
_PATIENCE = 1.0  # seconds for who comes while the first look of a process is on
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class _Answer:
    body: bytes
    etag: str
    content_type: str


@dataclass(frozen=True, slots=True)
class _Shown:
    """A copy as it is told, and until when it is told without a look for a newer one."""

    copy: Mapping[str, Any]
    late: bool
    page: _Answer
    plain: _Answer


class _Shelf:
    """What this process tells. One thread at a time looks for newer; the others tell the last."""

    def __init__(self) -> None:
        self._looking = threading.Lock()
        self._shown: _Shown | None = None
        self._until: datetime | None = None

    def take(self, now: datetime) -> _Shown | None:
        if self._until is not None and now < self._until:
            return self._shown
        if self._looking.acquire(timeout=_PATIENCE if self._shown is None else 0):
            try:
                self._look(now)
            finally:
                self._looking.release()
        return self._shown

    def _look(self, now: datetime) -> None:
        if self._until is not None and now < self._until:
            return  # somebody looked while this one waited
        found = status_copy.read() or (self._shown.copy if self._shown else _from_tables(now))
        self._until = now + LOOK_EVERY  # in vain too, lest every request waits for the database
        if found is None:
            return
        late = status_copy.is_late(found, now=now)
        if self._shown is None or self._shown.late != late or self._shown.copy != found:
            self._shown = _written(found, late)

    def clear(self) -> None:
        self._shown = self._until = None


_shelf = _Shelf()


def forget() -> None:
    """Forget what this process tells, as a new process would."""
    _shelf.clear()


@require_safe
def status(request: HttpRequest) -> HttpResponse:
    """``/status``: for people; 503 in one sentence when there never was anything to tell."""
    shown = _shelf.take(clock.now())
    if shown is None:
        return _nothing(render_to_string("public/status_unknown.html").encode(), "text/html")
    return _answer(request, shown.page)


@require_safe
def status_json(request: HttpRequest) -> HttpResponse:
    """``/status.json``: the same for programs. Percentages are strings, instants UTC."""
    shown = _shelf.take(clock.now())
    if shown is None:
        return _nothing(orjson.dumps({"overall": {"state": "unknown"}}), "application/json")
    answer = _answer(request, shown.plain)
    answer["Access-Control-Allow-Origin"] = "*"
    return answer


def _answer(request: HttpRequest, told: _Answer) -> HttpResponse:
    known = {tag.strip().removeprefix("W/") for tag in _tags(request)}
    if told.etag in known or "*" in known:
        answer = HttpResponse(status=304)
    else:
        answer = HttpResponse(told.body, content_type=told.content_type)
    answer["ETag"] = told.etag
    answer["Cache-Control"] = f"public, max-age={int(LOOK_EVERY.total_seconds())}"
    answer["Content-Security-Policy"] = _POLICY
    return answer


def _tags(request: HttpRequest) -> list[str]:
    return request.headers.get("If-None-Match", "").split(",")


def _nothing(body: bytes, content_type: str) -> HttpResponse:
    answer = HttpResponse(body, status=503, content_type=content_type)
    answer["Retry-After"], answer["Cache-Control"] = "60", "no-store"
    answer["Content-Security-Policy"] = _POLICY
    return answer


def _from_tables(now: datetime) -> dict[str, Any] | None:
    try:
        return status_copy.make(now=now)
    except (DatabaseError, InterfaceError):
        close_old_connections()
        return None


def _written(copy: Mapping[str, Any], late: bool) -> _Shown:
    told = status_copy.outdated(copy) if late else copy
    page = render_to_string("public/status.html", bars.page(told) | {"late": late}).encode()
    plain = orjson.dumps({**told, "late": late}, option=orjson.OPT_INDENT_2)
    return _Shown(
        copy, late, _tagged(page, "text/html; charset=utf-8"), _tagged(plain, "application/json")
    )


def _tagged(body: bytes, content_type: str) -> _Answer:
    digest = hashlib.sha256(body).hexdigest()[:32]
    return _Answer(body, f'"{digest}"', content_type)
