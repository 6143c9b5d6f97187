"""The sandbox's WebSocket streams, through ccxt.pro's unmodified binance and by hand."""

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt.pro
import pytest

from exchanges.gateway import addresses
from exchanges.sandbox import config, testing
from tests.exchanges.sandbox import callers

SECONDS = 20


@pytest.fixture
def sandbox() -> Iterator[testing.SandboxProcess]:
    """One of its own: tests change how its prices move."""
    with testing.start(config.Config(accounts=1, weight_limit=0)) as process:
        set_pace(process, ticks_per_second=20)
        yield process


def set_pace(sandbox: testing.SandboxProcess, **pace: Any) -> callers.Answer:
    return callers.send("POST", f"{sandbox.url}/sandbox/stream", body=json.dumps(pace).encode())


def watched(sandbox: testing.SandboxProcess, symbols: list[str] | None, times: int) -> list[Any]:
    async def watch() -> list[Any]:
        options = {"fetchMarkets": {"types": ["spot"]}}
        exchange = ccxt.pro.binance({"options": options, "enableRateLimit": False})
        exchange.number = str
        addresses.redirect(exchange, sandbox.url)
        try:
            async with asyncio.timeout(SECONDS):
                return [await exchange.watch_tickers(symbols) for _ in range(times)]
        finally:
            await exchange.close()

    return asyncio.run(watch())


def talk(sandbox: testing.SandboxProcess, path: str, *sent: Any, events: int = 0) -> list[Any]:
    """What comes back: an answer to each message, then some events."""

    async def run() -> list[Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{sandbox.url}{path}") as socket,
            asyncio.timeout(SECONDS),
        ):
            answers = []
            for message in sent:
                text = message if isinstance(message, str) else json.dumps(message)
                await socket.send_str(text)
                answers.append(json.loads((await socket.receive()).data))
            return answers + [json.loads((await socket.receive()).data) for _ in range(events)]

    return asyncio.run(run())


def test_ccxt_watches_every_ticker_and_prices_move(sandbox):
    seen = watched(sandbox, None, 5)
    assert all(len(batch) > 100 for batch in seen)
    prices = [Decimal(batch["BTC/USDT"]["last"]) for batch in seen]
    assert len(set(prices)) > 1
    assert max(prices) / min(prices) < Decimal("1.03")


def test_ccxt_watches_chosen_tickers_only(sandbox):
    seen = watched(sandbox, ["BTC/USDT", "ETH/USDT"], 6)
    assert {symbol for batch in seen for symbol in batch} == {"BTC/USDT", "ETH/USDT"}


def test_the_walk_stays_near_the_price_that_the_exchange_tells_otherwise(sandbox):
    (last,) = watched(sandbox, None, 1)
    told = callers.send("GET", f"{sandbox.url}/api/v3/ticker/price").json
    for row in told:
        symbol = f"{row['symbol'].removesuffix('USDT')}/USDT"
        if symbol in last and row["symbol"].endswith("USDT"):
            ratio = Decimal(last[symbol]["last"]) / Decimal(row["price"])
            assert abs(ratio - 1) < Decimal("0.02"), symbol


def test_two_sandboxes_of_one_seed_walk_alike():
    def steps() -> list[str]:
        from exchanges.sandbox import market
        from exchanges.sandbox.binance import tickers

        world = market.Market(seed=7, anchor=1_767_225_600_000)
        moving = tickers.Tickers(world)
        symbol = world.symbols["BTCUSDT"]
        now = 1_767_225_600_000
        return [moving.moved(symbol, now=now + 1000 * step)["c"] for step in range(50)]

    assert steps() == steps()
    assert len(set(steps())) > 30


def test_a_ticker_has_the_fields_of_binance(sandbox):
    (_, event) = talk(sandbox, "/ws", subscribe("btcusdt@ticker"), events=1)
    assert set(event) == set("eEspPwxcQbBaAohlvqOCFLn")
    assert event["e"] == "24hrTicker"
    change = Decimal(event["c"]) - Decimal(event["o"])
    assert Decimal(event["p"]) == change
    assert Decimal(event["l"]) <= Decimal(event["c"]) <= Decimal(event["h"])
    (_, short) = talk(sandbox, "/ws", subscribe("btcusdt@miniTicker"), events=1)
    assert set(short) == set("eEscohlvq")


