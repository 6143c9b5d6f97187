"""Clients: where they call, what they cost, and how stored keys are opened."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import ccxt.async_support as ccxt
import pytest
from django.conf import settings

from exchanges import gateway
from exchanges.gateway import addresses, clients, errors, loop
from exchanges.reports import Credential, Privileges, SealedCredential
from tests.exchanges.gateway.replay import ReplayServer
from tracker import vault

ROOT = Path(__file__).parents[3]
BASE = "http://127.0.0.1:4567"


def texts(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for value in part.values():
            yield from texts(value)
    elif isinstance(part, list):
        for value in part:
            yield from texts(value)
    elif isinstance(part, str):
        yield part


@pytest.mark.parametrize("name", ccxt.exchanges)
def test_no_foreign_host_is_left(name: str) -> None:
    client = getattr(ccxt, name)()
    before = list(texts(client.urls["api"]))
    addresses.redirect(client, BASE)
    after = [client.implode_hostname(url) for url in texts(client.urls["api"])]
    after += [client.implode_hostname(url) for url in texts(client.urls.get("test") or {})]
    assert all(re.match(r"(http|ws)://127\.0\.0\.1:4567(/|$)", url) for url in after)
    assert len(after) >= len(before)
    assert "{hostname}" not in " ".join(after)
    hosts = " ".join(texts({k: client.urls.get(k) for k in ("hostnames", "api2", "demo")}))
    assert not re.search(r"[a-z]\.(com|io|net|org|pro|tech)", hosts)


def test_paths_stay_behind_the_base() -> None:
    moved = addresses.moved(
        {"a": ["https://api.{hostname}/v3/x", "wss://stream.x.com:9443/ws"]}, "https://p.local/in/"
    )
    assert moved == {"a": ["https://p.local/in/v3/x", "wss://p.local/in/ws"]}


def test_importing_the_gateway_does_not_import_ccxt() -> None:
    code = "import sys, exchanges.gateway; sys.exit('ccxt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_only_the_gateway_imports_ccxt() -> None:
    importing = re.compile(r"^\s*(import|from) ccxt", re.MULTILINE)
    found = [
        path
        for room in ("tracker", "accounts", "audit", "billing", "exchanges", "portfolios")
        for path in (ROOT / room).rglob("*.py")
        if importing.search(path.read_text()) and "gateway" not in path.parts
    ]
    assert found == []


def test_an_extra_account_is_small() -> None:
    import tracemalloc

    async def measure() -> float:
        found = clients.exchange("binance")
        credential = Credential("key", "secret")
        held = [found.account(credential) for _ in range(20)]
        tracemalloc.start()
        entered = [account.__enter__() for account in held]
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(entered) == 20
        for account in held:
            account.__exit__(None, None, None)
        return size / 20

    assert loop.run(measure()) < 100_000


def test_accounts_share_markets_and_session_and_nothing_that_is_theirs() -> None:
    async def look() -> None:
        found = clients.exchange("binance")
        with found.account(Credential("a", "b")) as one, found.account(Credential("c", "d")) as two:
            assert one.session is two.session
            assert one.options is not two.options
            assert (one.apiKey, two.apiKey, found.template.apiKey) == ("a", "c", None)
            one.options["lastNonce"] = 7
            assert "lastNonce" not in two.options
        assert vars(one) == {}
        assert one.apiKey is None

    loop.run(look())


def sealed(plain: Credential, keyring: vault.Keyring) -> SealedCredential:
    user_id, row_id, data_key = uuid4(), uuid4(), vault.new_data_key()
    wrapped = keyring.wrap(data_key, user_id=user_id)
    fields = {
        name: vault.seal(
            getattr(plain, name), data_key=data_key, user_id=user_id, row_id=row_id, field=name
        )
        for name in ("api_key", "api_secret", "passphrase")
    }
    return SealedCredential(user_id, row_id, wrapped.key_id, wrapped.ciphertext, fields)


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> vault.Keyring:
    ring = vault.Keyring.parse(bytes(range(32)).hex())
    monkeypatch.setattr(settings, "ENCRYPTION_KEYRING", ring, raising=False)
    return ring


def test_a_sealed_key_is_opened_inside(server: ReplayServer, keyring: vault.Keyring) -> None:
    server.answers["/sapi/v1/account/apiRestrictions"] = {"enableReading": True}
    stored = sealed(Credential("key", "secret"), keyring)
    assert gateway.check_key("binance", stored, timeout=5) is Privileges.READ_ONLY


def test_a_key_that_does_not_open_is_said_to_be_unreadable(
    keyring: vault.Keyring, visit: Callable[..., Any]
) -> None:
    stored = sealed(Credential("key", "secret"), vault.Keyring.parse(bytes(range(9, 41)).hex()))
    ((_, error),) = gateway.visit_accounts([visit(credential=stored)], deadline_seconds=5)
    assert isinstance(error, errors.CredentialUnreadable)
    assert error.permanent


def test_markets_are_loaded_once_for_all_who_wait(
    server: ReplayServer, visit: Callable[..., Any]
) -> None:
    server.answers |= {
        "/api/v3/exchangeInfo": {"symbols": []},
        "/api/v3/account": {"balances": []},
        "/sapi/v1/asset/get-funding-asset": [],
    }
    visits = [visit(everything=False) for _ in range(20)]
    reports = list(gateway.visit_accounts(visits, deadline_seconds=30))
    assert len(reports) == 20
    assert server.paths().count("/api/v3/exchangeInfo") == 1
    assert server.paths().count("/api/v3/time") == 1


def test_tickers_come_in_one_batch(server: ReplayServer) -> None:
    server.answers |= {
        "/api/v3/exchangeInfo": {
            "symbols": [{"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT"}]
        },
        "/api/v3/ticker/24hr": [
            {
                "symbol": "BTCUSDT",
                "lastPrice": "60000.10",
                "openPrice": "59000",
                "closeTime": 1700000000000,
            },
            {"symbol": "GONEUSDT", "lastPrice": "1", "openPrice": "1"},
            {"symbol": "BTCUSDT", "lastPrice": "0.0000"},
        ],
    }
    (ticker,) = gateway.fetch_tickers("binance")
    assert (ticker.base_code, ticker.quote_code, str(ticker.last)) == ("BTC", "USDT", "60000.10")
    assert server.paths().count("/api/v3/ticker/24hr") == 1


def test_the_catalogue_names_what_is_needed() -> None:
    found = {one.id: one for one in gateway.describe_exchanges()}
    assert len(found) > 70
    assert found["binance"].required_fields == ("api_key", "api_secret")
    assert found["okx"].required_fields == ("api_key", "api_secret", "passphrase")
    assert "hyperliquid" not in found
    assert gateway.supports("kraken")
    assert not gateway.supports("mtgox")
