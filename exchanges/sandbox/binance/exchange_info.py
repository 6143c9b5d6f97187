"""Binance's list of symbols: read from a recorded file, and written as it is served today."""

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import orjson

from exchanges.sandbox import symbols

_ORDER_TYPES = ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"]
_PERMISSIONS = ["SPOT", "MARGIN"]
_PREVENTION = ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"]


class ExchangeInfoError(Exception):
    """A list of symbols that cannot be read; the message names the file and the symbol."""


class Listing:
    """The symbols of a recorded exchangeInfo, with all that the file says about each."""

    def __init__(self, entries: Iterable[dict[str, Any]] = ()) -> None:
        self._entries = {entry["symbol"]: entry for entry in entries}
        self.symbols = [_symbol(entry) for entry in self._entries.values()]

    def entry(self, symbol: symbols.Symbol) -> dict[str, Any]:
        """The symbol as exchangeInfo shows it now: the file's words where it has any."""
        return _current(symbol) | self._entries.get(symbol.name, {})


def read(path: Path) -> Listing:
    """The listing in a file. Raises ExchangeInfoError."""
    try:
        entries = orjson.loads(path.read_bytes())["symbols"]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        raise ExchangeInfoError(f"{path} is not an answer of exchangeInfo") from None
    try:
        return Listing(entries)
    except (KeyError, TypeError, InvalidOperation) as error:
        raise ExchangeInfoError(f"{path} holds a symbol that lacks {error}") from None


def rate_limits(weight_limit: int) -> list[dict[str, Any]]:
    """The limits as exchangeInfo announces them; an unlimited sandbox announces Binance's."""
    weight = weight_limit or 6000
    return [
        _rate("REQUEST_WEIGHT", "MINUTE", 1, weight),
        _rate("ORDERS", "SECOND", 10, 100),
        _rate("ORDERS", "DAY", 1, 200_000),
        _rate("RAW_REQUESTS", "MINUTE", 5, 61_000),
    ]


def _rate(kind: str, interval: str, number: int, limit: int) -> dict[str, Any]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}


def _symbol(entry: dict[str, Any]) -> symbols.Symbol:
    filters = {found["filterType"]: found for found in entry["filters"]}
    notional = filters.get("MIN_NOTIONAL") or filters.get("NOTIONAL") or {"minNotional": "0"}
    return symbols.Symbol(
        base=entry["baseAsset"],
        quote=entry["quoteAsset"],
        tick=Decimal(filters["PRICE_FILTER"]["tickSize"]),
        step=Decimal(filters["LOT_SIZE"]["stepSize"]),
        min_notional=Decimal(notional["minNotional"]),
        trading=entry["status"] == "TRADING",
    )


def _current(symbol: symbols.Symbol) -> dict[str, Any]:
    return {
        "symbol": symbol.name,
        "status": "TRADING" if symbol.trading else "BREAK",
        "baseAsset": symbol.base,
        "baseAssetPrecision": 8,
        "quoteAsset": symbol.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": _ORDER_TYPES,
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(symbol),
        "permissions": _PERMISSIONS,
        "permissionSets": [_PERMISSIONS],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": _PREVENTION,
    }


def _filters(symbol: symbols.Symbol) -> list[dict[str, Any]]:
    tick, step = f"{symbol.tick:.8f}", f"{symbol.step:.8f}"
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": tick,
            "maxPrice": "100000000.00000000",
            "tickSize": tick,
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": step,
            "maxQty": "9000000000.00000000",
            "stepSize": step,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": f"{symbol.min_notional:.8f}",
            "applyMinToMarket": True,
            "maxNotional": "9000000.00000000",
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
    ]
