"""Past prices against a running sandbox: what is wanted, fetched, absent, and fetched only once."""

import threading
import urllib.parse
import urllib.request
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import orjson
import pytest
from django.db import connection as database

from exchanges import assets, history
from exchanges.history import Want
from exchanges.models import Asset, ExchangeAsset, HistoricPrice, NeedState, PriceNeed
from tracker import clock

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def now():
    """This moment; just after midnight a little later, when the day that ended has settled."""
    at = clock.now()
    return max(at, at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(minutes=5))


@pytest.fixture
def midnight(now):
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def asset(code):
    """The asset that a code of Binance stands for today."""
    return assets.resolve("binance", [code])[code].at(clock.now())


def klines(sandbox, symbol, interval, since, count):
    """Closes as the exchange tells anybody, in order."""
    start = int(since.timestamp() * 1000)
    query = {"symbol": symbol, "interval": interval, "startTime": start, "limit": count}
    address = f"{sandbox.url}/api/v3/klines?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310  (loopback)
        return [D(row[4]) for row in orjson.loads(answer.read())]


def calls(sandbox):
    return sum(
        count for path, count in sandbox.stats()["requests"].items() if path.endswith("klines")
    )


def closes(asset_id, since, until):
    found = history.days(asset_ids=[asset_id], since=since.date(), until=until.date())
    return found.get(asset_id, {})


def test_a_wanted_stretch_is_fetched_with_the_closes_the_exchange_tells(
    exchange, sandbox, now, midnight
):
    btc, since = asset("BTC"), midnight - 40 * DAY
    assert history.want(needs=[Want(btc, "1d", since, midnight)]) == 1
    assert btc in history.backfill_due(now=now)
    found = closes(btc, since, midnight)
    assert [found[day][0] for day in sorted(found)] == klines(sandbox, "BTCUSDT", "1d", since, 40)
    assert {source for _, source in found.values()} == {
        "binance: BTC/USDT, USDT pegged to USD"
    }  # fmt: skip
    assert history.want(needs=[Want(btc, "1d", since, midnight)]) == 0


def test_the_price_of_an_hour_is_its_close(exchange, sandbox, now):
    btc, hour = asset("BTC"), history.floor_hour(now) - 100 * HOUR
    traded_at = hour + timedelta(minutes=17)
    history.want(needs=[Want(btc, "1h", traded_at, traded_at + timedelta(seconds=1))])
    history.backfill_due(now=now)
    ((usd, _),) = history.hours(wanted=[(btc, hour)]).values()
    assert [usd] == klines(sandbox, "BTCUSDT", "1h", hour, 1)


def test_a_long_history_is_read_over_many_pages_without_a_gap(exchange, now, midnight):
    eth, since = asset("ETH"), midnight - 1500 * DAY
    history.want(needs=[Want(eth, "1d", since, midnight)])
    history.backfill_due(now=now)
    assert len(closes(eth, since, midnight)) == 1500
    assert PriceNeed.objects.filter(asset_id=eth).values_list("state", "since", "until").get() == (
        "done", since, midnight,
    )  # fmt: skip


def test_what_was_asked_for_is_not_asked_for_again(exchange, sandbox, now, midnight):
    btc, since = asset("BTC"), midnight - 30 * DAY
    needs = [Want(btc, "1d", since, midnight)]
    history.want(needs=needs)
    history.want(needs=needs)
    history.backfill_due(now=now)
    before = calls(sandbox)
    assert history.want(needs=[Want(btc, "1d", since + DAY, midnight - DAY)]) == 0
    assert history.backfill_due(now=now) == set()
    assert calls(sandbox) == before
    assert history.want(needs=[Want(btc, "1d", since - 5 * DAY, midnight)]) == 1
    assert PriceNeed.objects.get(state=NeedState.OPEN).until == since


def test_a_coin_without_a_dollar_market_is_crossed_through_another(
    exchange, sandbox, now, midnight
):
    """The yen is quoted by BTC/JPY alone: dollars of a bitcoin over yen of a bitcoin."""
    jpy, since = asset("JPY"), midnight - 3 * DAY
    history.want(needs=[Want(jpy, "1d", since, midnight)])
    gained = history.backfill_due(now=now)
    assert {jpy, asset("BTC")} <= gained
    dollars = klines(sandbox, "BTCUSDT", "1d", since, 3)
    yen = klines(sandbox, "BTCJPY", "1d", since, 3)
    found = closes(jpy, since, midnight)
    for day, dollar, units in zip(sorted(found), dollars, yen, strict=True):
        usd, source = found[day]
        assert usd == (dollar / units).quantize(D("1e-30"))
        assert source == "binance: BTC/JPY, BTC/USDT, USDT pegged to USD"


