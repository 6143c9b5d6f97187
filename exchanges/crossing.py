"""Prices in US dollars from whatever markets there are: pure, no Django.

A coin is priced by the most direct market: against the dollar, else against a stablecoin, else
against another coin or currency that is priced itself. Where no market quotes a stablecoin in
dollars, it counts as one dollar, and the source says so.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from exchanges.reports import Ticker

DOLLAR = "USD"
STABLECOINS = ("USDT", "USDC", "FDUSD", "TUSD", "DAI", "BUSD")
# In which order a quote is trusted; anything else is not crossed through.
BRIDGES = (DOLLAR, *STABLECOINS, "BTC", "ETH", "BNB", "EUR")


@dataclass(frozen=True, slots=True)
class UsdPrice:
    """US dollars for one unit; 24 hours ago where every market on the way knows it."""

    usd: Decimal
    usd_24h_ago: Decimal | None
    route: str
    as_of: datetime


@dataclass(frozen=True, slots=True)
class _Edge:
    """One market seen from the code to price: units of ``quote`` for one of it."""

    quote: str
    rate: Decimal
    rate_24h_ago: Decimal | None
    as_of: datetime
    market: str


def usd_prices(tickers: Iterable[Ticker], *, now: datetime) -> dict[str, UsdPrice]:
    """US dollar prices by code for everything that can be reached; the rest is left out.

    ``now`` dates the dollar itself and pegged stablecoins.
    """
    edges: dict[str, list[_Edge]] = {}
    for code, edge in _edges(tickers):
        edges.setdefault(code, []).append(edge)
    known = {DOLLAR: UsdPrice(Decimal(1), Decimal(1), DOLLAR, now)}
    _price_stablecoins(known, edges, now)
    _price_bridges(known, edges)
    for code in edges:
        if code not in known and (price := _best(edges[code], known)):
            known[code] = price
    return known


def _edges(tickers: Iterable[Ticker]) -> Iterator[tuple[str, _Edge]]:
    """Each market both ways: BTC/JPY prices BTC in yen and the yen in BTC."""
    for ticker in tickers:
        if ticker.last <= 0:
            continue
        before = ticker.open_24h if ticker.open_24h and ticker.open_24h > 0 else None
        market = f"{ticker.base_code}/{ticker.quote_code}"
        yield ticker.base_code, _Edge(ticker.quote_code, ticker.last, before, ticker.as_of, market)
        yield (
            ticker.quote_code,
            _Edge(
                ticker.base_code,
                1 / ticker.last,
                1 / before if before else None,
                ticker.as_of,
                market,
            ),
        )


def _price_stablecoins(
    known: dict[str, UsdPrice], edges: dict[str, list[_Edge]], now: datetime
) -> None:
    for coin in STABLECOINS:
        direct = [edge for edge in edges.get(coin, ()) if edge.quote == DOLLAR]
        if direct:
            known[coin] = _through(min(direct, key=lambda edge: edge.market), known)
    for coin in STABLECOINS:
        if coin in edges and coin not in known:
            known[coin] = UsdPrice(Decimal(1), Decimal(1), f"{coin} pegged to USD", now)


def _price_bridges(known: dict[str, UsdPrice], edges: dict[str, list[_Edge]]) -> None:
    """In their order, and again while one found its price through a later one: what comes out
    does not depend on the order of the tickers."""
    before = -1
    while len(known) > before:
        before = len(known)
        for bridge in BRIDGES:
            if bridge not in known and (price := _best(edges.get(bridge, ()), known)):
                known[bridge] = price


def _best(edges: Iterable[_Edge], known: dict[str, UsdPrice]) -> UsdPrice | None:
    usable = [edge for edge in edges if edge.quote in known and edge.quote in BRIDGES]
    if not usable:
        return None
    return _through(min(usable, key=lambda edge: (BRIDGES.index(edge.quote), edge.market)), known)


def _through(edge: _Edge, known: dict[str, UsdPrice]) -> UsdPrice:
    bridge = known[edge.quote]
    before = None
    if edge.rate_24h_ago is not None and bridge.usd_24h_ago is not None:
        before = edge.rate_24h_ago * bridge.usd_24h_ago
    route = edge.market if bridge.route == DOLLAR else f"{edge.market}, {bridge.route}"
    return UsdPrice(edge.rate * bridge.usd, before, route, min(edge.as_of, bridge.as_of))
