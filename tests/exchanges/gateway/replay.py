"""A small HTTP server that gives prepared answers, as an exchange would, and remembers calls.

An answer is JSON (any value), text, a ``Status`` with a body, or a function of the request's
parameters that returns one of these. Unknown paths answer 404.
"""

import asyncio
import base64
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Status:
    """An answer with a status other than 200."""

    status: int
    body: Any = ""
    headers: dict[str, str] = field(default_factory=dict)


class Hang:
    """No answer at all."""


@dataclass(frozen=True)
class Call:
    """One request as it came in."""

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str] = field(default_factory=dict)


class ReplayServer:
    """Serves ``answers`` by path (or by ``*`` for every path) on a loopback port of its own."""

    def __init__(self, answers: dict[str, Any] | None = None) -> None:
        self.answers: dict[str, Any] = dict(answers or {})
        self.calls: list[Call] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "ReplayServer":
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        """Paths in the order they were asked."""
        return [call.path for call in self.calls]

    def of(self, path: str) -> list[dict[str, str]]:
        """Parameters of every call of one path."""
        return [call.params for call in self.calls if call.path == path]

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._loop.run_forever()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._ready.set()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        params = {**request.query, **await _body(request)}
        call = Call(request.method, request.path, params, dict(request.headers))
        self.calls.append(call)
        answer = self.answers.get(request.path, self.answers.get("*", Status(404)))
        if answer is Hang:
            await asyncio.Event().wait()
        if isinstance(answer, Callable):  # type: ignore[arg-type]
            answer = answer(call.params)
        return _response(answer)


async def _body(request: web.Request) -> dict[str, Any]:
    """Parameters of a form, of a JSON body (its ``params`` where it has any), of a payload."""
    if "X-GEMINI-PAYLOAD" in request.headers:
        return dict(json.loads(base64.b64decode(request.headers["X-GEMINI-PAYLOAD"])))
    if request.method != "POST":
        return {}
    if request.content_type != "application/json":
        return dict(await request.post())
    body = json.loads(await request.text() or "{}")
    found = body.get("params", body) if isinstance(body, dict) else {}
    return {name: value if isinstance(value, str) else str(value) for name, value in found.items()}


def _response(answer: Any) -> web.Response:
    if isinstance(answer, Status):
        body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        return web.Response(status=answer.status, text=body, headers=answer.headers)
    if isinstance(answer, str):
        return web.Response(text=answer)
    return web.json_response(answer)
