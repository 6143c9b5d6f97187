"""From a request of Stripe's client to its answer: key, faults, parameters, idempotency."""

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from billing.sandbox import endpoints, expanding, faults, forms, idempotency, lookup, parameters
from billing.sandbox.inner import InnerError
from billing.sandbox.wire import API_VERSION, Object, StripeError, invalid, token
from billing.sandbox.world import Call, World

_SECRET_KEY = re.compile(r"(sk|rk)_test_[A-Za-z0-9_]{24,}")
_PUBLIC_KEY = re.compile(r"pk_test_[A-Za-z0-9_]{24,}")
_FORM = "application/x-www-form-urlencoded"
_A_DAY = 86400.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Told:
    """An answer before it is one."""

    status: int
    body: Object
    is_replayed: bool = False


class Gateway:
    """Puts requests before what answers them, one at a time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.faults = faults.Faults()
        self.answers = idempotency.Answers()
        # One at a time: an answer is made of several steps, and the same key runs once.
        self.turn = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """The endpoints, and that there are no others."""
        known = [web.route(one.method, one.path, self._handler(one)) for one in endpoints.ALL]
        return [*known, web.route("*", "/v1/{path:.*}", self._unknown)]

    def _handler(self, route: endpoints.Route) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            self._world.requests[f"{route.method} {route.path}"] += 1
            fault = self.faults.taken(request.method, request.path)
            if fault and fault.kind == "hang":
                await asyncio.sleep(_A_DAY)
            if fault and fault.kind == "drop":
                return _dropped(request)
            if fault and fault.kind == "status":
                refused = faults.refusal(fault.status)
                return _response(Told(refused.status, refused.body()))
            told = await self._told(route, request)
            return _dropped(request) if fault else _response(told)

        return handle

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        message = f"Unrecognized request URL ({request.method}: {request.path})."
        error = StripeError(404, "invalid_request_error", message)
        return _response(Told(error.status, error.body()))

    async def _told(self, route: endpoints.Route, request: web.Request) -> Told:
        try:
            sent = await _sent(request)
            is_public = _is_public(request, sent)
            if is_public and not route.is_public:
                raise _secret_key_required()
            async with self.turn:
                return await self._once(route, request, sent, is_public)
        except StripeError as error:
            return Told(error.status, error.body())

    async def _once(
        self, route: endpoints.Route, request: web.Request, sent: Object, is_public: bool
    ) -> Told:
        """Answer, or repeat what was answered to the same key."""
        key = request.headers.get("Idempotency-Key") if request.method != "GET" else None
        if before := self.answers.before(key, request.path, sent):
            return Told(before.status, before.body, is_replayed=True)
        self._world.events.request = {"id": token("req_", 14), "idempotency_key": key}
        try:
            body, status = await self._answer(route, request, sent, is_public), 200
        except StripeError as error:
            body, status = error.body(), error.status
        except InnerError as error:
            if error.status >= 500:
                raise
            # What localstripe finds wrong with parameters is wrong with ours.
            refused = invalid(error.error.get("message", str(error)))
            body, status = refused.body(), refused.status
        self.answers.keep(key, request.path, sent, status, body)
        return Told(status, body)

    async def _answer(
        self, route: endpoints.Route, request: web.Request, sent: Object, is_public: bool
    ) -> Object:
        version = sent.pop("stripe_version", None) or request.headers.get("Stripe-Version", "")
        beside = {}
        if route.is_public:
            beside = {name: sent.pop(name) for name in endpoints.PUBLIC_FIELDS if name in sent}
        asked = parameters.checked(sent, route.definition)
        if lacking := endpoints.LACKING.get(route.definition, set()) & asked.keys():
            raise invalid(f"This sandbox has no {min(lacking)}.", param=min(lacking))
        asked |= {name: beside[name] for name in ("client_secret",) if name in beside}
        call = Call(asked, dict(request.match_info), version, is_public)
        answer = await route.answer(self._world, call)

        async def find(named: str) -> Object | None:
            return await lookup.found(self._world, named)

        shown = await expanding.expanded(answer, asked.get("expand", []), find)
        # What is kept for a repeated key must not change with the object.
        return dict(json.loads(json.dumps(shown)))


async def _sent(request: web.Request) -> Object:
    fields = list(request.query.items())
    if request.content_type == _FORM:
        fields += [(name, str(value)) for name, value in (await request.post()).items()]
    return forms.nested(fields)


def _is_public(request: web.Request, sent: Object) -> bool:
    """Whether the key is a publishable one. Raises StripeError if it is no key at all."""
    key = _key(request) or sent.get("key", "")
    if _SECRET_KEY.fullmatch(key):
        return False
    if _PUBLIC_KEY.fullmatch(key):
        return True
    shown = f": {key[:8]}{'*' * 8}" if key else ""
    raise StripeError(401, "invalid_request_error", f"Invalid API Key provided{shown}")


def _key(request: web.Request) -> str:
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Bearer":
        return credentials
    if scheme != "Basic":
        return ""
    try:
        return base64.b64decode(credentials).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _secret_key_required() -> StripeError:
    message = "This API call cannot be made with a publishable API key."
    return StripeError(403, "invalid_request_error", message, code="secret_key_required")


def _dropped(request: web.Request) -> web.Response:
    if request.transport:
        request.transport.abort()
    return web.Response(status=500)


def _response(told: Told) -> web.Response:
    headers = {"Request-Id": token("req_", 14), "Stripe-Version": API_VERSION}
    if told.is_replayed:
        headers["Idempotent-Replayed"] = "true"
    return web.json_response(told.body, status=told.status, headers=headers, dumps=_dumps)


def _dumps(body: Any) -> str:
    return json.dumps(body, indent=2)
