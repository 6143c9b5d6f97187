"""Endpoints that anybody may ask: time, symbols, prices, candles."""

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

import orjson

from exchanges.sandbox import market, symbols
from exchanges.sandbox.binance import endpoint, errors, exchange_info, intervals, parameters
from exchanges.sandbox.binance.wording import amount

_DAY = 86_400_000
_OPENED = 1_502_928_000_000  # 2017-08-17, as the real one; markets have no older candle
_YEARS_LISTED = 5 * 365 * _DAY  # … where the anchor lies before that, or soon after
# Statistics over a day hardly change within ten seconds, and all symbols are dear to work out.
_STATISTICS_EVERY = 10_000
_PRICES_EVERY = 1_000


def registry(listing: exchange_info.Listing) -> endpoint.Registry:
    """The public endpoints over a listing of symbols."""
    found, served = endpoint.Registry(), _Public(listing)
    add = found.add
    for path in ("/api/v3/ping", "/fapi/v1/ping", "/dapi/v1/ping"):
        add(path, weight=1, pool=_pool(path), signed=False)(served.ping)
    for path in ("/api/v3/time", "/fapi/v1/time", "/dapi/v1/time"):
        add(path, weight=1, pool=_pool(path), signed=False)(served.time)
    for path in ("/fapi/v1/exchangeInfo", "/dapi/v1/exchangeInfo"):
        add(path, weight=1, pool=_pool(path), signed=False)(served.no_symbols)
    system = "/sapi/v1/system/status"
    add(system, weight=1, pool=endpoint.SAPI_BY_ADDRESS, signed=False)(served.system)
    api = partial(found.add, pool=endpoint.API, signed=False)
    api("/api/v3/exchangeInfo", weight=20)(served.exchange_info)
    api("/api/v3/ticker/price", weight=_weight(2, 4))(served.prices)
    api("/api/v3/ticker/bookTicker", weight=_weight(2, 4))(served.book_tickers)
    api("/api/v3/ticker/24hr", weight=_weight(2, 80))(served.day_tickers)
    api("/api/v3/klines", weight=2)(served.candles)
    return found


def _pool(path: str) -> str:
    return path.split("/")[1]


def _weight(one: int, all_symbols: int) -> endpoint.Weight:
    return lambda params: one if params.has("symbol") else all_symbols


class _Public:
    def __init__(self, listing: exchange_info.Listing) -> None:
        self._listing = listing
        self._entries: orjson.Fragment | None = None
        self._bodies: dict[str, tuple[int, bytes]] = {}

    def ping(self, context: endpoint.Context) -> dict[str, Any]:
        return {}

    def system(self, context: endpoint.Context) -> dict[str, Any]:
        return {"status": 0, "msg": "normal"}

    def time(self, context: endpoint.Context) -> dict[str, Any]:
        return {"serverTime": context.now}

    def no_symbols(self, context: endpoint.Context) -> dict[str, Any]:
        return self._info(context, [])

    def exchange_info(self, context: endpoint.Context) -> dict[str, Any]:
        if context.params.has("symbol") or context.params.has("symbols"):
            return self._info(context, [self._listing.entry(s) for s in _chosen(context)])
        if self._entries is None:
            entries = [self._listing.entry(s) for s in context.exchange.world.symbols.values()]
            self._entries = orjson.Fragment(orjson.dumps(entries))
        return self._info(context, self._entries)

    def _info(self, context: endpoint.Context, entries: Any) -> dict[str, Any]:
        return {
            "timezone": "UTC",
            "serverTime": context.now,
            "rateLimits": exchange_info.rate_limits(context.exchange.allowance.weight),
            "exchangeFilters": [],
            "symbols": entries,
        }

    def prices(self, context: endpoint.Context) -> Any:
        return self._tickers(context, "price", _PRICES_EVERY, _price)

    def book_tickers(self, context: endpoint.Context) -> Any:
        return self._tickers(context, "book", _PRICES_EVERY, _book_ticker)

    def day_tickers(self, context: endpoint.Context) -> Any:
        return self._tickers(context, "day", _STATISTICS_EVERY, day_ticker)

    def _tickers(
        self,
        context: endpoint.Context,
        name: str,
        every: int,
        ticker: Callable[[market.Market, symbols.Symbol, int], dict[str, Any]],
    ) -> Any:
        world, at = context.exchange.world, context.now // every * every
        if context.params.has("symbol"):
            return ticker(world, _chosen(context)[0], at)
        if context.params.has("symbols"):
            return [ticker(world, symbol, at) for symbol in _chosen(context)]
        held = self._bodies.get(name)
        if held is None or held[0] != at:
            rows = [ticker(world, symbol, at) for symbol in world.symbols.values()]
            held = self._bodies[name] = at, orjson.dumps(rows)
        return held[1]

    def candles(self, context: endpoint.Context) -> list[list[Any]]:
        params, world = context.params, context.exchange.world
        symbol = _listed(world, params.needed("symbol"))
        interval = params.needed("interval")
        if interval not in intervals.ALL:
            raise errors.interval()
        limit = min(params.number("limit") or 500, 1000)
        start, end = _candle_window(params, interval, limit, context)
        end = world.traded_until(symbol, end)
        spans = islice(intervals.spans(interval, start, end), limit)
        return [_candle(world.bar(symbol, a, min(b, context.now)), b) for a, b in spans]