def subscribe(*names: str, number: int = 1) -> dict[str, Any]:
    return {"method": "SUBSCRIBE", "params": list(names), "id": number}


def test_subscriptions_are_listed_and_ended(sandbox):
    set_pace(sandbox, paused=True)
    answers = talk(
        sandbox, "/ws", subscribe("btcusdt@ticker", "ethusdt@ticker", number=5),
        {"method": "UNSUBSCRIBE", "params": ["btcusdt@ticker"], "id": 6},
        {"method": "LIST_SUBSCRIPTIONS", "id": 7},
    )  # fmt: skip
    assert answers == [
        {"result": None, "id": 5},
        {"result": None, "id": 6},
        {"result": ["ethusdt@ticker"], "id": 7},
    ]


def test_what_cannot_be_read_is_refused_in_the_words_of_binance(sandbox):
    set_pace(sandbox, paused=True)
    wrong = [
        "{",
        [],
        {"method": "DANCE", "id": 3},
        {"method": "SUBSCRIBE", "params": "x", "id": 4},
        {"method": "SUBSCRIBE", "params": [], "id": [1]},
    ]
    answers = talk(sandbox, "/ws", *wrong)
    assert [answer["error"]["code"] for answer in answers] == [3, 2, 2, 2, 2]


def test_a_combined_stream_names_each_event(sandbox):
    seen = talk(sandbox, "/stream?streams=btcusdt@ticker/ethusdt@miniTicker", events=2)
    assert {event["stream"] for event in seen} == {"btcusdt@ticker", "ethusdt@miniTicker"}
    assert {event["data"]["s"] for event in seen} == {"BTCUSDT", "ETHUSDT"}


def test_a_few_symbols_move_at_each_tick_when_told(sandbox):
    set_pace(sandbox, symbols_per_tick=2, ticks_per_second=50)
    events = talk(sandbox, "/ws/!ticker@arr", events=4)
    assert [len(event) for event in events] == [2] * 4
    moved = [ticker["s"] for event in events for ticker in event]
    assert len(set(moved)) == 8


def test_connections_are_cut_and_refused_when_told(sandbox):
    async def run() -> tuple[int | None, int]:
        stop = {"refusing": True, "close": True}
        async with aiohttp.ClientSession() as session, asyncio.timeout(SECONDS):
            async with session.ws_connect(f"{sandbox.url}/ws", autoclose=False) as socket:
                await session.post(f"{sandbox.url}/sandbox/stream", json=stop)
                ending = await socket.receive()
            async with session.get(f"{sandbox.url}/ws") as refused:
                return ending.data, refused.status

    assert asyncio.run(run()) == (1012, 503)


def test_a_silent_exchange_keeps_connections_and_says_nothing(sandbox):
    async def run() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{sandbox.url}/ws/!ticker@arr") as socket,
            asyncio.timeout(0.5),
        ):
            await socket.receive()

    set_pace(sandbox, silent=True)
    before = callers.send("GET", f"{sandbox.url}/sandbox/stream").json
    with pytest.raises(TimeoutError):
        asyncio.run(run())
    assert callers.send("GET", f"{sandbox.url}/sandbox/stream").json["ticks"] == before["ticks"]


@pytest.mark.parametrize(
    "pace", [{"ticks_per_second": 0}, {"ticks_per_second": 1e9}, {"symbols_per_tick": -1},
             {"paused": 1}, {"ticks_per_second": True}, {"other": 1}, {"id": "x"}]
)  # fmt: skip
def test_a_pace_that_cannot_be_is_refused(sandbox, pace):
    assert set_pace(sandbox, **pace).status == 400
    assert callers.send("GET", f"{sandbox.url}/sandbox/stream").json["ticks_per_second"] == 20
