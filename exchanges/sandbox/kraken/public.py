"""Endpoints that anybody may ask: time, status, coins, pairs, prices, candles."""

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from exchanges.sandbox import market, symbols
from exchanges.sandbox.kraken import endpoint, errors, names

_MINUTE = 60_000
_DAY = 1440 * _MINUTE
_INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
_CANDLES = 720
# Statistics over a day hardly change within ten seconds, and all pairs are dear to work out.
_TICKERS_EVERY = 10_000
_TAKER_FEES = [[0, 0.26], [50_000, 0.24], [100_000, 0.22], [250_000, 0.2]]
_MAKER_FEES = [[0, 0.16], [50_000, 0.14], [100_000, 0.12], [250_000, 0.1]]


def registry() -> endpoint.Registry:
    """The public endpoints."""
    found, served = endpoint.Registry(endpoint.PUBLIC), _Public()
    found.add("Time")(served.time)
    found.add("SystemStatus")(served.status)
    found.add("Assets")(served.assets)
    found.add("AssetPairs")(served.pairs)
    found.add("Ticker")(served.tickers)
    found.add("OHLC")(served.candles)
    return found


class _Public:
    def __init__(self) -> None:
        self._tickers: tuple[int, dict[str, Any]] = (-1, {})
        self._pairs: dict[str, symbols.Symbol] = {}

    def time(self, context: endpoint.Context) -> dict[str, Any]:
        moment = datetime.fromtimestamp(context.now // 1000, UTC)
        return {
            "unixtime": context.now // 1000,
            "rfc1123": format_datetime(moment, usegmt=True),
        }

    def status(self, context: endpoint.Context) -> dict[str, Any]:
        moment = datetime.fromtimestamp(context.now // 1000, UTC)
        return {"status": "online", "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def assets(self, context: endpoint.Context) -> dict[str, Any]:
        rows: dict[str, Any] = {}
        for code in context.world.codes:
            decimals = 4 if context.world.asset(code).fiat else 10
            for asset, altname in (
                (names.asset_id(code), names.altname(code)),
                (names.flexible_id(code), names.flexible_id(code)),
            ):
                rows[asset] = _asset(altname, decimals)
        wanted = context.params.texts("asset")
        return {name: row for name, row in rows.items() if not wanted or name in wanted}

    def pairs(self, context: endpoint.Context) -> dict[str, Any]:
        return {names.pair_id(symbol): _pair(symbol) for symbol in self._chosen(context)}

    def tickers(self, context: endpoint.Context) -> dict[str, Any]:
        at = context.now // _TICKERS_EVERY * _TICKERS_EVERY
        if context.params.text("pair"):
            chosen = self._chosen(context)
            return {names.pair_id(symbol): _ticker(context.world, symbol, at) for symbol in chosen}
        if self._tickers[0] != at:
            found = context.world.symbols.values()
            rows = {names.pair_id(symbol): _ticker(context.world, symbol, at) for symbol in found}
            self._tickers = at, rows
        return self._tickers[1]

    def candles(self, context: endpoint.Context) -> dict[str, Any]:
        """The newest 720 candles, of them those after `since`; the last one still grows."""
        params, world = context.params, context.world
        minutes = params.number("interval") or 1
        if minutes not in _INTERVALS:
            raise errors.arguments("interval")
        if not params.text("pair"):
            raise errors.arguments("pair")
        symbol, length = self._chosen(context)[0], minutes * _MINUTE
        newest = context.now // length * length
        since = params.instant("since")
        starts = range(newest - (_CANDLES - 1) * length, newest + 1, length)
        rows = [
            _candle(world.bar(symbol, start, min(start + length, context.now + 1)))
            for start in starts
            if since is None or start > since
        ]
        return {names.pair_id(symbol): rows, "last": (newest - length) // 1000}

    def _chosen(self, context: endpoint.Context) -> list[symbols.Symbol]:
        """The pairs asked for, by id, alternative or web socket name; all if none is named."""
        if not self._pairs:
            self._pairs = {
                name: symbol
                for symbol in context.world.symbols.values()
                for name in names.pair_names(symbol)
            }
        wanted = context.params.texts("pair")
        if any(name not in self._pairs for name in wanted):
            raise errors.pair()
        if not wanted:
            return list(context.world.symbols.values())
        return [self._pairs[name] for name in wanted]


def _asset(altname: str, decimals: int) -> dict[str, Any]:
    return {
        "aclass": "currency",
        "altname": altname,
        "decimals": decimals,
        "display_decimals": 5,
        "status": "enabled",
    }


def _pair(symbol: symbols.Symbol) -> dict[str, Any]:
    return {
        "altname": names.pair_altname(symbol),
        "wsname": names.pair_wsname(symbol),
        "aclass_base": "currency",
        "base": names.asset_id(symbol.base),
        "aclass_quote": "currency",
        "quote": names.asset_id(symbol.quote),
        "lot": "unit",
        "cost_decimals": 8,
        "pair_decimals": -int(symbol.tick.normalize().as_tuple().exponent),
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": _TAKER_FEES,
        "fees_maker": _MAKER_FEES,
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": f"{symbol.step:f}",
        "costmin": f"{symbol.min_notional:f}",
        "tick_size": f"{symbol.tick:f}",
        "status": "online" if symbol.trading else "cancel_only",
    }


def _ticker(world: market.Market, symbol: symbols.Symbol, at: int) -> dict[str, Any]:
    """Of today and of the last 24 hours, which here are the same."""
    bar = world.bar(symbol, at - _DAY, at)
    middle, lots = names.price((bar.high + bar.low) / 2), names.price(symbol.step * 120)
    return {
        "a": [names.price(bar.close + symbol.tick), "1", lots],
        "b": [names.price(bar.close), "1", lots],
        "c": [names.price(bar.close), names.price(symbol.step)],
        "v": [names.price(bar.volume)] * 2,
        "p": [middle] * 2,
        "t": [bar.trades] * 2,
        "l": [names.price(bar.low)] * 2,
        "h": [names.price(bar.high)] * 2,
        "o": names.price(bar.open),
    }


def _candle(bar: market.Bar) -> list[Any]:
    middle = (bar.high + bar.low) / 2
    prices = (bar.open, bar.high, bar.low, bar.close, middle, bar.volume)
    return [bar.start // 1000, *(names.price(value) for value in prices), bar.trades]
