"""Endpoints as data: path, weight, pool, and who may ask; and what each is handed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from exchanges.sandbox import accounts, keys
from exchanges.sandbox.binance import parameters
from exchanges.sandbox.exchange import Exchange

API, FUTURES, COIN_FUTURES = "api", "fapi", "dapi"
SAPI_BY_ADDRESS, SAPI_BY_ACCOUNT = "sapi-ip", "sapi-uid"


@dataclass(slots=True)
class Context:
    """What an endpoint answers from. `account` and `holder` are None on public ones."""

    exchange: Exchange
    bodies: "Bodies"
    params: parameters.Parameters
    now: int
    coarse: int = 0
    holder: keys.Holder | None = None

    @property
    def account(self) -> accounts.Account:
        """The caller's account."""
        found = self.exchange.books.account(self.caller.account)
        return found.coarse(self.coarse) if self.coarse else found

    @property
    def caller(self) -> keys.Holder:
        """Who signed the request."""
        if self.holder is None:
            raise RuntimeError("a public endpoint asked for an account")
        return self.holder

    def rendered(self, name: str, render: Callable[[], Any]) -> bytes:
        """A body that changes only with the account, rendered once per change."""
        number = self.caller.account
        version = self.exchange.books.version(number)
        return self.bodies.get(number, name, version, render)


class Bodies:
    """Rendered bodies by account and name, the latest asked for."""

    def __init__(self, dumps: Callable[[Any], bytes], kept: int = 50_000) -> None:
        self._dumps = dumps
        self._kept = kept
        self._bodies: dict[tuple[int, str], tuple[int, bytes]] = {}

    def get(self, number: int, name: str, version: int, render: Callable[[], Any]) -> bytes:
        """The body of this version, rendered now if there is none."""
        held = self._bodies.get((number, name))
        if held and held[0] == version:
            return held[1]
        body = self._dumps(render())
        if len(self._bodies) >= self._kept:
            del self._bodies[next(iter(self._bodies))]
        self._bodies[number, name] = version, body
        return body


Answerer = Callable[[Context], Any]
Weight = Callable[[parameters.Parameters], int]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path and method; answers with JSON values, or with bytes that are JSON already."""

    path: str
    answer: Answerer
    pool: str
    weight: Weight
    signed: bool
    any_key: bool


class Registry:
    """The endpoints of a module, added by decorators."""

    def __init__(self) -> None:
        self.endpoints: dict[tuple[str, str], Endpoint] = {}

    def add(
        self,
        path: str,
        *,
        weight: int | Weight,
        pool: str,
        method: str = "GET",
        signed: bool = True,
        any_key: bool = False,
    ) -> Callable[[Answerer], Answerer]:
        """Register a function as the answer of a path."""
        weigh = weight if callable(weight) else _constant(weight)

        def register(answer: Answerer) -> Answerer:
            self.endpoints[method, path] = Endpoint(path, answer, pool, weigh, signed, any_key)
            return answer

        return register


def _constant(weight: int) -> Weight:
    return lambda params: weight
