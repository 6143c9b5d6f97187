"""Events: kept, signed, and delivered in the background until somebody takes them."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from billing.sandbox import expanding
from billing.sandbox.wire import API_VERSION, Object, invalid, now, token

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_WAITS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5)
_PATIENCE = aiohttp.ClientTimeout(total=15)
_UNREACHED = 0


@dataclass(frozen=True)
class Hook:
    """Who is told, and the secret that signs."""

    url: str
    secret: str


class Events:
    """Everything that happened since the start or the last `forget`."""

    def __init__(self) -> None:
        self.all: list[Object] = []
        self.hooks: list[Hook] = []
        self.request: Object = {"id": None, "idempotency_key": None}
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._deliveries: set[asyncio.Task[None]] = set()

    def register(self, url: str, secret: str) -> None:
        """Tell this address from now on; a new secret replaces the old one."""
        if urlsplit(url).hostname not in _LOOPBACK or not secret:
            raise invalid("url must be of this machine, and secret not empty", param="url")
        self.hooks = [hook for hook in self.hooks if hook.url != url] + [Hook(url, secret)]

    def tell(self, kind: str, subject: Object, previous: Mapping[str, Any] | None = None) -> None:
        """Something happened to an object; whoever listens is told without waiting."""
        data: Object = {"object": deepcopy(expanding.trimmed(subject))}
        if previous is not None:
            data["previous_attributes"] = deepcopy(dict(previous))
        event = self._event(kind, data)
        self.all.append(event)
        for hook in self.hooks:
            delivery = asyncio.get_running_loop().create_task(self._deliver(hook, event))
            self._deliveries.add(delivery)
            delivery.add_done_callback(self._deliveries.discard)

    def _event(self, kind: str, data: Object) -> Object:
        return {
            "id": token("evt_"),
            "object": "event",
            "account": None,
            "api_version": API_VERSION,
            "context": None,
            "created": now(),
            "data": data,
            "livemode": False,
            "pending_webhooks": len(self.hooks),
            "request": dict(self.request),
            "type": kind,
        }

    def pause(self, paused: bool) -> None:
        """Hold deliveries back, or let all that wait go."""
        if paused:
            self._flowing.clear()
        else:
            self._flowing.set()

    async def deliver_again(self, event: Object) -> list[Object]:
        """Deliver once more, now; the status of each address (0: it did not answer)."""
        return [{"url": hook.url, "status": await _send(hook, event)} for hook in list(self.hooks)]

    async def forget(self) -> None:
        """Drop events, listeners and what is under way."""
        under_way = list(self._deliveries)
        for delivery in under_way:
            delivery.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        self.all.clear()
        self.hooks.clear()
        self._flowing.set()

    async def _deliver(self, hook: Hook, event: Object) -> None:
        for wait in _WAITS:
            await asyncio.sleep(wait)
            await self._flowing.wait()
            if 200 <= await _send(hook, event) < 300:
                return


async def _send(hook: Hook, event: Object) -> int:
    body = json.dumps(event, indent=2).encode()
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": _signature(hook.secret, body),
        "User-Agent": "Stripe/1.0 (sandbox)",
    }
    try:
        async with aiohttp.ClientSession(timeout=_PATIENCE) as session:
            sending = session.post(hook.url, data=body, headers=headers, allow_redirects=False)
            async with sending as answer:
                return answer.status
    except (aiohttp.ClientError, TimeoutError):
        return _UNREACHED


def _signature(secret: str, body: bytes) -> str:
    """The time of sending is signed with the body, so that old copies can be told."""
    at = now()
    signed = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"
