"""The exchange's own books: accounts by number and by key, and what control calls add to them."""

from collections import OrderedDict
from typing import Any

from exchanges.sandbox import accounts, additions, facts, history, keys, market, state
from exchanges.sandbox.history.story import Plan


class UnknownAccountError(LookupError):
    """No account has this number."""


class UnknownFactError(LookupError):
    """No feed of the account shows this fact."""


class OverdrawnError(ValueError):
    """A fact would take more from a wallet than is there; the message says which asset."""


class Books:
    """All accounts. Histories are drawn when asked for; only the latest asked are kept."""

    def __init__(
        self,
        *,
        world: market.Market,
        remembered: state.State,
        plan: Plan,
        size: int,
        kept: int = 256,
    ) -> None:
        self.world = world
        self.size = size
        self._state = remembered
        self._plan = plan
        self._kept = kept
        self._ring = keys.ring(world.seed, size)
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
        return keys.api_key(self.world.seed, number, role)

    def api_secret(self, number: int, role: str) -> str:
        """The secret half of an account's key for a role."""
        return keys.api_secret(self.world.seed, number, role)

    def ledger(self, number: int) -> list[facts.Leg]:
        """Every signed movement of an account in order of time."""
        return self.account(number).ledger()

    def add(self, number: int, plain: dict[str, Any], *, now: int) -> facts.Fact:
        """Let something happen; what `plain` leaves out is filled in.

        Raises UnknownAccountError, FactError, OverdrawnError.
        """
        before = self.account(number)
        fact = additions.completed(plain, account=before, world=self.world, now=now)
        hidden = self._state.hidden.get(number, [])
        after = accounts.Account(number=number, history=[*before.all_facts(), fact], hidden=hidden)
        if leg := after.overdrawn():
            raise OverdrawnError(f"not enough {leg.asset} in {leg.wallet}")
        self._state.added.setdefault(number, []).append(facts.to_plain(fact))
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
        hidden = self._state.hidden.setdefault(number, [])
        hidden.append((feed, fact_id))
        after = accounts.Account(number=number, history=before.all_facts(), hidden=hidden)
        self._changed(number, after)

    def _drawn(self, number: int) -> accounts.Account:
        if not 0 <= number < self.size:
            raise UnknownAccountError(f"accounts are numbered 0 to {self.size - 1}")
        added = [facts.from_plain(plain) for plain in self._state.added.get(number, [])]
        drawn = history.draw(world=self.world, account=number, plan=self._plan)
        hidden = self._state.hidden.get(number, [])
        return accounts.Account(number=number, history=[*drawn, *added], hidden=hidden)

    def _keep(self, number: int, account: accounts.Account) -> None:
        self._accounts[number] = account
        if len(self._accounts) > self._kept:
            self._accounts.popitem(last=False)

    def _changed(self, number: int, account: accounts.Account) -> None:
        self._keep(number, account)
        self._versions[number] = self.version(number) + 1
        self._state.save()
