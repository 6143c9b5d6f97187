"""Strategies that watch: what they say as candles close, once, and to whom."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
import time_machine

from accounts.models import Delivery
from exchanges import candle_table
from exchanges.bars import Bar
from exchanges.models import Price, PriceNeed
from portfolios import tasks
from portfolios.models import Holding, StrategyWatch
from tests import broker, factories
from tests.api_client import ApiClient
from tests.portfolios.backtesting.conftest import DAY, keep, store
from tracker import clock, tenancy

QUARTER = timedelta(minutes=15)
LENGTH = 400  # days of candles before


@pytest.fixture
def now():
    """An hour after the turn of a day, standing still."""
    at = clock.now().replace(hour=1, minute=0, second=0, microsecond=0)
    with time_machine.travel(at, tick=False):
        yield at


@pytest.fixture
def api(client_of, alice, now):
    return client_of(alice)


def falling(now, *, days=LENGTH):
    """A price that fell each day until yesterday: no average is above a slower one."""
    closes = [1000.0 - place for place in range(days)]
    start = now.replace(hour=0) - days * DAY
    return store("BTC", [(one, one, one, one) for one in closes], start=start)


def next_day(asset, now, close, *, after=0):
    """The candle of today closes, and a day has gone by."""
    at = now.replace(hour=0) + after * DAY
    price = D(str(close))
    with time_machine.travel(at + DAY + timedelta(hours=1), tick=False):
        candle_table.store(
            asset_id=asset.id, interval="1d", now=clock.now(),
            found={at: Bar(price, price, price, price, D(1), "binance")},
        )  # fmt: skip


def told():
    """Have everything that is due judged; what people were told."""
    tasks.dispatch_watches()
    broker.work_off(tasks.judge_watch)
    with tenancy.as_system("test"):
        rows = Delivery.objects.filter(event="strategy_signal", channel="email")
        return [row.parameters for row in rows.order_by("created_at")]


def signals(user):
    return ApiClient(user).get("/strategies/signals").json()["results"]


def watching(api, strategy, asset, **changes):
    answer = api.put(f"/strategies/{strategy}/watch",
                     {"assets": [str(asset.id)], "interval": "1d"} | changes)  # fmt: skip
    assert answer.status_code == 200, answer.content
    return answer.json()


def settle(asset, until):
    """Markets have told all they had until then."""
    PriceNeed.objects.filter(asset=asset).update(until=until)


# --- what is said -------------------------------------------------------------------------------
def test_a_signal_is_told_once_as_the_candle_closes_and_nothing_of_the_past(api, alice, now):
    asset = falling(now)
    strategy = keep(api)
    watching(api, strategy, asset)
    assert told() == []
    assert signals(alice) == []
    next_day(asset, now, 9000)
    settle(asset, now + 30 * DAY)
    with time_machine.travel(now + DAY, tick=False):
        first = told()
        assert told() == first
        found = signals(alice)
    assert [(one["code"], one["action"], one["strategy"]) for one in first] == [
        ("BTC", "buy", "mine")
    ]
    assert [(row["action"], row["share_before"], row["share_wanted"]) for row in found] == [
        ("buy", "0", "1")
    ]
    assert found[0]["at"] == f"{now + DAY:%Y-%m-%d}T00:00:00Z"
    assert (found[0]["price"], found[0]["strategy_name"]) == ("9000", "mine")


def test_what_it_holds_on_paper_is_shown_and_sold_when_the_trend_ends(api, alice, now):
    asset, strategy = falling(now), keep(api)
    watching(api, strategy, asset)
    settle(asset, now + 30 * DAY)
    for place, close in enumerate([9000, 9000, 1, 1, 1, 1, 1]):
        next_day(asset, now, close, after=place)
    with time_machine.travel(now + 2 * DAY, tick=False):
        told()
        held = ApiClient(alice).get(f"/strategies/{strategy}").json()["watch"]
    assert held["wanted"] == {str(asset.id): "1"}
    with time_machine.travel(now + 7 * DAY, tick=False):
        told()
        assert [row["action"] for row in signals(alice)] == ["sell", "buy"]


def test_days_that_were_missed_are_judged_late_and_only_the_newest_is_news(api, alice, now):
    asset, strategy = falling(now), keep(api)
    watching(api, strategy, asset)
    settle(asset, now + 30 * DAY)
    for place, close in enumerate([9000, 9000, 9000, 9000]):
        next_day(asset, now, close, after=place)
    with time_machine.travel(now + 4 * DAY, tick=False):
        assert told() == []
        assert [row["action"] for row in signals(alice)] == ["buy"]


def test_a_candle_that_is_not_here_yet_is_waited_for(api, alice, now):
    asset, strategy = falling(now), keep(api)
    watching(api, strategy, asset)
    told()
    with time_machine.travel(now + DAY, tick=False):
        assert told() == []
        with tenancy.as_system("test"):
            row = StrategyWatch.objects.get()
        assert row.error == ""
        assert row.judged_through == now.replace(hour=0)
        assert now + DAY < row.next_check_at < now + DAY + QUARTER
    next_day(asset, now, 9000)
    settle(asset, now + 30 * DAY)
    with time_machine.travel(now + DAY + QUARTER, tick=False):
        assert len(told()) == 1


def test_a_watch_without_assets_follows_what_is_owned(api, alice, now):
    asset, strategy = falling(now), keep(api)
    connected = factories.connection(alice)
    _price(asset)
    with tenancy.as_user(alice.id):
        Holding.objects.create(
            user=alice, connection=connected, wallet="spot", asset=asset, exchange_code="BTC",
            quantity=D(1), changed_at=now, last_confirmed_at=now,
        )  # fmt: skip
    api.put(f"/strategies/{strategy}/watch", {"interval": "1d"})
    told()
    next_day(asset, now, 9000)
    settle(asset, now + 30 * DAY)
    with time_machine.travel(now + DAY, tick=False):
        assert [one["code"] for one in told()] == ["BTC"]


def _price(asset):
    Price.objects.update_or_create(
        asset=asset, defaults={"usd": D(1000), "source": "test", "as_of": clock.now()}
    )


def test_nothing_owned_is_said_and_no_fault(api, alice, now):
    api.put(f"/strategies/{keep(api)}/watch", {"interval": "1d"})
    assert told() == []
    with tenancy.as_system("test"):
        assert StrategyWatch.objects.get().error == "no_candles"


def test_a_smaller_plan_watches_no_longer_what_it_does_not_include(api, alice, now):
    factories.put_on_plan(alice, "pro")
    asset = falling(now)
    strategy = keep(api, kind="donchian_breakout", parameters={})
    watching(api, strategy, asset)
    factories.put_on_plan(alice, "free")
    next_day(asset, now, 9000)
    settle(asset, now + 30 * DAY)
    with time_machine.travel(now + DAY, tick=False):
        assert told() == []
    with tenancy.as_system("test"):
        assert StrategyWatch.objects.get().error == "strategy_not_in_plan"


def test_ending_a_watch_ends_its_signals(api, alice, now):
    asset, strategy = falling(now), keep(api)
    watching(api, strategy, asset)
    assert api.delete(f"/strategies/{strategy}/watch").status_code == 204
    next_day(asset, now, 9000)
    settle(asset, now + 30 * DAY)
    with time_machine.travel(now + DAY, tick=False):
        assert told() == []
    assert api.get(f"/strategies/{strategy}").json()["watch"] is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"interval": "2d"}, "interval"), ({"assets": ["x"]}, "assets.0"),
     ({"assets": ["00000000-0000-0000-0000-000000000007"]}, "assets")],
)  # fmt: skip
def test_what_cannot_be_watched_is_refused(api, now, changes, field):
    answer = api.put(f"/strategies/{keep(api)}/watch", {"interval": "1d"} | changes)
    assert answer.status_code == 400
    assert answer.json()["details"]["fields"][0]["field"] == field


def test_signals_are_their_owners_alone(api, alice, bob, client_of, now):
    factories.something_everywhere(alice)
    assert len(signals(alice)) == 1
    assert signals(bob) == []


def test_ten_strategies_watch_at_most(api, alice, now):
    for number in range(11):
        strategy = keep(api, name=f"number {number}")
        answer = api.put(f"/strategies/{strategy}/watch", {"interval": "1d"})
    assert (answer.status_code, answer.json()["code"]) == (409, "watches_full")


def test_a_signal_of_the_candle_before_the_last_is_still_news(api, alice, now):
    asset, strategy = falling(now), keep(api)
    watching(api, strategy, asset)
    settle(asset, now + 30 * DAY)
    for place, close in enumerate([9000, 9000]):
        next_day(asset, now, close, after=place)
    with time_machine.travel(now + 2 * DAY - timedelta(hours=1), tick=False):
        assert [one["action"] for one in told()] == ["buy"]
