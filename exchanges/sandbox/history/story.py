"""An account while its history is being told: what it holds, and how chance is drawn."""

import random
from collections import defaultdict
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from functools import partial

from exchanges.sandbox import facts, houses, identifiers, market, prices, symbols

SECOND = 1_000
DAY = 86_400 * SECOND
# Events start two seconds apart, and none lasts longer than one: sorting the facts by time
# then never changes the order in which balances were spent.
SLOT = 2 * SECOND

EIGHT_PLACES = Decimal("0.00000001")
CENT = Decimal("0.01")
_CROSS_CHANCE = 0.35

floor = partial(Decimal.quantize, exp=EIGHT_PLACES, rounding=ROUND_DOWN)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much history an account has."""

    assets: int = 12
    trades: int = 120
    days: int = 730


class Story:
    """The running balances, the facts so far, and everything random about an account."""

    def __init__(
        self,
        *,
        world: market.Market,
        account: int,
        plan: Plan,
        house: houses.House = houses.BINANCE,
    ) -> None:
        self.world = world
        self.house = house
        self.plan = plan
        self.random = random.Random(_chance_of(house, world.seed, account))
        self.ids = identifiers.Series(account)
        self.facts: list[facts.Fact] = []
        self.start = (world.anchor - plan.days * DAY) // SLOT * SLOT
        self.codes = self._chosen_codes()
        self.symbols = self._chosen_symbols()
        self._held: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self._locked: defaultdict[str, Decimal] = defaultdict(Decimal)

    def add(self, fact: facts.Fact) -> None:
        """Let it have happened."""
        for asset, wallet, quantity, _ in fact.moves():
            self._held[wallet, asset] += quantity
        if isinstance(fact, facts.LockedSubscription):
            self._locked[fact.asset] += fact.quantity
        elif isinstance(fact, facts.LockedRedemption):
            self._locked[fact.asset] -= fact.quantity
        self.facts.append(fact)

    def spot(self, code: str) -> Decimal:
        """What is in the spot wallet."""
        return self._held[facts.SPOT, code]

    def funding(self, code: str) -> Decimal:
        """What is in the funding wallet."""
        return self._held[facts.FUNDING, code]

    def flexible(self, code: str) -> Decimal:
        """What is in flexible earn: the earn wallet less what is locked there."""
        return self._held[facts.EARN, code] - self._locked[code]

    def holding(self, instant: int, *, usd: int) -> str | None:
        """One of the assets of which spot holds at least so much."""
        for code in self.random.sample(self.codes, len(self.codes)):
            held = self.spot(code)
            if held and held * self.usd(code, instant) >= usd:
                return code
        return None

    def usd(self, code: str, instant: int) -> Decimal:
        """An asset's price in USD."""
        return Decimal(self.world.usd(code, instant)).scaleb(-prices.SCALE_DIGITS)

    def worth(self, usd: int, code: str, instant: int) -> Decimal:
        """So much of an asset as costs about `usd`, with all its decimals."""
        value = Decimal(usd * self.between(600, 1500)) / 1000
        return floor(value / self.usd(code, instant))

    def money(self, least: int, most: int) -> Decimal:
        """An amount in whole cents."""
        return Decimal(self.between(least * 100, most * 100)) * CENT

    def share(self, quantity: Decimal, least: int, most: int) -> Decimal:
        """Between `least` and `most` percent of a quantity."""
        return floor(quantity * self.between(least * 1000, most * 1000) / 100_000)

    def chance(self, percent: int) -> bool:
        """Whether something happens that does so in so many cases of a hundred."""
        return self.random.random() * 100 < percent

    def between(self, least: int, most: int) -> int:
        """A whole number from `least` on, below `most`."""
        # An order draws a dozen of these, and `randrange` costs five times as much.
        return least + int(self.random.random() * (most - least))

    def token(self) -> str:
        """32 hexadecimal digits."""
        return f"{self.random.getrandbits(128):032x}"

    def _chosen_codes(self) -> list[str]:
        home, core = self.house.home, self.house.core
        quoted = {s.base for s in self.world.symbols.values() if s.quote == home and s.trading}
        coins = sorted(code for code in quoted if self._is_coin(code) and code not in core)
        wanted = max(self.plan.assets - len(core), 0)
        return [*core[: self.plan.assets], *self.random.sample(coins, min(wanted, len(coins)))]

    def _is_coin(self, code: str) -> bool:
        asset = self.world.asset(code)
        return not asset.fiat and asset.swing == 100

    def _chosen_symbols(self) -> list[symbols.Symbol]:
        found = []
        for code in self.codes:
            quotes = self.house.crosses
            crosses = [quote for quote in quotes if self.random.random() < _CROSS_CHANCE]
            found += [self.listed(code, quote) for quote in (self.house.home, *crosses)]
        return [symbol for symbol in found if symbol]

    def listed(self, base: str, quote: str) -> symbols.Symbol | None:
        """The pair, if it trades."""
        symbol = self.world.symbols.get(base + quote)
        return symbol if symbol and symbol.trading else None


def _chance_of(house: houses.House, seed: int, account: int) -> str:
    """What an account's chance is drawn from. Binance's came first, and its histories stay."""
    return f"{seed}:{account}" if house is houses.BINANCE else f"{house.name}:{seed}:{account}"
