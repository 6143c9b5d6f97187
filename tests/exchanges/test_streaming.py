"""Prices follow an exchange's stream: into Redis at once, into PostgreSQL in time.

On a sandbox of its own, because tests cut its streams.
"""

import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import redis
from django.core.cache import cache

from exchanges import gateway, prices, ticks
from exchanges.models import Asset, Price
from exchanges.prices import Quote
from exchanges.streaming import Pace, Streamer
from tests import processes
from tests import sandbox as sandboxes
from tests.exchange_fixtures import UNLIMITED
from tracker import clock

QUICK = Pace(record=0.2, silence=1.0, poll=0.3, first_wait=0.05, longest_wait=0.4, cross=0.2)
SECONDS = 90


def eventually(happened: Callable[[], Any], what: str) -> Any:
    """What ``happened`` returns once it is true."""
    deadline = time.monotonic() + SECONDS
    while not (result := happened()):
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.02)
    return result


@pytest.fixture(scope="module")
def moving() -> Iterator[sandboxes.Sandbox]:
    with sandboxes.running(weight_limit=0, accounts=1) as running:
        yield running


@pytest.fixture
def market(transactional_db, settings, moving) -> Callable[..., Any]:
    """The sandbox in the place of Binance; `market(paused=True)` sets how its streams behave."""
    settings.EXCHANGE_BASE_URLS = {"binance": moving.url}
    settings.EXCHANGE_BUDGETS = {"binance": UNLIMITED}
    settings.PRICE_EXCHANGES = ["binance"]

    def pace(**changes: Any) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310  (loopback)
            f"{moving.url}/sandbox/stream", json.dumps(changes).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)

    usual = {"ticks_per_second": 20, "paused": False, "silent": False, "refusing": False}
    pace(**usual)
    yield pace
    pace(**usual)


@contextmanager
def following(exchange: str = "binance", pace: Pace = QUICK) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=Streamer(exchange, pace=pace, stop=stop).run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(SECONDS)
        assert not thread.is_alive()


def server() -> redis.Redis:
    return redis.Redis.from_url(os.environ["REDIS_URL"])


def tick(code: str = "BTC") -> Quote | None:
    asset = Asset.objects.filter(code=code).first()
    held = asset and server().get(ticks.keys_of([asset.id])[0])
    return ticks.read(held) if held else None


def recorded(code: str = "BTC") -> Price | None:
    return Price.objects.filter(asset__code=code).first()


def moves(look: Callable[[], Any]) -> Callable[[], bool]:
    """Whether what ``look`` sees has changed since this was called."""
    first = look()
    return lambda: (seen := look()) is not None and seen != first


def test_ticks_reach_redis_and_the_database(market):
    with following():
        seen = eventually(tick, "a tick of bitcoin")
        eventually(moves(lambda: tick().usd), "another one")
        eventually(recorded, "a recorded price")
        eventually(moves(lambda: recorded().usd), "another recorded price")
        crossed = eventually(lambda: tick("JPY"), "a crossed currency")
    assert seen.source.startswith("binance: BTC/")
    assert clock.now() - seen.as_of < timedelta(seconds=SECONDS)
    assert Decimal("0.001") < crossed.usd < Decimal("0.1")
    with server() as client:
        lifetime = client.ttl(ticks.keys_of([seen.asset_id])[0])
    assert 0 < lifetime <= ticks.LIFETIME_SECONDS


def test_what_was_told_last_is_recorded_when_it_ends(market):
    with following(pace=Pace(record=SECONDS, cross=0.2)):
        eventually(tick, "a tick")
        market(paused=True)
        eventually(lambda: tick("ETH"), "a tick")
    last = tick()
    assert recorded().usd == last.usd
    assert recorded().as_of == last.as_of


def test_the_five_minute_fetch_is_spared_while_the_stream_lives(market):
    with following():
        eventually(recorded, "a recorded price")
        eventually(lambda: cache.get("prices:fetched:binance"), "the note")
    asked = gateway_requests(market)
    assert prices.refresh_due(now=clock.now()) == 0
    assert gateway_requests(market) == asked


def gateway_requests(market) -> int:
    return market()["ticks"]


def test_a_stream_that_was_cut_is_taken_up_again(market):
    with following():
        eventually(tick, "a tick")
        market(close=True)
        eventually(moves(lambda: tick().usd), "a tick after the cut")
        assert eventually(lambda: market()["connections"] == 1, "one connection")


