"""Endpoints as data: path, weight, and what a key must be allowed; and what each is handed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from exchanges.sandbox import accounts, books, keys, market
from exchanges.sandbox.exchange import Exchange
from exchanges.sandbox.kraken import entries, parameters, security

PUBLIC, PRIVATE = "/0/public/", "/0/private/"
FUNDS, CLOSED_TRADES, LEDGER = "query-funds", "query-closed-trades", "query-ledger"


@dataclass(slots=True)
class Context:
    """What an endpoint answers from; `holder` is None on public ones."""

    exchange: Exchange
    books: books.Books
    ledgers: "Ledgers"
    nonces: security.Nonces
    params: parameters.Parameters
    now: int
    coarse: int = 0
    holder: keys.Holder | None = None

    @property
    def world(self) -> market.Market:
        """Kraken's market."""
        return self.books.world

    @property
    def caller(self) -> keys.Holder:
        """Who signed the request."""
        if self.holder is None:
            raise RuntimeError("a public endpoint asked for an account")
        return self.holder

    @property
    def account(self) -> accounts.Account:
        """The caller's account."""
        found = self.books.account(self.caller.account)
        return found.coarse(self.coarse) if self.coarse else found

    def ledger(self) -> list[entries.Entry]:
        """The caller's ledger in order of time, without what was hidden."""
        number = self.caller.account
        version = self.books.version(number), self.coarse
        return self.ledgers.get(number, version, lambda: entries.of(_shown(self.account)))


def _shown(account: accounts.Account) -> list[Any]:
    hidden = {(fact.feed, fact.id) for fact in account.hidden()}
    return [fact for fact in account.all_facts() if (fact.feed, fact.id) not in hidden]


class Ledgers:
    """Ledgers by account, the latest asked for."""

    def __init__(self, kept: int = 256) -> None:
        self._kept = kept
        self._ledgers: dict[int, tuple[Any, list[entries.Entry]]] = {}

    def get(
        self, number: int, version: Any, book: Callable[[], list[entries.Entry]]
    ) -> list[entries.Entry]:
        """The ledger of this version, booked now if there is none."""
        held = self._ledgers.get(number)
        if held and held[0] == version:
            return held[1]
        if len(self._ledgers) >= self._kept:
            del self._ledgers[next(iter(self._ledgers))]
        ledger = book()
        self._ledgers[number] = version, ledger
        return ledger


Answerer = Callable[[Context], Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path. `permission` is what the key of a private one must have, if anything."""

    path: str
    answer: Answerer
    weight: int
    permission: str = ""

    @property
    def private(self) -> bool:
        """Whether it must be signed."""
        return self.path.startswith(PRIVATE)


class Registry:
    """The endpoints of a module, added by decorators."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.endpoints: dict[str, Endpoint] = {}

    def add(
        self, name: str, *, weight: int = 1, permission: str = ""
    ) -> Callable[[Answerer], Answerer]:
        """Register a function as the answer of a path."""

        def register(answer: Answerer) -> Answerer:
            path = self._prefix + name
            self.endpoints[path] = Endpoint(path, answer, weight, permission)
            return answer

        return register
