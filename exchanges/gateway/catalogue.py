"""Which exchanges can be connected, from ccxt's own description of each."""

from collections.abc import Iterator
from typing import Any

from exchanges.gateway import declared
from exchanges.reports import ExchangeDescription

_OURS = {"apiKey": "api_key", "secret": "api_secret"}
_THIRD = ("password", "uid", "accountId")  # what the app calls a passphrase
_SUPPORTS = (
    "fetchBalance",
    "fetchMyTrades",
    "fetchDeposits",
    "fetchWithdrawals",
    "fetchDepositsWithdrawals",
    "fetchLedger",
    "fetchTickers",
    "fetchConvertTradeHistory",
)


def describe() -> list[ExchangeDescription]:
    """Every exchange whose balances and own trades can be read with key, secret, passphrase."""
    import ccxt.async_support as ccxt

    built = (getattr(ccxt, name)({"enableRateLimit": False}) for name in ccxt.exchanges)
    return [_describe(one, ccxt.__version__) for one in built if _connectable(one)]


def _connectable(one: Any) -> bool:
    readable = one.has.get("fetchBalance") and one.has.get("fetchMyTrades")
    needed = list(_needed(one))
    third = [name for name in needed if name in _THIRD]
    return bool(readable and len(third) < 2 and set(needed) <= {*_OURS, *_THIRD})


def _needed(one: Any) -> Iterator[str]:
    return (name for name, wanted in one.requiredCredentials.items() if wanted)


def _describe(one: Any, version: str) -> ExchangeDescription:
    fields = tuple(_OURS.get(name, "passphrase") for name in _needed(one))
    website = one.urls.get("www") or ""
    return ExchangeDescription(
        id=one.id,
        name=one.name,
        required_fields=fields,
        supports=tuple(name for name in _SUPPORTS if one.has.get(name) is True),
        website=website if isinstance(website, str) else website[0],
        ccxt_version=version,
        feeds=tuple(declared.feeds(one.id)),
    )