def test_a_stablecoin_without_a_dollar_market_is_pegged_and_says_so(exchange, now, midnight):
    usdt = asset("USDT")
    history.want(needs=[Want(usdt, "1d", midnight - 2 * DAY, midnight)])
    history.backfill_due(now=now)
    assert set(closes(usdt, midnight - 2 * DAY, midnight).values()) == {
        (D(1), "binance: USDT pegged to USD")
    }


def test_before_the_listing_there_is_no_price_and_nobody_asks_again(
    exchange, sandbox, now, midnight
):
    btc = asset("BTC")
    opened = datetime(2017, 8, 17, tzinfo=UTC)  # as the sandbox's market, and the real one
    need = Want(btc, "1d", opened - 100 * DAY, opened + 100 * DAY)
    history.want(needs=[need])
    history.backfill_due(now=now)
    found = closes(btc, need.since, need.until)
    assert (len(found), min(found)) == (100, opened.date())
    assert history.want(needs=[need]) == 0
    before = calls(sandbox)
    assert history.backfill_due(now=now) == set()
    assert calls(sandbox) == before


def test_an_asset_that_no_market_quotes_is_nowhere_and_looked_for_after_a_week(
    exchange, now, midnight
):
    nothing = Asset.objects.create(slug="nothing", code="NOTHING").id
    history.want(needs=[Want(nothing, "1d", midnight - 9 * DAY, midnight)])
    assert history.backfill_due(now=now) == {nothing}
    assert PriceNeed.objects.get().state == NeedState.NOWHERE
    assert history.want(needs=[Want(nothing, "1d", midnight - 9 * DAY, midnight)]) == 0
    assert history.backfill_due(now=now + 6 * DAY) == set()
    assert history.backfill_due(now=now + 8 * DAY) == {nothing}


def test_a_day_that_is_not_over_is_fetched_when_it_is(exchange, now, midnight):
    btc = asset("BTC")
    assert history.want(needs=[Want(btc, "1d", midnight - DAY, midnight + DAY)]) == 1
    history.backfill_due(now=now)
    assert set(closes(btc, midnight - DAY, midnight + DAY)) == {(midnight - DAY).date()}
    row = PriceNeed.objects.get(state=NeedState.OPEN)
    assert (row.since, row.until) == (midnight, midnight + DAY)
    assert midnight + DAY < row.next_try_at <= midnight + DAY + timedelta(minutes=5)
    assert history.pending(asset_ids=[btc]) == {btc}


def test_scattered_hours_of_six_weeks_are_one_call(exchange, sandbox, now):
    btc, hour = asset("BTC"), history.floor_hour(now)
    wanted = [hour - number * HOUR for number in (950, 700, 333, 20, 3)]
    history.want(needs=[Want(btc, "1h", at, at + HOUR) for at in wanted])
    before = calls(sandbox)
    history.backfill_due(now=now)
    assert calls(sandbox) == before + 1
    assert len(history.hours(wanted=[(btc, at) for at in wanted])) == 5


@pytest.mark.parametrize(
    "fault",
    [{"kind": "status", "status": 503}, {"kind": "garbage", "broken": "json"}, {"kind": "drop"}],
)
def test_an_exchange_that_fails_is_asked_again_later_and_ever_less_often(
    exchange, sandbox, now, midnight, fault
):
    btc = asset("BTC")
    history.want(needs=[Want(btc, "1d", midnight - 5 * DAY, midnight)])
    waits = []
    with sandbox.fault(path="/api/v3/klines", **fault):
        for _ in range(3):
            assert history.backfill_due(now=now) == set()
            row = PriceNeed.objects.get()
            assert (row.state, bool(row.error)) == (NeedState.OPEN, True)
            waits.append(row.next_try_at - now)
            now = row.next_try_at
    assert waits[0] < waits[1] < waits[2]
    assert btc in history.backfill_due(now=now)
    assert PriceNeed.objects.get().state == NeedState.DONE


def test_an_exchange_that_is_down_is_left_alone_for_the_rest_of_a_run(
    exchange, sandbox, now, midnight
):
    for code in ("BTC", "ETH", "LTC", "BNB"):
        history.want(needs=[Want(asset(code), "1d", midnight - 5 * DAY, midnight)])
    before = calls(sandbox)
    with sandbox.fault(path="/api/v3/klines", kind="status", status=503):
        history.backfill_due(now=now)
    assert calls(sandbox) == before + 1


