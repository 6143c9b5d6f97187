"""The exchange's own books: accounts by number and by key, and what control calls add to them."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from exchanges.sandbox import accounts, additions, facts, history, houses, keys, market, state
from exchanges.sandbox.history.story import Plan


class UnknownAccountError(LookupError):
    """No account has this number."""


class UnknownFactError(LookupError):
    """No feed of the account shows this fact."""


class OverdrawnError(ValueError):
    """A fact would take more from a wallet than is there; the message says which asset."""


class Books:
    """All accounts of a house. Histories are drawn when asked for; only the latest are kept.

    Accounts of one number belong to one person: some of what was drawn to be withdrawn
    `elsewhere` arrives here.
    """

    def __init__(
        self,
        *,
        world: market.Market,
        remembered: state.State,
        plan: Plan,
        size: int,
        house: houses.House = houses.BINANCE,
        elsewhere: "Books | None" = None,
        kept: int = 256,
    ) -> None:
        self.world = world
        self.size = size
        self.house = house
        self._state = remembered
        self._changes = remembered.of(house.name)
        self._plan = plan
        self._elsewhere = elsewhere
        self._kept = kept
        self._ring = keys.ring(world.seed, size, house.name)
        self._accounts: OrderedDict[int, accounts.Account] = OrderedDict()
        self._versions: dict[int, int] = {}

    def account(self, number: int) -> accounts.Account:
        """The account of a number. Raises UnknownAccountError."""
        if number not in self._accounts:
            self._keep(number, self._drawn(number))
        self._accounts.move_to_end(number)
        return self._accounts[number]

    def version(self, number: int) -> int:
        """Grows whenever an account changes: what was rendered for an older one is stale."""
        return self._versions.get(number, 0)

    def holder(self, api_key: str) -> keys.Holder | None:
        """Whose key it is, if anybody's."""
        return self._ring.get(api_key)

    def api_key(self, number: int, role: str) -> str:
        """The public half of an account's key for a role."""
        return keys.api_key(self.world.seed, number, role, self.house.name)

    def api_secret(self, number: int, role: str) -> str:
        """The secret half of an account's key for a role."""
        return keys.api_secret(self.world.seed, number, role, self.house.name)

    def ledger(self, number: int) -> list[facts.Leg]:
        """Every signed movement of an account in order of time."""
        return self.account(number).ledger()

    def add(self, number: int, plain: dict[str, Any], *, now: int) -> facts.Fact:
        """Let something happen; what `plain` leaves out is filled in.

        Raises UnknownAccountError, FactError, OverdrawnError.
        """
        before = self.account(number)
        fact = additions.completed(plain, account=before, world=self.world, now=now)
        if fact.feed not in self.house.feeds:
            raise facts.FactError(f"{self.house.name} has no {fact.feed}")
        after = self._account(number, [*before.all_facts(), fact])
        if leg := after.overdrawn():
            raise OverdrawnError(f"not enough {leg.asset} in {leg.wallet}")
        self._changes.added.setdefault(number, []).append(facts.to_plain(fact))
        self._changed(number, after)
        return fact

    def hide(self, number: int, feed: str, fact_id: str) -> None:
        """Leave a fact out of its feed while its movements stay in the balances.

        Raises UnknownAccountError, UnknownFactError.
        """
        before = self.account(number)
        shown = before.feed(feed) if feed in facts.FEEDS else []
        if all(fact.id != fact_id for fact in shown):
            raise UnknownFactError(f"{feed} shows no fact {fact_id}")
        self._changes.hidden.setdefault(number, []).append((feed, fact_id))
        after = self._account(number, before.all_facts())
        self._changed(number, after)

    def _drawn(self, number: int) -> accounts.Account:
        if not 0 <= number < self.size:
            raise UnknownAccountError(f"accounts are numbered 0 to {self.size - 1}")
        added = [facts.from_plain(plain) for plain in self._changes.added.get(number, [])]
        return self._account(number, [*self._history(number), *added])

    def _history(self, number: int) -> list[facts.Fact]:
        sent = self._elsewhere._sent(number) if self._elsewhere else []
        return history.draw(
            world=self.world, account=number, plan=self._plan, house=self.house, sent=sent
        )

    def _sent(self, number: int) -> list[facts.Withdrawal]:
        """What was drawn to be withdrawn; what was made to happen since does not count."""
        return [fact for fact in self._history(number) if isinstance(fact, facts.Withdrawal)]

    def _account(self, number: int, told: Iterable[facts.Fact]) -> accounts.Account:
        hidden = self._changes.hidden.get(number, [])
        return accounts.Account(number=number, history=told, hidden=hidden, home=self.house.home)

    def _keep(self, number: int, account: accounts.Account) -> None:
        self._accounts[number] = account
        if len(self._accounts) > self._kept:
            self._accounts.popitem(last=False)

    def _changed(self, number: int, account: accounts.Account) -> None:
        self._keep(number, account)
        self._versions[number] = self.version(number) + 1
        self._state.save()
