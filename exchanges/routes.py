"""Which markets of an exchange tell what a coin costs in dollars, the most direct first: pure.

The order is that of live prices (``crossing``): against the dollar, else against a stablecoin,
else against another coin or currency that is priced itself. A stablecoin is priced against the
dollar alone; where no market does that, it counts as one dollar, and the source says so.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from exchanges.crossing import BRIDGES, DOLLAR, STABLECOINS
from exchanges.reports import Listing


@dataclass(frozen=True, slots=True)
class Route:
    """A market that quotes ``code`` in ``bridge``, or ``bridge`` in ``code`` when ``inverse``."""

    market: str
    code: str
    bridge: str
    inverse: bool

    @property
    def pair(self) -> str:
        """As people write the market: base, slash, quote."""
        base, quote = (self.bridge, self.code) if self.inverse else (self.code, self.bridge)
        return f"{base}/{quote}"


class Routes:
    """The routes of one exchange, by the code to price."""

    def __init__(self, listings: Iterable[Listing]) -> None:
        self._by_code: dict[str, list[Route]] = {}
        self.codes: set[str] = set()
        for listing in listings:
            self.codes |= {listing.base_code, listing.quote_code}
            for route in _both_ways(listing):
                if _allowed(route):
                    self._by_code.setdefault(route.code, []).append(route)
        for found in self._by_code.values():
            found.sort(key=_directness)

    def of(self, code: str) -> list[Route]:
        """The markets to ask about a code, the most direct first."""
        return self._by_code.get(code, [])

    def is_pegged(self, code: str) -> bool:
        """Whether a code counts as one dollar here: a listed stablecoin without a dollar market."""
        return code in STABLECOINS and code in self.codes and not self.of(code)


def _both_ways(listing: Listing) -> Iterator[Route]:
    yield Route(listing.market, listing.base_code, listing.quote_code, inverse=False)
    yield Route(listing.market, listing.quote_code, listing.base_code, inverse=True)


def _allowed(route: Route) -> bool:
    """A bridge is crossed through bridges before it only, so that no price needs itself."""
    if route.bridge not in BRIDGES or route.code == DOLLAR:
        return False
    if route.code in STABLECOINS:
        return route.bridge == DOLLAR
    if route.code in BRIDGES:
        return BRIDGES.index(route.bridge) < BRIDGES.index(route.code)
    return True


def _directness(route: Route) -> tuple[int, str]:
    return BRIDGES.index(route.bridge), route.market
