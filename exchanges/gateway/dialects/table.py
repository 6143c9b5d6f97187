"""Which dialect an exchange speaks: its own module, else the generic one."""

from functools import cache
from importlib import import_module

from exchanges.gateway.dialects import generic
from exchanges.gateway.dialects.base import Dialect

OWN = (
    "binance", "bitfinex", "bitget", "bitstamp", "bitvavo", "bybit", "coinbase", "cryptocom",
    "gate", "gemini", "htx", "kraken", "kucoin", "mexc", "okx",
)  # fmt: skip


@cache
def dialect(exchange: str) -> Dialect:
    """The dialect of an exchange. ccxt must know the exchange."""
    if exchange in OWN:
        return import_module(f"exchanges.gateway.dialects.{exchange}").DIALECT
    return generic.dialect(exchange)
