"""Two ways to call a sandbox: as ccxt's unmodified binance class does, and by hand."""

import hmac
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import ccxt.async_support as ccxt

from exchanges.sandbox import testing

# Options with which ccxt loads its markets without signing anything.
PUBLIC_MARKETS = {"fetchCurrencies": False, "fetchMargins": False}


@asynccontextmanager
async def binance(
    sandbox: testing.SandboxProcess, account: int = 0, role: str = "read", **settings: Any
) -> AsyncIterator[ccxt.binance]:
    """ccxt's binance with its addresses moved to the sandbox, closed at the end."""
    keys = {"apiKey": sandbox.api_key(account, role), "secret": sandbox.api_secret(account, role)}
    options = {"fetchMarkets": {"types": ["spot"]}}
    exchange = ccxt.binance(keys | {"options": options, "enableRateLimit": False} | settings)
    exchange.number = str
    addresses = exchange.urls["api"].items()
    exchange.urls["api"] = {name: sandbox.url + urlsplit(url).path for name, url in addresses}
    try:
        yield exchange
    finally:
        await exchange.close()


@dataclass(frozen=True)
class Answer:
    """A raw answer."""

    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def send(
    method: str, url: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> Answer:
    """One request to a loopback address; error statuses are answers too."""
    request = urllib.request.Request(url, body, headers or {}, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request) as response:  # noqa: S310
            return Answer(response.status, response.headers, response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read().decode())


def control(sandbox: testing.SandboxProcess, method: str, path: str, body: Any = None) -> Answer:
    """A call of the sandbox's own controls."""
    sent = None if body is None else json.dumps(body).encode()
    return send(method, f"{sandbox.url}/sandbox/{path}", body=sent)


def books(sandbox: testing.SandboxProcess, account: int) -> dict[str, Any]:
    """An account's books."""
    return control(sandbox, "GET", f"accounts/{account}/books").json


def signed(
    sandbox: testing.SandboxProcess,
    path: str,
    params: dict[str, Any] | None = None,
    *,
    account: int = 0,
    role: str = "read",
    secret: str | None = None,
    headers: dict[str, str] | None = None,
    drop: str | None = None,
) -> Answer:
    """A signed GET; `secret`, `headers` and `drop` (a parameter) spoil it on purpose."""
    sent = {"timestamp": int(time.time() * 1000)} | (params or {})
    sent.pop(drop, None)
    query = urlencode(sent)
    secret = secret or sandbox.api_secret(account, role)
    signature = hmac.digest(secret.encode(), query.encode(), "sha256").hex()
    if drop != "signature":
        query += f"&signature={signature}"
    headers = headers or {"X-MBX-APIKEY": sandbox.api_key(account, role)}
    return send("GET", f"{sandbox.url}{path}?{query}", headers)
