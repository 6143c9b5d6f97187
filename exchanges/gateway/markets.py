"""The markets of one exchange, as little of them as symbol discovery and tickers need."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, slots=True)
class Market:
    """One market: what it is called in calls (``id``), and what is traded for what."""

    id: str
    base: str
    quote: str


class Markets:
    """All spot markets of an exchange, found by id, by base and by code."""

    def __init__(self, markets: Iterable[Market]) -> None:
        self.by_id = {market.id: market for market in markets}

    @cached_property
    def by_base(self) -> dict[str, list[Market]]:
        grouped: dict[str, list[Market]] = defaultdict(list)
        for market in self.by_id.values():
            grouped[market.base].append(market)
        return grouped

    @cached_property
    def codes(self) -> frozenset[str]:
        """Every base and quote that is listed."""
        bases = {market.base for market in self.by_id.values()}
        return frozenset(bases | {market.quote for market in self.by_id.values()})

    def between(self, bases: Collection[str], quotes: Collection[str] | None) -> list[Market]:
        """Markets with one of ``bases`` for one of ``quotes`` (any quote when None)."""
        chosen = (market for base in sorted(bases) for market in self.by_base.get(base, ()))
        return [market for market in chosen if quotes is None or market.quote in quotes]
