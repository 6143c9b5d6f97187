"""Candles through the API and a worker, against a running sandbox that serves klines."""

import csv
import threading
import urllib.parse
import urllib.request
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import orjson
import pytest
import time_machine
from django.db import connection as database

from exchanges import assets, candle_table, candles, history, tasks
from exchanges.bars import Bar
from exchanges.history import Want
from exchanges.models import Asset, Candle, NeedKind, NeedState, PriceNeed
from tests import broker
from tests import sandbox as sandboxes
from tracker import clock, partitions

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LENGTHS = {"5m": 5 * MINUTE, "15m": 15 * MINUTE, "1h": HOUR, "4h": 4 * HOUR, "1d": DAY,
           "1w": 7 * DAY}  # fmt: skip
STORED_AS = {"4h": "1h", "1w": "1d"}
PEGGED = "binance: BTC/USDT, USDT pegged to USD"


@pytest.fixture
def now():
    """This moment, or a little later: never within five minutes of the turn of an hour.

    The clock of ours stands still there, so no test depends on when it is run.
    """
    at = clock.now().replace(microsecond=0)
    hour = at.replace(minute=0, second=0)
    at = max(at, hour + 5 * MINUTE + timedelta(seconds=30))
    with time_machine.travel(at, tick=False):
        yield at


@pytest.fixture
def ask(client_of, alice, exchange, now, django_capture_on_commit_callbacks):
    """`ask("BTC", interval="1h")`: what the chart of an asset gets."""

    def ask(code, *, known="", **query):
        api = client_of(alice)  # signed in anew, for tests in which hours go by
        with django_capture_on_commit_callbacks(execute=True):
            return api.get(path(code, **query), **({"If-None-Match": known} if known else {}))

    return ask


@pytest.fixture
def chart(ask):
    """`chart("BTC", interval="1h")`: the JSON of it."""

    def chart(code, **query):
        answer = ask(code, **query)
        assert answer.status_code == 200, answer.content
        return answer.json()

    return chart


def path(code, **query):
    asset_id = code if not isinstance(code, str) else asset(code)
    query = {name.rstrip("_"): written(value) for name, value in query.items()}
    return f"/prices/{asset_id}/candles?{urllib.parse.urlencode(query)}"


def written(value):
    return value.isoformat() if isinstance(value, datetime) else value


def asset(code):
    """The asset that a code of Binance stands for today."""
    return assets.resolve("binance", [code])[code].at(clock.now())


def work():
    """What a worker does with what was queued; returns how many tasks there were."""
    return broker.work_off(tasks.fetch_candles, "exports")


def klines(sandbox, symbol, interval, since, count):
    """Open, high, low, close and volume as the exchange tells anybody, in order."""
    start = int(since.timestamp() * 1000)
    query = {"symbol": symbol, "interval": interval, "startTime": start, "limit": count}
    address = f"{sandbox.url}/api/v3/klines?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310  (loopback)
        return [[D(number) for number in row[1:6]] for row in orjson.loads(answer.read())]


def calls(sandbox):
    return sum(
        count for path, count in sandbox.stats()["requests"].items() if path.endswith("klines")
    )


def numbers(row):
    return [D(row[name]) for name in ("open", "high", "low", "close", "volume")]


def instants(found):
    return [datetime.fromisoformat(row["at"]) for row in found["results"]]


