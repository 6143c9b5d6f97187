"""No key, secret or passphrase leaves the gateway, however an exchange fails."""

import contextlib
import io
import logging
import traceback
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from exchanges import gateway
from exchanges.gateway.errors import GatewayError
from exchanges.reports import Credential, Visit
from tests.exchanges.gateway.conftest import NOW
from tests.exchanges.gateway.replay import Call, Hang, ReplayServer, Status

KEY, SECRET, PASSPHRASE = "canary-key-7c1e", "Y2FuYXJ5LXNlY3JldC05OTEy", "canary-pass-55aa"
CANARIES = (KEY, SECRET, PASSPHRASE, "canary-secret-9912")
CREDENTIAL = Credential(KEY, SECRET, PASSPHRASE)
EXCHANGES = [
    "binance", "bingx", "bitfinex", "bitget", "bitmart", "bitmex", "bitstamp", "bitvavo",
    "bybit", "coinbase", "coinbaseexchange", "coinex", "cryptocom", "deribit", "digifinex",
    "exmo", "gate", "gemini", "hitbtc", "htx", "kraken", "kucoin", "lbank", "mexc", "ndax",
    "okx", "phemex", "poloniex", "probit", "whitebit", "xt",
]  # fmt: skip
ECHO = "you sent {params}"
FAILURES: dict[str, Any] = {
    "refused": Status(401, f'{{"code": -2015, "msg": "bad key {KEY} {SECRET} {PASSPHRASE}"}}'),
    "limited": Status(429, f"slow down {KEY}", {"Retry-After": "0"}),
    "broken": Status(500, f"<html>{SECRET}</html>"),
    "garbage": f"{KEY} {SECRET} {PASSPHRASE}",
    "echo": lambda params: {"error": str(params), "msg": f"{KEY}", "code": "1"},
    "hanging": Hang,
}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that any logger says, at any level that the gateway leaves on."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.removeHandler(handler)
    root.setLevel(level)


def rendered(error: BaseException) -> str:
    """An error as reporting tools show it: text, repr, chain, and the locals of every frame."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    parts = ["".join(shown.format()), repr(error), str(error), str(vars(error)), repr(error.args)]
    for chained in (error.__cause__, error.__context__):
        if chained is not None:
            parts.append(rendered(chained))
    return "\n".join(parts)


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("exchange", EXCHANGES)
def test_nothing_secret_is_said(
    server: ReplayServer, log: io.StringIO, capsys: Any, exchange: str, failure: str
) -> None:
    """S26"""
    server.answers["*"] = FAILURES[failure]
    said = ""
    timeout = 0.2 if failure == "hanging" else 5
    try:
        said += repr(gateway.check_key(exchange, CREDENTIAL, timeout=timeout))
    except GatewayError as error:
        said += rendered(error)
    visit = Visit(uuid4(), exchange, CREDENTIAL, NOW, {}, {}, frozenset(), everything=False)
    (result,) = gateway.visit_accounts([visit], deadline_seconds=timeout)
    said += rendered(result[1]) if isinstance(result, tuple) else repr(result)
    said += repr(result[1].timeline) if isinstance(result, tuple) else ""
    if not isinstance(result, tuple):
        said += "".join(kept.payload for kept in result.quarantined)
    said += repr(visit) + log.getvalue() + "".join(capsys.readouterr())
    for canary in CANARIES:
        assert canary not in said


def test_the_clients_of_a_visit_are_emptied(server: ReplayServer) -> None:
    """S26"""
    import gc

    from ccxt.async_support.base.exchange import BaseExchange

    with contextlib.suppress(GatewayError):
        gateway.check_key("binance", CREDENTIAL, timeout=5)
    # by type: isinstance would ask weak proxies, whose objects may be gone
    kept = [one for one in gc.get_objects() if issubclass(type(one), BaseExchange)]
    assert all(KEY not in str(vars(one).get("apiKey")) for one in kept)
    assert all(KEY not in str(vars(one).get("last_request_headers")) for one in kept)


def test_a_request_does_carry_the_key(server: ReplayServer) -> None:
    """Else the tests above would prove nothing."""
    seen: list[Call] = server.calls
    with contextlib.suppress(GatewayError):
        gateway.check_key("binance", CREDENTIAL, timeout=5)
    assert any("signature" in call.params for call in seen)