def test_a_silent_stream_counts_as_broken(market):
    with following():
        eventually(tick, "a tick")
        market(silent=True)
        eventually(lambda: market()["connections"] == 0, "the end of the silent connection")
        market(silent=False)
        eventually(moves(lambda: tick().usd), "a tick after the silence")


def test_prices_are_polled_while_the_stream_keeps_failing(market, moving):
    def polls() -> int:
        return moving.stats()["requests"].get("/api/v3/ticker/24hr", 0)

    market(refusing=True)
    before = polls()
    with following():
        eventually(lambda: polls() > before + 1, "polls")
        eventually(tick, "a polled tick")
        eventually(recorded, "a recorded price")
        market(refusing=False)
        eventually(lambda: market()["connections"] == 1, "the stream again")
        eventually(moves(lambda: tick().usd), "a streamed tick")


def test_an_exchange_without_such_a_stream_is_polled(market, settings, moving):
    """Bitstamp has none: what the sandbox answers it cannot use, but it is asked, and goes on."""
    settings.EXCHANGE_BASE_URLS = {"bitstamp": moving.url}
    settings.EXCHANGE_BUDGETS = {"bitstamp": {"ip": 0}}
    assert gateway.can_stream("binance")
    assert not gateway.can_stream("bitstamp")
    before = moving.stats()["total_requests"]
    with following("bitstamp"):
        eventually(lambda: moving.stats()["total_requests"] > before, "a poll")
    assert market()["connections"] == 0


def test_two_streamers_of_one_exchange_do_no_harm(market):
    with following(), following():
        eventually(lambda: market()["connections"] == 2, "both")
        eventually(tick, "a tick")
        seen = []
        for _ in range(20):
            seen.append(tick())
            eventually(moves(lambda: tick().usd), "another tick")
        eventually(moves(lambda: recorded() and recorded().usd), "recorded prices")
    assert [quote.as_of for quote in seen] == sorted(quote.as_of for quote in seen)


def quote(usd: int, seconds: int = 0, source: str = "binance: BTC/USD") -> Quote:
    asset, _ = Asset.objects.get_or_create(slug="btc", defaults={"code": "BTC"})
    as_of = clock.now().replace(microsecond=0) + timedelta(seconds=seconds)
    return Quote(asset.id, "BTC", Decimal(usd), None, source, as_of)


def offered(found: Quote, exchange: str = "binance", preferred: list[str] | None = None) -> int:
    with server() as client:
        return ticks.offer(client, [found], exchange=exchange, preferred=preferred or [])


@pytest.mark.django_db
def test_a_tick_never_goes_back_in_time():
    assert offered(quote(2)) == 1
    assert offered(quote(1, seconds=-5)) == 0
    assert tick().usd == 2
    assert offered(quote(3, seconds=5)) == 1
    assert tick().usd == 3


@pytest.mark.django_db
def test_a_preferred_exchange_keeps_its_ticks_while_it_speaks():
    assert offered(quote(2)) == 1
    late = quote(9, seconds=5, source="kraken: BTC/USD")
    assert offered(late, exchange="kraken", preferred=["binance"]) == 0
    with server() as client:
        client.delete(*ticks.keys_of([late.asset_id]))  # an hour of silence
    assert offered(late, exchange="kraken", preferred=["binance"]) == 1
    assert offered(quote(3, seconds=9), exchange="binance") == 1
    assert tick().usd == 3


@pytest.mark.django_db
def test_the_same_tick_twice_is_told_once():
    found = quote(2)
    with server() as client, client.pubsub() as told:
        told.subscribe(ticks.channel())
        assert told.get_message(timeout=5)["type"] == "subscribe"
        assert offered(found) == 1
        assert offered(found) == 0
        message = told.get_message(timeout=5)
        assert ticks.read_message(message["data"]) == [found]
        assert told.get_message(timeout=0.1) is None


def test_the_command_ends_cleanly_when_told_to(market, moving):
    arguments = ["stream_prices", "binance", "--record", "0.2"]
    environment = {
        "EXCHANGE_BASE_URLS": json.dumps({"binance": moving.url}),
        "EXCHANGE_BUDGETS": json.dumps({"binance": UNLIMITED}),
    }
    with processes.managed(*arguments, **environment) as process:
        eventually(recorded, "a recorded price")
        assert process.stop() == 0
        assert "Traceback" not in process.output()
        assert "stream.counts" in process.output()
    assert market()["connections"] == 0