def stretch(since, until, length):
    return [since + number * length for number in range((until - since) // length)]


def of_gaps(found):
    return [
        (datetime.fromisoformat(gap["from"]), datetime.fromisoformat(gap["to"]), gap["reason"])
        for gap in found["gaps"]
    ]


def floor(instant, length):
    origin = datetime(1970, 1, 5, tzinfo=UTC)  # a Monday
    return instant - (instant - origin) % length


# --- asking, fetching, asking again -------------------------------------------------------------
def test_a_request_asks_no_exchange_and_the_next_poll_has_what_a_worker_brought(
    chart, sandbox, now
):
    since, until = floor(now, HOUR) - 48 * HOUR, floor(now, HOUR) - HOUR
    before = calls(sandbox)
    found = chart("BTC", interval="1h", from_=since, to=until)
    assert calls(sandbox) == before
    assert (found["results"], found["complete"], found["updating"]) == ([], False, True)
    assert of_gaps(found) == [(since, until, "not_fetched")]
    assert work() == 1
    found = chart("BTC", interval="1h", from_=since, to=until)
    assert (found["gaps"], found["complete"], found["updating"]) == ([], True, False)
    assert [numbers(row) for row in found["results"]] == klines(sandbox, "BTCUSDT", "1h", since, 47)
    assert instants(found) == stretch(since, until, HOUR)
    assert {row["source"] for row in found["results"]} == {PEGGED}
    assert all(row["closed"] for row in found["results"])
    head = found["asset"], found["code"], found["currency"], found["interval"]
    assert head == (str(asset("BTC")), "BTC", "USD", "1h")
    assert work() == 0


@pytest.mark.parametrize("interval", list(LENGTHS))
def test_without_a_range_it_is_the_last_three_hundred_with_the_running_one(chart, now, interval):
    chart("ETH", interval=interval)
    work()
    found, length = chart("ETH", interval=interval), LENGTHS[interval]
    end = floor(now, length) + length
    told = [datetime.fromisoformat(found[name]) for name in ("from", "to")]
    assert told == [end - 300 * length, end]
    listed = [at for at in stretch(*told, length) if at >= now - 5 * 365 * DAY + 7 * DAY]
    assert instants(found)[-len(listed) :] == listed
    assert [datetime.fromisoformat(row["at"]) for row in found["results"] if not row["closed"]] == [
        at for at in listed if at + length + 2 * MINUTE > now
    ]
    assert found["updating"] is False
    assert {gap["reason"] for gap in found["gaps"]} <= {"no_market"}


def test_an_answer_that_is_known_is_not_sent_again(ask, now):
    ask("BTC", interval="1d")
    work()
    answer = ask("BTC", interval="1d")
    again = ask("BTC", interval="1d")
    assert again.headers["ETag"] == answer.headers["ETag"]
    known = ask("BTC", interval="1d", known=answer.headers["ETag"])
    assert (known.status_code, known.content) == (304, b"")
    assert answer.headers["Cache-Control"] == "private, no-cache"


def test_a_range_is_widened_to_whole_intervals(chart, now):
    noon = floor(now, DAY) - 5 * DAY + 12 * HOUR
    found = chart("BTC", interval="1w", from_=noon, to=noon + timedelta(seconds=1))
    monday = floor(noon, 7 * DAY)
    assert of_gaps(found) == [(monday, monday + 7 * DAY, "not_fetched")]
    assert monday.weekday() == 0


def test_what_was_fetched_is_not_fetched_again(chart, sandbox, now):
    until = floor(now, DAY)
    chart("BTC", interval="1d", from_=until - 30 * DAY, to=until - DAY)
    work()
    before = calls(sandbox)
    chart("BTC", interval="1d", from_=until - 20 * DAY, to=until - 2 * DAY)
    assert work() == 0
    found = chart("BTC", interval="1d", from_=until - 35 * DAY, to=until - DAY)
    assert of_gaps(found) == [(until - 35 * DAY, until - 30 * DAY, "not_fetched")]
    assert (len(found["results"]), found["updating"]) == (29, True)
    work()
    assert calls(sandbox) == before + 1
    assert chart("BTC", interval="1d", from_=until - 35 * DAY, to=until - DAY)["complete"]


def test_two_thousand_candles_are_read_past_the_exchanges_limit_without_a_gap(chart, sandbox, now):
    until = floor(now, 5 * MINUTE) - 10 * MINUTE
    since = until - 2000 * 5 * MINUTE
    chart("BTC", interval="5m", from_=since, to=until)
    before = calls(sandbox)
    work()
    assert calls(sandbox) == before + 2
    found = chart("BTC", interval="5m", from_=since, to=until)
    assert found["complete"]
    assert instants(found) == stretch(since, until, 5 * MINUTE)


@pytest.mark.parametrize("interval", ["4h", "1w"])
def test_longer_candles_are_added_up_from_the_stored_ones(chart, sandbox, now, interval):
    part, length = STORED_AS[interval], LENGTHS[interval]
    until = floor(now, length)
    since = until - 10 * length
    chart("ETH", interval=interval, from_=since, to=until)
    work()
    found = chart("ETH", interval=interval, from_=since, to=until)
    count = 10 * length // LENGTHS[part]
    told = klines(sandbox, "ETHUSDT", part, since, count)
    size = count // 10
    groups = [told[place : place + size] for place in range(0, count, size)]
    assert [numbers(row) for row in found["results"]] == [
        [group[0][0], max(bar[1] for bar in group), min(bar[2] for bar in group), group[-1][3],
         sum(bar[4] for bar in group)]
        for group in groups
    ]  # fmt: skip
    assert set(Candle.objects.values_list("interval", flat=True)) == {part}
    chart("ETH", interval=part, from_=since, to=until)
    assert work() == 0


# --- what is still growing ----------------------------------------------------------------------
def test_a_growing_candle_is_fetched_anew_a_minute_later_but_only_when_somebody_looks(
    chart, sandbox, now
):
    day = floor(now, DAY)
    chart("BTC", interval="1d", from_=day)
    work()
    before = calls(sandbox)
    (row,) = chart("BTC", interval="1d", from_=day)["results"]
    assert row["closed"] is False
    with time_machine.travel(now + 30 * timedelta(seconds=1), tick=False):
        assert chart("BTC", interval="1d", from_=day)["updating"] is False
        tasks.fetch_candles()
    with time_machine.travel(now + 90 * timedelta(seconds=1), tick=False):
        tasks.fetch_candles()
        assert calls(sandbox) == before
        assert chart("BTC", interval="1d", from_=day)["updating"] is True
        assert work() == 1
        assert calls(sandbox) == before + 1
        found = chart("BTC", interval="1d", from_=day)
    assert (found["updating"], found["complete"], found["gaps"]) == (False, True, [])
    assert Candle.objects.get().fetched_at == now + 90 * timedelta(seconds=1)


def test_a_candle_is_closed_when_its_interval_is_over_and_stays_as_it_is(chart, sandbox, now):
    quarter = floor(now, 15 * MINUTE)
    chart("BTC", interval="15m", from_=quarter)
    work()
    over = quarter + 15 * MINUTE
    with time_machine.travel(over + MINUTE, tick=False):  # over, but it may still settle
        chart("BTC", interval="15m", from_=quarter, to=over)
        work()
        (row,) = chart("BTC", interval="15m", from_=quarter, to=over)["results"]
        assert row["closed"] is False
    with time_machine.travel(over + 3 * MINUTE, tick=False):
        tasks.fetch_candles()
        (row,) = chart("BTC", interval="15m", from_=quarter, to=over)["results"]
        assert row["closed"] is True
        before = calls(sandbox)
    with time_machine.travel(over + DAY, tick=False):
        found = chart("BTC", interval="15m", from_=quarter, to=over)
        assert work() == 0
    assert (found["results"], found["updating"]) == ([row], False)
    assert calls(sandbox) == before


def test_a_late_answer_takes_the_place_of_no_newer_one(exchange, now):
    btc, hour = asset("BTC"), floor(now, HOUR)
    newer, older = (bar_of("2"), now), (bar_of("1"), now - MINUTE)
    for bar, at in (newer, older):
        candle_table.store(asset_id=btc, interval="1h", found={hour: bar}, now=at)
    assert Candle.objects.get().close == 2


def test_a_closed_candle_makes_room_for_nothing(exchange, now):
    btc, hour = asset("BTC"), floor(now, HOUR) - 5 * HOUR
    for usd, at in (("1", now), ("2", now + MINUTE)):
        candle_table.store(
            asset_id=btc, interval="1h", found={hour: bar_of(usd)}, now=at
        )  # fmt: skip
    assert (Candle.objects.get().close, Candle.objects.get().closed) == (1, True)


def bar_of(usd):
    return Bar(D(usd), D(usd), D(usd), D(usd), D(1), "test: BTC/USD")


# --- gaps ---------------------------------------------------------------------------------------
def test_before_the_listing_no_market_had_it_and_nobody_asks_again(chart, sandbox, now):
    since, until = datetime(2017, 3, 1, tzinfo=UTC), datetime(2018, 1, 1, tzinfo=UTC)
    chart("BTC", interval="1d", from_=since, to=until)
    work()
    found = chart("BTC", interval="1d", from_=since, to=until)
    ((start, end, reason),) = of_gaps(found)
    assert (start, reason, instants(found)[0]) == (since, "no_market", end)
    assert end == datetime(2017, 8, 17, tzinfo=UTC)  # as the sandbox's market, and the real one
    assert (found["complete"], found["updating"]) == (False, False)
    before = calls(sandbox)
    assert work() == 0
    tasks.fetch_candles()
    assert calls(sandbox) == before


@pytest.mark.parametrize("interval", ["5m", "4h", "1d", "1w"])
def test_an_asset_that_no_market_quotes_says_so_and_is_looked_for_after_a_week(
    chart, now, interval
):
    nothing = Asset.objects.create(slug="nothing", code="NOTHING").id
    assert chart(nothing, interval=interval)["updating"] is True
    work()
    found = chart(nothing, interval=interval)
    assert (found["updating"], found["results"]) == (False, [])
    assert [gap["reason"] for gap in found["gaps"]] == ["no_market"]
    assert PriceNeed.objects.get().state == NeedState.NOWHERE
    assert PriceNeed.objects.get().next_try_at == now + 7 * DAY


def test_a_delisted_coin_has_candles_until_its_end_and_none_after(chart, halted, now):
    since = floor(now, DAY) - 420 * DAY
    chart("LTC", interval="1d", from_=since)
    work()
    found = chart("LTC", interval="1d", from_=since)
    assert 19 <= len(found["results"]) <= 22
    assert of_gaps(found) == [
        (instants(found)[-1] + DAY, floor(now, DAY) + DAY, "no_market"),
    ]
    assert (found["complete"], found["updating"]) == (False, False)


def test_an_exchange_that_fails_is_said_and_what_it_has_comes_later(chart, sandbox, now):
    until = floor(now, HOUR) - HOUR
    asked = {"interval": "1h", "from_": until - 10 * HOUR, "to": until}
    chart("BTC", **asked)
    with sandbox.fault(path="/api/v3/klines", kind="status", status=503):
        work()
    found = chart("BTC", **asked)
    assert of_gaps(found) == [(until - 10 * HOUR, until, "source_unavailable")]
    assert (found["updating"], work()) == (True, 0)
    with time_machine.travel(now + 3 * MINUTE, tick=False):
        tasks.fetch_candles()
    found = chart("BTC", **asked)
    assert (len(found["results"]), found["complete"], found["updating"]) == (10, True, False)


def test_an_exchange_that_fails_leaves_what_is_there(chart, sandbox, now):
    day = floor(now, DAY)
    chart("BTC", interval="1d", from_=day - 5 * DAY)
    work()
    with time_machine.travel(now + 5 * MINUTE, tick=False):
        chart("BTC", interval="1d", from_=day - 5 * DAY)
        with sandbox.fault(path="/api/v3/klines", kind="drop"):
            work()
        found = chart("BTC", interval="1d", from_=day - 5 * DAY)
    assert (len(found["results"]), found["gaps"]) == (6, [])


# --- how prices come about ----------------------------------------------------------------------
def test_a_coin_without_a_dollar_market_is_crossed_candle_by_candle(chart, sandbox, now):
    """The yen is quoted by BTC/JPY alone: dollars of a bitcoin over yen of a bitcoin."""
    until = floor(now, DAY)
    since = until - 5 * DAY
    chart("JPY", interval="1d", from_=since, to=until - DAY)
    work()
    found = chart("JPY", interval="1d", from_=since, to=until - DAY)
    dollars = klines(sandbox, "BTCUSDT", "1d", since, 4)
    yen = klines(sandbox, "BTCJPY", "1d", since, 4)
    for row, dollar, units in zip(found["results"], dollars, yen, strict=True):
        opened, closed = ((dollar[place] / units[place]).quantize(D("1e-30")) for place in (0, 3))
        assert (D(row["open"]), D(row["close"]), row["volume"]) == (opened, closed, None)
        assert D(row["low"]) <= min(opened, closed) <= max(opened, closed) <= D(row["high"])
        assert row["source"] == "binance: BTC/JPY, BTC/USDT, USDT pegged to USD"
    chart("BTC", interval="1d", from_=since, to=until - DAY)
    before = calls(sandbox)
    work()
    assert calls(sandbox) == before  # they came as the bridge


@pytest.mark.parametrize(("code", "interval"), [("BTC", "1d"), ("BTC", "1h"), ("JPY", "1d")])
def test_a_candle_closes_at_the_price_of_the_books(chart, now, code, interval):
    length = LENGTHS[interval]
    until = floor(now, length) - length
    since = until - 5 * length
    history.want(needs=[Want(asset(code), interval, since, until)])
    history.backfill_due(now=now)
    chart(code, interval=interval, from_=since, to=until)
    work()
    found = chart(code, interval=interval, from_=since, to=until)["results"]
    stored = history.hours(wanted=[(asset(code), at) for at in stretch(since, until, length)])
    books = [stored[key] for key in sorted(stored)]
    if interval == "1d":
        days = history.days(asset_ids=[asset(code)], since=since.date(), until=until.date())
        books = [priced for _, priced in sorted(days[asset(code)].items())]
    assert [(D(row["close"]), row["source"]) for row in found] == books
    assert len(found) == 5


def test_candles_are_no_news_for_the_books(chart, now):
    chart("BTC", interval="1d")
    work()
    assert history.pending(asset_ids=[asset("BTC")]) == set()
    assert history.outstanding(now=now) == 0
    assert history.backfill_due(now=now) == set()


def test_recorded_candles_come_through_as_they_were(shared_data, chart, settings, now):
    """Real hours of a real market, moved in time by the sandbox so that its last day ends now."""
    folder, hour = shared_data / "market", floor(now, HOUR)
    shift = hour - (recorded(folder, "1d")[-1][0] + DAY)
    real = [(at + shift, row) for at, row in recorded(folder, "1h")[-500:]]
    since, until = real[0][0], real[-1][0] + HOUR
    anchor = int(hour.timestamp()) * 1000
    with sandboxes.running(
        weight_limit=0, assets=2, trades=0, market_data=folder, anchor=anchor
    ) as running:
        settings.EXCHANGE_BASE_URLS = {"binance": running.url}
        chart("BTC", interval="1h", from_=since, to=until)
        work()
        found = chart("BTC", interval="1h", from_=since, to=until)
    told = dict(zip(instants(found), map(numbers, found["results"]), strict=True))
    assert {at: told[at] for at, _ in real} == dict(real)
    assert found["complete"]


def recorded(folder, interval):
    names = ("open", "high", "low", "close", "volume")
    with (folder / f"BTC-USD-{interval}.csv").open(newline="") as lines:
        return [
            (datetime.fromisoformat(row["timestamp"]), [D(row[name]) for name in names])
            for row in csv.DictReader(lines)
        ]


# --- two at once --------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_workers_at_once_fetch_every_window_once_and_make_every_month_once(exchange, sandbox, now):
    codes = ("BTC", "ETH", "LTC", "BNB", "XRP", "ADA")
    until = floor(now, DAY)
    for code in codes:
        need = Want(asset(code), "1d", until - 900 * DAY, until - DAY)
        history.want(needs=[need], kind=NeedKind.CANDLE)
    before, failed = calls(sandbox), []

    def run():
        try:
            history.backfill_due(now=now, kind=NeedKind.CANDLE)
        except Exception as error:
            failed.append(error)
        finally:
            database.close()

    workers = [threading.Thread(target=run) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (failed, calls(sandbox)) == ([], before + 6)
    assert Candle.objects.count() == 6 * 899
    assert not PriceNeed.objects.exclude(state=NeedState.DONE).exists()


# --- what is refused ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("query", "field", "word"),
    [
        ({}, "interval", "5m, 15m, 1h, 4h, 1d, 1w"),
        ({"interval": "1m"}, "interval", "Use one of"),
        ({"interval": "1H"}, "interval", "Use one of"),
        ({"interval": "1d", "from": "2026-01-31"}, "from", "with its zone"),
        ({"interval": "1d", "from": "2026-01-31T00:00:00"}, "from", "with its zone"),
        ({"interval": "1d", "to": "2026-02-31T00:00:00Z"}, "to", "with its zone"),
        ({"interval": "1d", "to": "yesterday"}, "to", "with its zone"),
        ({"interval": "1d", "from": "2008-12-31T23:59:59Z"}, "from", "2009"),
        ({"interval": "1d", "from": "0001-01-01T00:00:00+14:00"}, "from", "2009"),
        ({"interval": "1d", "to": "9999-12-31T23:59:59-14:00"}, "to", "future"),
        ({"interval": "1d", "from": "2100-01-01T00:00:00Z"}, "from", "future"),
        ({"interval": "1d", "from": "2020-01-02T00:00:00Z", "to": "2020-01-02T00:00:00Z"}, "from",
         "before the end"),
        ({"interval": "1d", "from": "2020-01-03T00:00:00Z", "to": "2020-01-02T00:00:00Z"}, "from",
         "before the end"),
        ({"interval": "1h", "from": "2020-01-01T00:00:00Z", "to": "2021-01-01T00:00:00Z"}, "from",
         "at most 2,000 candles, and these are 8,784"),
        ({"interval": "1d", "assets": "BTC"}, "assets", "not known"),
        ({"interval": "1d", "page_size": "5"}, "page_size", "not known"),
    ],
    ids=str,
)  # fmt: skip
def test_what_makes_no_range_is_refused_with_a_reason(ask, query, field, word):
    answer = ask("BTC", **query)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    ((told),) = answer.json()["details"]["fields"]
    assert told["field"] == field
    assert word in told["message"]
    assert not PriceNeed.objects.exists()


def test_two_thousand_are_not_too_many_and_one_more_is(chart, ask, now):
    until = floor(now, HOUR)
    chart("BTC", interval="1h", from_=until - 2000 * HOUR, to=until)
    answer = ask("BTC", interval="1h", from_=until - 2000 * HOUR - MINUTE, to=until)
    assert answer.status_code == 400
    assert "2,001" in answer.json()["details"]["fields"][0]["message"]


def test_the_end_of_the_running_interval_is_no_future(chart, ask, now):
    end = floor(now, HOUR) + HOUR
    chart("BTC", interval="1h", to=end)
    assert ask("BTC", interval="1h", to=end + timedelta(seconds=1)).status_code == 400


def test_an_asset_that_is_not_known_is_not_found(client_of, alice, db):
    api = client_of(alice)
    for name in ("01890a5d-ac96-774b-bcce-b302099a8057", "BTC", "1"):
        answer = api.get(f"/prices/{name}/candles?interval=1d")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_asking_counts_as_a_call_for_data(client_of, alice, settings, exchange):
    settings.BURST_LIMITS_ENABLED = True
    api, statuses = client_of(alice), []
    for _ in range(60):
        statuses.append(api.get(path("BTC", interval="1d")).status_code)
    assert (statuses[0], statuses[-1], set(statuses)) == (200, 429, {200, 429})


# --- for programs -------------------------------------------------------------------------------
def test_a_series_is_read_in_order_with_what_it_lacks(exchange, now):
    """More rows than a reader holds at once, with a hole in the middle."""
    btc, count = asset("BTC"), 45_000
    until = floor(now, HOUR) - HOUR
    since, length = until - count * 5 * MINUTE, 5 * MINUTE
    hole = since + 20_000 * length, since + 20_003 * length
    store_many(btc, since, count, without=hole)
    found = candles.read(asset_id=btc, interval="5m", since=since, until=until, now=now)
    rows = list(found.rows)
    assert [row[0] for row in rows] == [
        at for at in stretch(since, until, length) if not hole[0] <= at < hole[1]
    ]
    assert rows[1] == (since + length, D(101), D(103), D(100), D(102), D("2.5"), True)
    assert [(gap.since, gap.until, gap.reason) for gap in found.gaps] == [(*hole, "not_fetched")]
    (first,) = list(
        candles.read(asset_id=btc, interval="5m", since=since, until=since + length, now=now).rows
    )
    assert first == rows[0]


def store_many(asset_id, since, count, without):
    """Candles of five minutes, the nth of which opens at 100 + n dollars."""
    months = {(since + number * DAY).replace(day=1).date() for number in range(count // 288 + 2)}
    partitions.ensure(
        "candles", first=min(months), last=max(months), protected=False
    )  # fmt: skip
    with database.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO candles (asset_id, interval, at, open, high, low, close, volume, source,
                                 closed, fetched_at)
            SELECT %(asset)s, '5m', at, 100 + n, 102 + n, 99 + n, 101 + n, 2.5, 'test', true, now()
            FROM generate_series(0, %(count)s - 1) AS n,
                 LATERAL (SELECT %(since)s::timestamptz + n * interval '5 minutes' AS at) AS begun
            WHERE at < %(hole)s OR at >= %(end)s
            """,
            {"asset": asset_id, "count": count, "since": since, "hole": without[0],
             "end": without[1]},
        )  # fmt: skip
