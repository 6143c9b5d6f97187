"""The sandbox's own controls under /_sandbox: look inside, make things happen."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from billing.sandbox import charges, checkout, collecting, cycles, happenings
from billing.sandbox.events import Hook
from billing.sandbox.gateway import Gateway
from billing.sandbox.wire import Object, StripeError, invalid
from billing.sandbox.world import World, kept

_NO_REQUEST = {"id": None, "idempotency_key": None}
_SUBSCRIPTION = "/_sandbox/subscriptions/{id}"

Answer = Callable[[web.Request, Object], Awaitable[Any]]
Handler = Callable[[web.Request], Awaitable[web.Response]]


class Controls:
    """Handlers over one sandbox."""

    def __init__(self, world: World, gateway: Gateway, hook: Hook | None) -> None:
        self._world, self._gateway, self._hook = world, gateway, hook

    def routes(self) -> list[web.RouteDef]:
        """The paths and what answers them."""
        return [
            web.get("/_sandbox/state", self._guarded(self.state)),
            web.delete("/_sandbox", self._guarded(self.forget)),
            web.post("/_sandbox/webhooks", self._guarded(self.add_webhook)),
            web.post("/_sandbox/deliveries", self._guarded(self.set_deliveries)),
            web.get("/_sandbox/events", self._guarded(self.events)),
            web.post("/_sandbox/events/{id}/deliver", self._guarded(self.deliver, alone=False)),
            web.get("/_sandbox/meter_events", self._guarded(self.meter_events)),
            web.post("/_sandbox/faults", self._guarded(self.add_fault)),
            web.delete("/_sandbox/faults", self._guarded(self.clear_faults)),
            web.post(f"{_SUBSCRIPTION}/{{act}}", self._guarded(self.pass_time)),
            web.post(
                "/_sandbox/payment_intents/{id}/authenticate", self._guarded(self.authenticate)
            ),
            web.post("/_sandbox/charges/{id}/dispute", self._guarded(self.dispute)),
            web.post("/_sandbox/disputes/{id}", self._guarded(self.close_dispute)),
            web.post("/_sandbox/checkout/{id}/complete", self._guarded(self.complete)),
        ]

    async def state(self, request: web.Request, sent: Object) -> Any:
        """How often each endpoint was called, and all subscriptions."""
        return {
            "requests": dict(self._world.requests),
            "subscriptions": list(self._world.subscriptions.values()),
        }

    async def forget(self, request: web.Request, sent: Object) -> Any:
        """Start again with nothing but the listener of the command line."""
        await self._world.forget()
        self._gateway.faults.clear()
        self._gateway.answers.clear()
        if self._hook:
            self._world.events.register(self._hook.url, self._hook.secret)
        return {}

    async def add_webhook(self, request: web.Request, sent: Object) -> Any:
        """Tell one more address what happens."""
        self._world.events.register(str(sent.get("url")), str(sent.get("secret") or ""))
        return {"webhooks": [hook.url for hook in self._world.events.hooks]}

    async def set_deliveries(self, request: web.Request, sent: Object) -> Any:
        """Hold deliveries back, or let them go."""
        self._world.events.pause(bool(sent.get("paused")))
        return {"paused": bool(sent.get("paused"))}

    async def events(self, request: web.Request, sent: Object) -> Any:
        """Every event, oldest first."""
        return {"data": self._world.events.all}

    async def deliver(self, request: web.Request, sent: Object) -> Any:
        """Deliver an event once more; the status that came back (0: none)."""
        event = happenings.event(self._world, request.match_info["id"])
        deliveries = await self._world.events.deliver_again(event)
        return {"status": deliveries[-1]["status"] if deliveries else 0, "deliveries": deliveries}

    async def meter_events(self, request: web.Request, sent: Object) -> Any:
        """All usage that was reported, oldest first, and whether an invoice has it."""
        billed = self._world.billed
        return {
            "data": [
                {**event, "billed": identifier in billed}
                for identifier, event in self._world.usage.items()
            ]
        }

    async def add_fault(self, request: web.Request, sent: Object) -> Any:
        """Switch a fault on."""
        self._gateway.faults.add(sent)
        return {}

    async def clear_faults(self, request: web.Request, sent: Object) -> Any:
        """Switch all faults off."""
        self._gateway.faults.clear()
        return {}

    async def pass_time(self, request: web.Request, sent: Object) -> Any:
        """Let what was to happen to a subscription happen now; the subscription after it."""
        named, act = request.match_info["id"], request.match_info["act"]
        subscription = kept(self._world.subscriptions, "subscription", named)
        paid = bool(sent.get("paid", True))
        if act in ("renew", "retry", "end_trial"):
            await getattr(cycles, act)(self._world, subscription, paid=paid)
        elif act == "expire":
            await cycles.expire(self._world, subscription, status=sent.get("status", "canceled"))
        elif act == "end_period":
            await cycles.end_period(self._world, subscription)
        elif act == "warn_of_trial_end":
            cycles.warn_of_trial_end(self._world, subscription)
        else:
            raise invalid(f"There is no {act}.")
        return subscription

    async def authenticate(self, request: web.Request, sent: Object) -> Any:
        """The holder of the card answers the bank; the payment intent after it."""
        named, success = request.match_info["id"], bool(sent.get("success"))
        return await collecting.authenticate(self._world, named, success=success)

    async def dispute(self, request: web.Request, sent: Object) -> Any:
        """The holder of the card disputes a charge; the dispute."""
        status = sent.get("status", "needs_response")
        return await charges.dispute(self._world, request.match_info["id"], status)

    async def close_dispute(self, request: web.Request, sent: Object) -> Any:
        """The dispute, won or lost."""
        named, status = request.match_info["id"], str(sent.get("status"))
        return charges.close_dispute(self._world, named, status)

    async def complete(self, request: web.Request, sent: Object) -> Any:
        """The checkout session paid as its page would."""
        method = sent.get("payment_method", "pm_card_visa")
        return await checkout.complete(self._world, request.match_info["id"], method)

    def _guarded(self, answer: Answer, *, alone: bool = True) -> Handler:
        """JSON in and out, errors as Stripe's; `alone`: not while a request is answered."""

        async def handler(request: web.Request) -> web.Response:
            try:
                sent = await _sent(request)
                if not alone:
                    return web.json_response(await answer(request, sent))
                async with self._gateway.turn:
                    self._world.events.request = dict(_NO_REQUEST)
                    return web.json_response(await answer(request, sent))
            except StripeError as error:
                return web.json_response(error.body(), status=error.status)

        return handler


async def _sent(request: web.Request) -> Object:
    if not request.can_read_body:
        return {}
    try:
        sent = json.loads(await request.read())
    except json.JSONDecodeError:
        raise invalid("The body must be JSON.") from None
    if not isinstance(sent, dict):
        raise invalid("The body must be a JSON object.")
    return sent
