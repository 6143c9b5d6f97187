"""`watch_alerts` in a process of its own: real ticks over Valkey, real rows in PostgreSQL."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal as D

import pytest
import redis

from exchanges import ticks
from exchanges.models import Price
from exchanges.prices import Quote
from portfolios import tasks
from portfolios.alerting import announcing
from portfolios.models import PriceRange
from tests import factories, processes
from tests.portfolios.alerting.conftest import firings, reread, told
from tests.portfolios.live.listening import eventually
from tracker import clock

NEVER = ("--refresh", "3600", "--reload", "3600")
pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def watching(*options: str) -> Iterator[processes.Managed]:
    """`manage.py watch_alerts`, once it has read all alerts."""
    with processes.managed("watch_alerts", *(options or NEVER)) as process:
        eventually(lambda: "Watching" in process.output(), "the watcher", seconds=150)
        await_listeners()
        yield process


def await_listeners(count: int = 1) -> None:
    """So many watchers hear what is published."""
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        name = ticks.channel()
        eventually(lambda: client.pubsub_numsub(name)[0][1] >= count, "a subscription")


def tick(code: str, usd) -> None:
    """What a streamer tells."""
    quote = Quote(factories.asset(code).id, code, D(str(usd)), None, "binance: test", clock.now())
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        ticks.offer(client, [quote], exchange="binance", preferred=[])


def come_true(alert, *, times: int = 1) -> list[D]:
    eventually(lambda: len(firings(alert)) >= times, "the firing")
    return firings(alert)


@pytest.fixture
def bell(alice):
    """An alert that says when everything before it has been settled: the order is kept."""
    return factories.price_alert(
        alice, asset=factories.asset("BELL"), threshold=D(1), repeats=True, hysteresis=D(1)
    )


def ring(bell) -> None:
    before = len(firings(bell))
    for usd in ("0.5", 2):
        tick("BELL", usd)
    come_true(bell, times=before + 1)


def test_a_tick_tells_whom_it_concerns_at_once(alice, bob):
    factories.asset("USD")
    hers = factories.price_alert(alice, threshold=D(100))
    his = factories.price_alert(bob, threshold=D(200))
    rearms = factories.price_alert(
        bob, kind="price_below", threshold=D(90), repeats=True, hysteresis=D(10)
    )
    with watching() as process:
        for usd in (99, 101, 89, 98, 100, 80):
            tick("BTC", usd)
        assert come_true(rearms, times=2) == [89, 80]
        assert process.stop() == 0
    assert (firings(hers), firings(his)) == ([101], [])
    assert told(alice) == [("BTC is above 100 USD", "101 USD")]
    assert reread(hers).state == "triggered"


def test_prices_in_other_currencies_and_moves(alice):
    for code in ("USD", "EUR"):
        factories.asset(code)
    euros = factories.price_alert(alice, threshold=D(100), currency="EUR")
    now = clock.now()
    PriceRange.objects.create(
        asset=factories.asset(), currency="USD", step=timedelta(minutes=1),
        at=now.replace(second=0, microsecond=0) - timedelta(minutes=30), low=D(80), high=D(100),
    )  # fmt: skip
    change = factories.price_alert(
        alice, kind="price_change", threshold=D(50), direction="up", window=timedelta(hours=1)
    )
    with watching():
        tick("BTC", 120)
        assert come_true(change) == [50]  # from the 80 before the watcher began
        tick("EUR", "1.2")
        assert come_true(euros) == [100]


def test_alerts_that_are_made_paused_or_removed_while_it_watches(client_of, alice, bell):
    price = {"usd": D(90), "source": "binance: x", "as_of": clock.now()}
    Price.objects.create(asset=factories.asset(), **price)
    Price.objects.create(asset=factories.asset("USD"), **price | {"usd": D(1)})
    api = client_of(alice)
    with watching():
        made = api.post("/alerts", {
            "kind": "price_above", "asset": str(factories.asset().id), "threshold": "100",
        }).json()  # fmt: skip
        other = factories.price_alert(alice, threshold=D(100))
        gone = factories.price_alert(alice, threshold=D(100))
        announcing.changed(other.id)
        announcing.changed(gone.id)
        api.patch(f"/alerts/{other.id}", {"state": "paused"})
        api.delete(f"/alerts/{gone.id}")

        def is_told() -> bool:
            tick("BTC", 99)
            tick("BTC", 101)
            return api.get(f"/alerts/{made['id']}").json()["told_count"] == 1

        eventually(is_told, "the new alert")
        ring(bell)
    assert firings(other) == []
    assert len(told(alice)) == 1 + len(firings(bell))


def test_what_nobody_announced_is_seen_when_it_looks(alice):
    with watching("--refresh", "0.1", "--reload", "3600"):
        alert = factories.price_alert(alice, threshold=D(100))

        def is_told() -> bool:
            tick("BTC", 99)
            tick("BTC", 101)
            return bool(firings(alert))

        eventually(is_told, "the firing")


def test_two_watchers_and_the_sweep_tell_once(alice):
    alerts = [factories.price_alert(alice, threshold=D(100 + number)) for number in range(20)]
    with watching() as first, watching() as second:
        await_listeners(2)
        for number in range(20):
            tick("BTC", 100 + number)
            Price.objects.update_or_create(
                asset=factories.asset(),
                defaults={"usd": D(100 + number), "source": "binance: x", "as_of": clock.now()},
            )
            tasks.check_alerts()
        for process in (first, second):  # each settles what it has found
            assert process.stop() == 0
    assert [len(firings(alert)) for alert in alerts] == [1] * 20
    assert len(told(alice)) == 20


def test_a_watcher_that_starts_again_repeats_nothing_and_misses_nothing(alice, bell):
    alert = factories.price_alert(alice, threshold=D(100), repeats=True, hysteresis=D(5))
    missed = factories.price_alert(alice, threshold=D(110))
    with watching():
        tick("BTC", 101)
        come_true(alert)
    tick("BTC", 111)  # heard by nobody
    with watching():
        assert come_true(missed) == [111]
        tick("BTC", 112)
        ring(bell)
    assert firings(alert) == [101]


def test_without_redis_the_sweep_tells(alice, settings, client_of):
    """S31: neither making an alert nor telling of it needs Redis."""
    alert = factories.price_alert(
        alice, threshold=D(100), judged_at=clock.now() - timedelta(minutes=1)
    )
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    for code, usd in (("USD", 1), ("BTC", 101)):
        Price.objects.create(
            asset=factories.asset(code), usd=D(usd), source="binance: x", as_of=clock.now()
        )
    tasks.check_alerts()
    assert firings(alert) == [101]
    made = client_of(alice).post("/alerts", {
        "kind": "price_above", "asset": str(factories.asset().id), "threshold": "200",
    })  # fmt: skip
    assert made.status_code == 201


def test_the_sweep_judges_by_the_tick_where_that_is_newer(alice):
    """The record is some seconds behind the stream: nothing goes back that did not."""
    earlier = clock.now() - timedelta(seconds=30)
    Price.objects.create(asset=factories.asset(), usd=D(90), source="binance: x", as_of=earlier)
    alert = factories.price_alert(
        alice, threshold=D(100), repeats=True, armed=False, judged_at=earlier - timedelta(hours=1)
    )
    tick("BTC", 101)
    tasks.check_alerts()
    assert not reread(alert).armed