def test_what_one_exchange_lacks_the_next_one_is_asked_for(settings, exchange, now, midnight):
    """Two names for one sandbox: the second has an address, the first none that answers."""
    settings.PRICE_EXCHANGES = ["binanceus", "binance"]
    settings.EXCHANGE_BASE_URLS |= {"binanceus": "http://127.0.0.1:1"}
    btc = asset("BTC")
    history.want(needs=[Want(btc, "1d", midnight - 5 * DAY, midnight)])
    assert btc in history.backfill_due(now=now)
    assert len(closes(btc, midnight - 5 * DAY, midnight)) == 5
    assert PriceNeed.objects.get().state == NeedState.DONE


def test_what_one_exchange_refuses_for_good_hides_not_that_another_is_down(
    settings, exchange, sandbox, now, midnight
):
    settings.PRICE_EXCHANGES = ["binanceus", "binance"]
    settings.EXCHANGE_BASE_URLS |= {"binanceus": "http://127.0.0.1:1"}
    history.want(needs=[Want(asset("BTC"), "1d", midnight - 5 * DAY, midnight)])
    refusal = {"kind": "status", "status": 401, "body": {"code": -2015, "msg": "Invalid API-key"}}
    with sandbox.fault(path="/api/v3/klines", **refusal):
        history.backfill_due(now=now)
    row = PriceNeed.objects.get()
    assert (row.state, row.error) == (NeedState.OPEN, "exchange_unreachable")


def test_a_run_stops_at_its_limit_and_the_next_one_goes_on(exchange, sandbox, now):
    btc, hour = asset("BTC"), history.floor_hour(now) - HOUR
    since = hour - 2500 * HOUR
    history.want(needs=[Want(btc, "1h", since, hour)])
    assert history.outstanding(now=now) == 3
    done = []
    history.backfill_due(now=now, limit=2, report=done.append)
    assert (done, history.outstanding(now=now)) == ([1, 1], 1)
    history.backfill_due(now=now)
    assert history.outstanding(now=now) == 0
    assert HistoricPrice.objects.filter(asset_id=btc, interval="1h").count() == 2500


def test_a_code_that_changed_its_meaning_prices_each_coin_in_its_own_time(exchange, now, midnight):
    """LUNA became LUNC on 28 May 2022; here the change is moved into what the sandbox lists."""
    renamed = midnight - 10 * DAY
    old, new = Asset.objects.create(slug="old", code="OLD"), asset("ADA")
    ExchangeAsset.objects.filter(exchange="binance", code="ADA").update(valid_from=renamed)
    ExchangeAsset.objects.create(exchange="binance", code="ADA", asset=old, valid_until=renamed)
    for asset_id in (old.id, new):
        history.want(needs=[Want(asset_id, "1d", midnight - 20 * DAY, midnight)])
    history.backfill_due(now=now)
    assert max(closes(old.id, midnight - 20 * DAY, midnight)) < renamed.date()
    assert min(closes(new, midnight - 20 * DAY, midnight)) == renamed.date()
    assert len(closes(old.id, midnight - 20 * DAY, midnight)) == 10


def test_a_delisted_coin_has_prices_until_its_end_and_none_after(halted, now, midnight):
    ltc = asset("LTC")
    since = midnight - 420 * DAY
    history.want(needs=[Want(ltc, "1d", since, midnight)])
    assert history.backfill_due(now=now) == {ltc}
    found = closes(ltc, since, midnight)
    assert 19 <= len(found) <= 21
    assert max(found) <= (midnight - 399 * DAY).date()
    assert not PriceNeed.objects.exclude(state=NeedState.DONE).exists()


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_fetch_every_window_once(exchange, sandbox, now, midnight):
    for code in ("BTC", "ETH", "LTC", "BNB", "XRP", "ADA"):
        need = Want(asset(code), "1d", midnight - 900 * DAY, midnight)
        history.want(needs=[need])
    before, gained = calls(sandbox), []

    def work():
        try:
            gained.append(history.backfill_due(now=now))
        finally:
            database.close()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert calls(sandbox) == before + 6
    assert sum(len(found) for found in gained) == 6


def test_the_needs_of_a_worker_that_died_are_taken_up_when_its_lease_lapses(
    exchange, now, midnight
):
    btc = asset("BTC")
    history.want(needs=[Want(btc, "1d", midnight - 5 * DAY, midnight)])

    class Died(BaseException):
        pass

    def die(done):
        raise Died

    with pytest.raises(Died):
        history.backfill_due(now=now, report=die)
    assert history.backfill_due(now=now + history.LEASE / 2) == set()
    assert history.backfill_due(now=now + history.LEASE + timedelta(minutes=1)) == {btc}
