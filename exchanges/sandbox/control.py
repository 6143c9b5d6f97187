"""The sandbox's own controls under /sandbox/: look into the books, make things happen."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from exchanges.sandbox import books, facts, houses, keys, limits, plain_books, usage
from exchanges.sandbox import exchange as exchanges
from exchanges.sandbox.books import Books
from exchanges.sandbox.faults import fault as faults

PREFIX = "/sandbox/"

_HOUSES = "|".join(houses.ALL)
_UNUSABLE = (facts.FactError, faults.FaultError, limits.LimitsError)

Handler = Callable[[web.Request], Awaitable[web.Response]]


class Controls:
    """Handlers over one exchange."""

    def __init__(self, exchange: exchanges.Exchange) -> None:
        self._exchange = exchange

    def routes(self) -> list[web.RouteDef]:
        """The paths and what answers them."""
        return [
            *self._account_routes("/sandbox/accounts/{number:[0-9]+}"),
            *self._account_routes(f"/sandbox/{{house:{_HOUSES}}}/accounts/{{number:[0-9]+}}"),
            web.get("/sandbox/health", _guarded(self.health)),
            web.get("/sandbox/limits", _guarded(self.limits)),
            web.post("/sandbox/limits", _guarded(self.set_limits)),
            web.get("/sandbox/violations", _guarded(self.violations)),
            web.delete("/sandbox/violations", _guarded(self.reset_violations)),
            web.get("/sandbox/stats", _guarded(self.statistics)),
            web.get("/sandbox/faults", _guarded(self.faults)),
            web.post("/sandbox/faults", _guarded(self.add_fault)),
            web.delete("/sandbox/faults", _guarded(self.remove_faults)),
            web.delete("/sandbox/faults/{number:[0-9]+}", _guarded(self.remove_faults)),
        ]

    def _account_routes(self, account: str) -> list[web.RouteDef]:
        return [
            web.get(account, _guarded(self.keys)),
            web.get(f"{account}/books", _guarded(self.books)),
            web.post(f"{account}/facts", _guarded(self.add_fact)),
            web.delete(f"{account}/facts/{{feed}}/{{id}}", _guarded(self.hide_fact)),
        ]

    async def health(self, request: web.Request) -> Any:
        """That it runs, and as what."""
        settings = self._exchange.settings
        return {
            "status": "ok",
            "seed": settings.seed,
            "accounts": settings.accounts,
            "anchor": self._exchange.anchor,
            "symbols": len(self._exchange.world.symbols),
            "now": exchanges.now(),
        }

    async def keys(self, request: web.Request) -> Any:
        """The account's keys and secrets by role."""
        kept, number = self._kept(request)
        return {
            "account": number,
            "exchange": kept.house.name,
            "keys": {
                role: {
                    "api_key": kept.api_key(number, role),
                    "api_secret": kept.api_secret(number, role),
                }
                for role in keys.ROLES
            },
        }

    async def books(self, request: web.Request) -> Any:
        """Balances by wallet, facts by feed, and every leg."""
        kept, number = self._kept(request)
        return plain_books.of(kept.account(number))

    async def add_fact(self, request: web.Request) -> Any:
        """Let something happen now."""
        plain = await _sent(request)
        kept, number = self._kept(request)
        fact = kept.add(number, plain, now=exchanges.now())
        return {"fact": facts.to_plain(fact), "legs": [plain_books.leg(leg) for leg in fact.legs()]}

    async def hide_fact(self, request: web.Request) -> Any:
        """Leave a fact out of its feed."""
        feed, fact_id = request.match_info["feed"], request.match_info["id"]
        kept, number = self._kept(request)
        kept.hide(number, feed, fact_id)
        return {"hidden": {"feed": feed, "id": fact_id}}

    async def violations(self, request: web.Request) -> Any:
        """What callers did wrong, by kind."""
        counts = self._exchange.violations.counts()
        by_address = self._exchange.violations.by_address()
        return {"total": sum(counts.values()), "by_kind": counts, "by_address": by_address}

    async def reset_violations(self, request: web.Request) -> Any:
        """Forget what callers did wrong."""
        self._exchange.violations.reset()
        return await self.violations(request)

    async def statistics(self, request: web.Request) -> Any:
        """Requests and weight by path."""
        counted = self._exchange.statistics
        return {
            "requests": dict(counted.requests),
            "weight": dict(counted.weight),
            "total_requests": counted.requests.total(),
            "total_weight": counted.weight.total(),
        }

    async def limits(self, request: web.Request) -> Any:
        """What may be used per minute, and what was used in the last `minutes` of them."""
        minutes = request.query.get("minutes", str(usage.KEPT_MINUTES))
        if not (minutes.isdigit() and 1 <= int(minutes) <= usage.KEPT_MINUTES):
            raise limits.LimitsError(f"minutes must be 1 to {usage.KEPT_MINUTES}")
        allowance, now = self._exchange.allowance, exchanges.now()
        return {
            "weight": allowance.weight,
            "addresses": allowance.by_address,
            "tier": allowance.tier,
            "minutes": int(minutes),
            "used": self._exchange.usage.told(minutes=int(minutes), now=now),
            "violations": self._exchange.violations.by_address(),
        }

    async def set_limits(self, request: web.Request) -> Any:
        """Allow all addresses, or single ones, another weight per minute."""
        self._exchange.allowance.set(await _sent(request))
        return await self.limits(request)

    async def faults(self, request: web.Request) -> Any:
        """The active faults."""
        return {"faults": self._exchange.switchboard.all(now=exchanges.now())}

    async def add_fault(self, request: web.Request) -> Any:
        """Switch a fault on."""
        sent = await _sent(request)
        return self._exchange.switchboard.add(sent, now=exchanges.now()).plain()

    async def remove_faults(self, request: web.Request) -> Any:
        """Switch one fault off, or all."""
        number = request.match_info.get("number")
        removed = self._exchange.switchboard.remove(None if number is None else int(number))
        return {"removed": removed}

    def _kept(self, request: web.Request) -> tuple[Books, int]:
        """The books of the house that the path names (Binance's if none), and the account."""
        kept = self._exchange.houses[request.match_info.get("house", houses.BINANCE.name)]
        number = int(request.match_info["number"])
        if number >= kept.size:
            raise books.UnknownAccountError(f"there is no account {number}")
        return kept, number


def _guarded(answer: Callable[[web.Request], Awaitable[Any]]) -> Handler:
    """JSON out, errors as JSON, and nobody but this machine."""

    async def handler(request: web.Request) -> web.Response:
        if not _is_local(request.remote or ""):
            return _json({"error": "controls answer this machine only"}, 403)
        try:
            return _json(await answer(request), 200)
        except (books.UnknownAccountError, books.UnknownFactError) as error:
            return _json({"error": str(error)}, 404)
        except (*_UNUSABLE, books.OverdrawnError) as error:
            return _json({"error": str(error)}, 400)

    return handler


def _is_local(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def _json(content: Any, status: int) -> web.Response:
    return web.Response(
        body=orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS),
        status=status,
        content_type="application/json",
    )


async def _sent(request: web.Request) -> dict[str, Any]:
    try:
        sent = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise facts.FactError("the body must be JSON") from None
    if not isinstance(sent, dict):
        raise facts.FactError("the body must be a JSON object")
    return sent
