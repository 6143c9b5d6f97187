"""Two ways to call the sandbox's Kraken: as ccxt's unmodified kraken class does, and by hand."""

import base64
import hashlib
import hmac
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import ccxt.async_support as ccxt

from exchanges.sandbox import testing
from tests.exchanges.sandbox import callers

HOUSE = "kraken"
_nonces = itertools.count(time.time_ns() // 1_000_000)


@asynccontextmanager
async def kraken(
    sandbox: testing.SandboxProcess, account: int = 0, role: str = "read", **settings: Any
) -> AsyncIterator[ccxt.kraken]:
    """ccxt's kraken with its addresses moved to the sandbox, closed at the end."""
    keys = {
        "apiKey": sandbox.api_key(account, role, HOUSE),
        "secret": sandbox.api_secret(account, role, HOUSE),
    }
    exchange = ccxt.kraken(keys | {"enableRateLimit": False} | settings)
    exchange.number = str
    exchange.urls["api"] = dict.fromkeys(exchange.urls["api"], sandbox.url)
    # All callers of these tests share one stream of nonces, as one person's programs must.
    exchange.nonce = lambda: next(_nonces)
    try:
        yield exchange
    finally:
        await exchange.close()


def signed(
    sandbox: testing.SandboxProcess,
    method: str,
    params: dict[str, Any] | None = None,
    *,
    account: int = 0,
    role: str = "read",
    key: str | None = None,
    secret: str | None = None,
    nonce: int | str | None = None,
) -> callers.Answer:
    """A signed POST; `key`, `secret` and `nonce` spoil it on purpose."""
    nonce = next(_nonces) if nonce is None else nonce
    path, body = f"/0/private/{method}", urlencode({"nonce": nonce} | (params or {}))
    digest = hashlib.sha256(f"{nonce}{body}".encode()).digest()
    shared = base64.b64decode(secret or sandbox.api_secret(account, role, HOUSE))
    signature = hmac.digest(shared, path.encode() + digest, "sha512")
    headers = {
        "API-Key": key or sandbox.api_key(account, role, HOUSE),
        "API-Sign": base64.b64encode(signature).decode(),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    return callers.send("POST", sandbox.url + path, headers, body.encode())


def public(sandbox: testing.SandboxProcess, method: str, query: str = "") -> Any:
    """The answer to a public call, errors and all."""
    return callers.send("GET", f"{sandbox.url}/0/public/{method}?{query}").json


def books(sandbox: testing.SandboxProcess, account: int) -> dict[str, Any]:
    """An account's books."""
    return callers.control(sandbox, "GET", f"{HOUSE}/accounts/{account}/books").json


def held(sandbox: testing.SandboxProcess, account: int, wallet: str) -> dict[str, Decimal]:
    """What one wallet of an account holds, by code."""
    found = books(sandbox, account)["balances"][wallet]
    return {code: Decimal(text) for code, text in found.items()}
