"""localstripe in a process of its own, spoken to over HTTP only."""

import asyncio
import sys
from typing import Any

import aiohttp

from billing.sandbox.wire import Object

# It listens on loopback and writes nothing to disk, unlike localstripe's own start. Its input
# is a pipe of ours: however we end, the pipe does too, and then so does the child.
_LAUNCHER = """
import os, socket, sys, threading
from aiohttp import web
from localstripe.resources import Store
Store.dump_to_disk = lambda self: None
from localstripe.server import app
def follow():
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=follow, daemon=True).start()
listening = socket.socket()
listening.bind(("127.0.0.1", 0))
listening.listen(128)
print(listening.getsockname()[1], flush=True)
web.run_app(app, sock=listening, print=None, access_log=None)
"""
_AUTH = aiohttp.BasicAuth("sk_test_inner")
_EVERYTHING = {"limit": "100000"}


class InnerError(Exception):
    """localstripe refused."""

    def __init__(self, status: int, error: Object) -> None:
        super().__init__(f"localstripe answered {status}: {error}")
        self.status, self.error = status, error


class Inner:
    """`await inner.post("customers", email="a@example.com")`."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self._url = ""

    async def start(self) -> None:
        """Start the child and wait until it listens. Raises RuntimeError."""
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "ignore", "-c", _LAUNCHER, stdin=pipe, stdout=pipe
        )
        line = await self._process.stdout.readline() if self._process.stdout else b""
        if not line:
            raise RuntimeError("localstripe did not start")
        self._url = f"http://127.0.0.1:{int(line)}"
        self._session = aiohttp.ClientSession(auth=_AUTH)

    async def stop(self) -> None:
        """End the child."""
        if self._session:
            await self._session.close()
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def get(self, path: str) -> Object:
        """An object. Raises InnerError."""
        return await self._call("GET", f"/v1/{path}")

    async def all(self, kind: str) -> list[Object]:
        """All objects of a kind, oldest first."""
        answer = await self._call("GET", f"/v1/{kind}", params=_EVERYTHING)
        return list(answer["data"])

    async def post(self, path: str, **sent: Any) -> Object:
        """What comes back. Raises InnerError."""
        return await self._call("POST", f"/v1/{path}", json=sent)

    async def delete(self, path: str) -> Object:
        """What comes back. Raises InnerError."""
        return await self._call("DELETE", f"/v1/{path}")

    async def forget(self) -> None:
        """Empty its store."""
        await self._call("DELETE", "/_config/data")

    async def _call(self, method: str, path: str, **sent: Any) -> Object:
        if self._session is None:
            raise RuntimeError("localstripe is not running")
        async with self._session.request(method, self._url + path, **sent) as answer:
            text = await answer.text()
            content = await answer.json() if text.startswith("{") else {}
            if answer.status >= 400:
                raise InnerError(answer.status, content.get("error", {"message": text}))
            return dict(content)