def _chosen(context: endpoint.Context) -> list[symbols.Symbol]:
    params, world = context.params, context.exchange.world
    if params.has("symbol") and params.has("symbols"):
        raise errors.combination()
    names = [params.needed("symbol")] if params.has("symbol") else params.texts("symbols")
    return [_listed(world, name) for name in names]


def _listed(world: market.Market, name: str) -> symbols.Symbol:
    if name not in world.symbols:
        raise errors.symbol()
    return world.symbols[name]


def _price(world: market.Market, symbol: symbols.Symbol, at: int) -> dict[str, Any]:
    return {"symbol": symbol.name, "price": amount(world.price(symbol, at))}


def _book_ticker(world: market.Market, symbol: symbols.Symbol, at: int) -> dict[str, Any]:
    bid = world.price(symbol, at)
    return {
        "symbol": symbol.name,
        "bidPrice": amount(bid),
        "bidQty": amount(symbol.step * 120),
        "askPrice": amount(bid + symbol.tick),
        "askQty": amount(symbol.step * 95),
    }


def day_ticker(world: market.Market, symbol: symbols.Symbol, at: int) -> dict[str, Any]:
    """Statistics of a symbol over the 24 hours before `at`."""
    bar = world.bar(symbol, at - _DAY, at)
    change = bar.close - bar.open
    return {
        "symbol": symbol.name,
        "priceChange": amount(change),
        "priceChangePercent": f"{change * 100 / bar.open:.3f}",
        "weightedAvgPrice": amount((bar.high + bar.low) / 2),
        "prevClosePrice": amount(bar.open),
        "lastPrice": amount(bar.close),
        "lastQty": amount(symbol.step * 10),
        "bidPrice": amount(bar.close),
        "bidQty": amount(symbol.step * 120),
        "askPrice": amount(bar.close + symbol.tick),
        "askQty": amount(symbol.step * 95),
        "openPrice": amount(bar.open),
        "highPrice": amount(bar.high),
        "lowPrice": amount(bar.low),
        "volume": amount(bar.volume),
        "quoteVolume": amount(bar.quote_volume),
        "openTime": at - _DAY,
        "closeTime": at - 1,
        "firstId": at - _DAY,
        "lastId": at - _DAY + bar.trades,
        "count": bar.trades,
    }


def _candle_window(
    params: parameters.Parameters, interval: str, limit: int, context: endpoint.Context
) -> tuple[int, int]:
    """From the start on if one is sent, else the latest candles; none before the market was."""
    end = min(params.number("endTime") or context.now, context.now - 1)
    start = params.number("startTime")
    if start is None:
        start = intervals.back(interval, end, limit)
    return max(start, min(_OPENED, context.exchange.anchor - _YEARS_LISTED)), end


def _candle(bar: market.Bar, closes: int) -> list[Any]:
    half_volume, half_quote = bar.volume / 2, bar.quote_volume / 2
    return [
        bar.start,
        amount(bar.open),
        amount(bar.high),
        amount(bar.low),
        amount(bar.close),
        amount(bar.volume),
        closes - 1,
        amount(bar.quote_volume),
        bar.trades,
        amount(half_volume),
        amount(half_quote),
        "0",
    ]
