"""One account: its facts by feed, and the balances that are the sums of their legs."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from exchanges.sandbox import facts

Balances = dict[str, dict[str, Decimal]]


@dataclass(frozen=True, slots=True)
class LockedPosition:
    """Coins locked in earn until their term ends."""

    position_id: str
    asset: str
    quantity: Decimal
    days: int
    opened_at: int


class Account:
    """What an account did and therefore holds; never changes, a new fact makes a new account."""

    def __init__(
        self,
        *,
        number: int,
        history: Iterable[facts.Fact],
        hidden: Iterable[tuple[str, str]] = (),
        home: str = "USDT",
    ) -> None:
        self.number = number
        self._home = home
        self._facts = sorted(history, key=lambda fact: fact.occurred_at)
        self._hidden = frozenset(hidden)
        self._feeds = self._by_feed()
        self._trades = self._by_symbol()
        self.balances = _sums(self._facts)
        self.locked = self._locked()
        self.flexible = self._flexible()
        self.reserved = self._reserved()

    def ledger(self) -> list[facts.Leg]:
        """Every movement in order of time, hidden facts included: what balances are made of."""
        return [leg for fact in self._facts for leg in fact.legs()]

    def feed(self, name: str) -> list[facts.Fact]:
        """The facts a feed shows, in order of time."""
        return self._feeds[name]

    def trades(self, symbol: str) -> list[facts.Trade]:
        """The fills of one symbol in order of their ids."""
        return self._trades.get(symbol, [])

    def all_facts(self) -> list[facts.Fact]:
        """Everything that happened in order of time, whether a feed shows it or not."""
        return self._facts

    def hidden(self) -> list[facts.Fact]:
        """The facts that no feed shows."""
        return [fact for fact in self._facts if (fact.feed, fact.id) in self._hidden]

    @property
    def changed_at(self) -> int:
        """When the account last changed."""
        return self._facts[-1].occurred_at if self._facts else 0

    def spot(self, code: str) -> Decimal:
        """What spot holds of an asset, reserved or not."""
        return self.balances[facts.SPOT].get(code, Decimal(0))

    def overdrawn(self) -> facts.Leg | None:
        """The first leg that takes more than is there; None in sound books."""
        running: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for leg in self.ledger():
            running[leg.wallet, leg.asset] += leg.quantity
            if running[leg.wallet, leg.asset] < 0:
                return leg
        return None

    def _by_feed(self) -> dict[str, list[facts.Fact]]:
        feeds: dict[str, list[facts.Fact]] = {feed: [] for feed in facts.FEEDS}
        for fact in self._facts:
            if (fact.feed, fact.id) not in self._hidden:
                feeds[fact.feed].append(fact)
        return feeds

    def _by_symbol(self) -> dict[str, list[facts.Trade]]:
        found: defaultdict[str, list[facts.Trade]] = defaultdict(list)
        for fact in self._feeds[facts.Trade.feed]:
            if isinstance(fact, facts.Trade):
                found[fact.symbol].append(fact)
        return {symbol: sorted(fills, key=_numeric_id) for symbol, fills in found.items()}

    def _flexible(self) -> dict[str, Decimal]:
        flexible = dict(self.balances[facts.EARN])
        for position in self.locked:
            flexible[position.asset] -= position.quantity
        return {code: quantity for code, quantity in flexible.items() if quantity}

    def _locked(self) -> list[LockedPosition]:
        positions = {}
        for fact in self._facts:
            if isinstance(fact, facts.LockedSubscription):
                positions[fact.position_id] = LockedPosition(
                    fact.position_id, fact.asset, fact.quantity, fact.days, fact.occurred_at
                )
            elif isinstance(fact, facts.LockedRedemption):
                positions.pop(fact.position_id, None)
        return list(positions.values())

    def _reserved(self) -> dict[str, Decimal]:
        """Every third account has an open order, which holds back a quarter of one asset."""
        held = self.balances[facts.SPOT]
        if self.number % 3 or self._home not in held:
            return {}
        return {self._home: (held[self._home] / 4).quantize(Decimal("0.01"))}

    def coarse(self, milliseconds: int) -> "Account":
        """The same account with everything told in steps of so many milliseconds.

        Many facts then share an instant, at the edges of pages and windows as well.
        """
        rounded = (
            replace(fact, occurred_at=fact.occurred_at // milliseconds * milliseconds)
            for fact in self._facts
        )
        return Account(number=self.number, history=rounded, hidden=self._hidden, home=self._home)


def _numeric_id(fact: facts.Fact) -> int:
    return int(fact.id)


def _sums(history: Iterable[facts.Fact]) -> Balances:
    sums: dict[str, defaultdict[str, Decimal]] = {
        wallet: defaultdict(Decimal) for wallet in facts.WALLETS
    }
    for fact in history:
        for code, wallet, quantity, _ in fact.moves():
            sums[wallet][code] += quantity
    return {
        wallet: {code: quantity for code, quantity in sorted(held.items()) if quantity}
        for wallet, held in sums.items()
    }
