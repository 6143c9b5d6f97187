"""Tickers from a stream whose markets must be named: a small server that speaks as Kraken does."""

import asyncio
import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from exchanges import gateway
from exchanges.gateway.errors import GatewayError
from exchanges.gateway.streams import TickerStream

SECONDS = 60
PAIRS = {"BTC/USD": ("XXBT", "ZUSD"), "ETH/BTC": ("XETH", "XXBT"), "ETH/USD": ("XETH", "ZUSD"),
         "ADA/EUR": ("ADA", "ZEUR"), "EUR/USD": ("ZEUR", "ZUSD")}  # fmt: skip


def listed(name: str, base: str, quote: str) -> dict[str, Any]:
    return {
        "altname": name.replace("/", ""), "wsname": name, "aclass_base": "currency", "base": base,
        "aclass_quote": "currency", "quote": quote, "lot": "unit", "pair_decimals": 5,
        "lot_decimals": 8, "lot_multiplier": 1, "leverage_buy": [], "leverage_sell": [],
        "fees": [[0, 0.26]], "fees_maker": [[0, 0.16]], "ordermin": "1", "status": "online",
    }  # fmt: skip


class Kraken:
    """Lists markets, and tells each subscriber twice what each of them costs."""

    def __init__(self) -> None:
        self.subscribed: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Kraken":
        self._thread.start()
        assert self._ready.wait(SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application()
        app.router.add_get("/0/public/AssetPairs", self._pairs)
        app.router.add_get("/v2", self._stream)
        app.router.add_get("/{path:.*}", self._nothing)
        runner = web.AppRunner(app, access_log=None)
        self._loop.run_until_complete(runner.setup())
        self._loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        self._loop.run_forever()

    async def _pairs(self, request: web.Request) -> web.Response:
        rows = {name.replace("/", ""): listed(name, *codes) for name, codes in PAIRS.items()}
        return web.json_response({"error": [], "result": rows})

    async def _nothing(self, request: web.Request) -> web.Response:
        return web.json_response({"error": [], "result": {}})

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            wanted = json.loads(message.data).get("params", {})
            self.subscribed += wanted["symbol"]
            for last in ("2.5", "0.00000123"):
                for symbol in wanted["symbol"]:
                    await socket.send_str(self._ticker(symbol, last))
            if wanted.get("symbol"):
                await asyncio.sleep(0.2)
                await socket.close(code=1012)
        return socket

    def _ticker(self, symbol: str, last: str) -> str:
        return (
            f'{{"channel": "ticker", "type": "update", "data": [{{"symbol": "{symbol}", '
            f'"bid": {last}, "ask": {last}, "last": {last}, "change": 0, "change_pct": 0}}]}}'
        )


@pytest.fixture
def kraken(gateway_settings) -> Iterator[Kraken]:
    with Kraken() as server:
        gateway_settings["kraken"] = server.url
        yield server


def taken_until_it_ends(stream: TickerStream) -> tuple[dict[str, Decimal], GatewayError]:
    """The latest price of each market, and how the stream ended."""
    latest: dict[str, Decimal] = {}
    try:
        while taken := stream.take(timeout=SECONDS):
            latest |= {f"{t.base_code}/{t.quote_code}": t.last for t in taken}
    except GatewayError as ended:
        return latest, ended
    finally:
        stream.close()
    raise AssertionError("nothing came for too long")


def test_the_most_direct_markets_are_named_and_the_latest_of_each_arrives(kraken):
    latest, ended = taken_until_it_ends(gateway.stream_tickers("kraken"))
    named = ["ADA/EUR", "BTC/USD", "ETH/USD", "EUR/USD"]
    assert sorted(kraken.subscribed) == named
    assert latest == dict.fromkeys(named, Decimal("0.00000123"))
    assert ended.code == "exchange_unreachable"


def test_a_stream_that_cannot_begin_says_why():
    stream = TickerStream("bitstamp")
    try:
        with pytest.raises(GatewayError):
            stream.take(timeout=SECONDS)
    finally:
        stream.close()
