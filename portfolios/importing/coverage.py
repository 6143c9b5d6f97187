"""Whether an exchange has already told what a file tells. Pure.

A feed's coverage is an interval that was read to its end. What lies inside of it is in the books
as the exchange reported it, so a file's version of it would count it twice.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from exchanges.reports import Direction, Reward, Trade, TradeKind, Transfer, Wallet
from portfolios.ledger.legs import Adjustment, Fact

# Feeds that tell of everything that happens in an account.
_EVERYTHING = ("ledger", "transactions")


@dataclass(frozen=True, slots=True)
class Interval:
    """What was read of one feed (and symbol, where it is asked for each)."""

    feed: str
    scope: str
    since: datetime
    until: datetime


class Known:
    """What was read of an account."""

    def __init__(self, intervals: Iterable[Interval]) -> None:
        self._by_feed: dict[str, list[Interval]] = {}
        for item in intervals:
            self._by_feed.setdefault(item.feed, []).append(item)

    def has(self, fact: Fact) -> bool:
        """Whether the exchange was asked for what this fact tells, at its time."""
        if isinstance(fact, Adjustment):
            return False
        needed = [*((feed,) for feed in _EVERYTHING), *_feeds(fact)]
        return any(all(self._read(feed, fact) for feed in feeds) for feeds in needed)

    def _read(self, feed: str, fact: Fact) -> bool:
        return any(
            item.since <= fact.occurred_at < item.until and _concerns(item, fact)
            for item in self._by_feed.get(feed, ())
        )


def _concerns(item: Interval, fact: Fact) -> bool:
    """A feed that is asked for each symbol tells of that symbol alone; others have no symbol."""
    if item.feed != "trades" or not item.scope or not isinstance(fact, Trade):
        return True
    scope = re.sub(r"\W", "", item.scope.upper())
    base, quote = fact.base_code.upper(), fact.quote_code.upper()
    return scope in (base + quote, quote + base)


def _feeds(fact: Trade | Transfer | Reward) -> Sequence[tuple[str, ...]]:
    """Alternatives: groups of feeds that together tell of such a fact."""
    if isinstance(fact, Trade):
        return _OF_TRADES[TradeKind(fact.kind)](fact.side)
    if isinstance(fact, Reward):
        return (("rewards", "earn_rewards", "locked_rewards"),)
    if fact.direction == Direction.INTERNAL:
        return _moves(fact)
    plural = f"{fact.direction}s"
    return ((plural, f"fiat_{plural}"), ("transfers",))


_OF_TRADES: Mapping = {
    TradeKind.FILL: lambda side: (("trades",),),
    TradeKind.CONVERSION: lambda side: (("conversions",),),
    TradeKind.DUST: lambda side: (("dust",),),
    TradeKind.FIAT: lambda side: ((f"fiat_payments_{side}",),),
}


def _moves(fact: Transfer) -> Sequence[tuple[str, ...]]:
    if fact.counter_wallet == Wallet.EARN:
        return (("earn_subscriptions", "locked_subscriptions"),)
    if fact.wallet == Wallet.EARN:
        return (("earn_redemptions", "locked_redemptions"),)
    if fact.counter_wallet == Wallet.FUNDING:
        return (("transfers_to_funding",),)
    return (("transfers_from_funding",),) if fact.wallet == Wallet.FUNDING else ()
