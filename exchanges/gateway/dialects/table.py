"""Which dialect an exchange speaks: its own module, else the generic one."""

from functools import cache
from importlib import import_module

from exchanges.gateway.dialects import generic
from exchanges.gateway.dialects.base import Dialect

OWN = (
    "binance",
    "bitget",
    "bitstamp",
    "bybit",
    "coinbase",
    "gate",
    "kraken",
    "kucoin",
    "okx",
)


@cache
def dialect(exchange: str) -> Dialect:
    """The dialect of an exchange. ccxt must know the exchange."""
    if exchange in OWN:
        return import_module(f"exchanges.gateway.dialects.{exchange}").DIALECT
    return generic.dialect(exchange)
