"""The sandbox's own controls under /sandbox/: look into the books, make things happen."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from exchanges.sandbox import accounts, books, facts, faults, keys
from exchanges.sandbox import exchange as exchanges

PREFIX = "/sandbox/"

Handler = Callable[[web.Request], Awaitable[web.Response]]


class Controls:
    """Handlers over one exchange."""

    def __init__(self, exchange: exchanges.Exchange) -> None:
        self._exchange = exchange

    def routes(self) -> list[web.RouteDef]:
        """The paths and what answers them."""
        account = "/sandbox/accounts/{number:[0-9]+}"
        return [
            web.get("/sandbox/health", _guarded(self.health)),
            web.get(account, _guarded(self.keys)),
            web.get(f"{account}/books", _guarded(self.books)),
            web.post(f"{account}/facts", _guarded(self.add_fact)),
            web.delete(f"{account}/facts/{{feed}}/{{id}}", _guarded(self.hide_fact)),
            web.get("/sandbox/violations", _guarded(self.violations)),
            web.delete("/sandbox/violations", _guarded(self.reset_violations)),
            web.get("/sandbox/stats", _guarded(self.statistics)),
            web.get("/sandbox/faults", _guarded(self.faults)),
            web.post("/sandbox/faults", _guarded(self.add_fault)),
            web.delete("/sandbox/faults", _guarded(self.remove_faults)),
            web.delete("/sandbox/faults/{number:[0-9]+}", _guarded(self.remove_faults)),
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
        number = self._number(request)
        kept = self._exchange.books
        return {
            "account": number,
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
        return _plain_books(self._exchange.books.account(self._number(request)))

    async def add_fact(self, request: web.Request) -> Any:
        """Let something happen now."""
        plain = await _sent(request)
        number = self._number(request)
        fact = self._exchange.books.add(number, plain, now=exchanges.now())
        return {"fact": facts.to_plain(fact), "legs": [_leg(leg) for leg in fact.legs()]}

    async def hide_fact(self, request: web.Request) -> Any:
        """Leave a fact out of its feed."""
        feed, fact_id = request.match_info["feed"], request.match_info["id"]
        self._exchange.books.hide(self._number(request), feed, fact_id)
        return {"hidden": {"feed": feed, "id": fact_id}}

    async def violations(self, request: web.Request) -> Any:
        """What callers did wrong, by kind."""
        counts = self._exchange.violations.counts()
        return {"total": sum(counts.values()), "by_kind": counts}

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

    async def faults(self, request: web.Request) -> Any:
        """The active faults."""
        return {"faults": self._exchange.switchboard.all()}

    async def add_fault(self, request: web.Request) -> Any:
        """Switch a fault on."""
        return faults.to_plain(self._exchange.switchboard.add(await _sent(request)))

    async def remove_faults(self, request: web.Request) -> Any:
        """Switch one fault off, or all."""
        number = request.match_info.get("number")
        removed = self._exchange.switchboard.remove(None if number is None else int(number))
        return {"removed": removed}

    def _number(self, request: web.Request) -> int:
        number = int(request.match_info["number"])
        if number >= self._exchange.books.size:
            raise books.UnknownAccountError(f"there is no account {number}")
        return number


def _guarded(answer: Callable[[web.Request], Awaitable[Any]]) -> Handler:
    """JSON out, errors as JSON, and nobody but this machine."""

    async def handler(request: web.Request) -> web.Response:
        if not _is_local(request.remote or ""):
            return _json({"error": "controls answer this machine only"}, 403)
        try:
            return _json(await answer(request), 200)
        except (books.UnknownAccountError, books.UnknownFactError) as error:
            return _json({"error": str(error)}, 404)
        except (facts.FactError, books.OverdrawnError, faults.FaultError) as error:
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


def _plain_books(account: accounts.Account) -> dict[str, Any]:
    return {
        "account": account.number,
        "balances": {wallet: _texts(held) for wallet, held in account.balances.items()},
        "flexible_earn": _texts(account.flexible),
        "locked_earn": [_position(position) for position in account.locked],
        "reserved": _texts(account.reserved),
        "facts": _shown(account),
        "hidden": [facts.to_plain(fact) for fact in account.hidden()],
        "ledger": [_leg(leg) for leg in account.ledger()],
    }


def _shown(account: accounts.Account) -> dict[str, list[dict[str, Any]]]:
    return {feed: [facts.to_plain(fact) for fact in account.feed(feed)] for feed in facts.FEEDS}


def _texts(held: dict[str, Any]) -> dict[str, str]:
    return {code: f"{quantity:f}" for code, quantity in held.items()}


def _position(position: accounts.LockedPosition) -> dict[str, Any]:
    return {
        "position_id": position.position_id,
        "asset": position.asset,
        "quantity": f"{position.quantity:f}",
        "days": position.days,
        "opened_at": position.opened_at,
    }


def _leg(leg: facts.Leg) -> dict[str, Any]:
    return {
        "asset": leg.asset,
        "wallet": leg.wallet,
        "quantity": f"{leg.quantity:f}",
        "kind": leg.kind,
        "occurred_at": leg.occurred_at,
        "fact_id": leg.fact_id,
        "feed": leg.feed,
    }
