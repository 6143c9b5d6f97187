"""Symbols and prices: from the seed, from recorded candles, from a recorded list."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.sandbox import assets, candles, config, market, prices, symbols, testing
from exchanges.sandbox.binance import exchange_info, intervals
from tests.exchanges.sandbox import callers

HOUR = 3_600_000
DAY = 24 * HOUR
ANCHOR = 1_760_000_400_000
instants = st.integers(ANCHOR - 2000 * DAY, ANCHOR + 2000 * DAY)
HEADER = "timestamp,open,high,low,close,volume\n"


def world(**settings) -> market.Market:
    return market.Market(**{"seed": 1, "anchor": ANCHOR} | settings)


@given(instant=instants)
@settings(max_examples=30, deadline=None)
def test_every_symbol_has_a_price_at_any_time(instant):
    found = world()
    for symbol in found.symbols.values():
        price = found.price(symbol, instant)
        assert price > 0
        assert price % symbol.tick == 0


@given(instant=instants)
@settings(max_examples=30, deadline=None)
def test_prices_move_little_in_a_second_and_are_the_same_for_the_same_seed(instant):
    first, second = world(), world()
    for code in ("BTC", "SHIB", "EUR"):
        price = first.usd(code, instant)
        assert price == second.usd(code, instant)
        assert abs(first.usd(code, instant + 1000) - price) < price // 1000


def test_another_seed_gives_other_prices():
    assert world().usd("BTC", ANCHOR) != world(seed=2).usd("BTC", ANCHOR)


@pytest.mark.parametrize("fiat", ["EUR", "GBP", "JPY", "CHF", "AUD", "CAD"])
def test_dollars_cross_to_every_currency(fiat):
    names = world().symbols
    assert {f"{fiat}USDT", f"BTC{fiat}"} & set(names)
    assert {"BTCUSDT", "BNBUSDT", "BNBBTC", "LDOUSDT"} <= set(names)


def test_crossed_prices_agree():
    found = world()
    bitcoin, euro = (found.price(found.symbols[n], ANCHOR) for n in ("BTCUSDT", "EURUSDT"))
    crossed = found.price(found.symbols["BTCEUR"], ANCHOR)
    assert abs(bitcoin / euro / crossed - 1) < Decimal("0.001")


def written(folder, code, interval, rows):
    lines = [f"{at:%Y-%m-%dT%H:%M:%SZ},{','.join(numbers)}" for at, *numbers in rows]
    (folder / f"{code}-USD-{interval}.csv").write_text(HEADER + "\n".join(lines) + "\n")


def recorded_days(count, price=1000):
    start = datetime(2020, 1, 1, tzinfo=UTC)
    for number in range(count):
        opened = price + 10 * number
        numbers = (opened, opened + 25, opened - 15, opened + 10, number + 1)
        yield start + timedelta(days=number), *(str(value) for value in numbers)


def test_recorded_candles_end_at_the_anchor_and_come_back_exactly(tmp_path):
    written(tmp_path, "ETH", "1d", recorded_days(30))
    found = world(candles=candles.load(tmp_path, anchor=ANCHOR))
    symbol = found.symbols["ETHUSDT"]
    last = found.bar(symbol, ANCHOR - DAY, ANCHOR)
    values = (last.open, last.high, last.low, last.close, last.volume)
    assert values == (1290, 1315, 1275, 1300, 30)
    assert found.price(symbol, ANCHOR - 1) == 1300


def test_hours_are_used_where_there_are_any_and_gaps_are_bridged(tmp_path):
    written(tmp_path, "BTC", "1d", recorded_days(3))
    start = datetime(2020, 1, 3, tzinfo=UTC)
    hours = [(start + timedelta(hours=n), "7", "9", "5", "8", "2") for n in range(24) if n != 10]
    written(tmp_path, "BTC", "1h", hours)
    found = world(candles=candles.load(tmp_path, anchor=ANCHOR))
    symbol = found.symbols["BTCUSDT"]
    assert found.bar(symbol, ANCHOR - HOUR, ANCHOR).open == 7
    gap = found.bar(symbol, ANCHOR - 14 * HOUR, ANCHOR - 13 * HOUR)
    assert (gap.volume, gap.low >= 7, gap.high <= 8) == (0, True, True)
    assert found.bar(symbol, ANCHOR - 2 * DAY, ANCHOR - DAY).close == 1020


def test_all_files_are_shifted_by_the_same_time(tmp_path):
    written(tmp_path, "BTC", "1d", recorded_days(10))
    written(tmp_path, "LTC", "1d", recorded_days(5, price=100))
    loaded = candles.load(tmp_path, anchor=ANCHOR + 59_000)
    assert loaded["BTC"][-1].end == ANCHOR
    assert loaded["BTC"][0].start == loaded["LTC"][0].start


@given(offset=st.integers(0, 2000 * DAY))
@settings(max_examples=30, deadline=None)
def test_outside_the_candles_the_price_goes_on_without_a_jump(offset):
    candle = prices.Candle(ANCHOR - DAY, DAY, *(Decimal(n) for n in (100, 120, 90, 110, 5)))
    seeded = prices.SeededPath(seed=1, asset=assets.KNOWN["ETH"])
    path = prices.CandlePath(candles=[candle], beyond=seeded)
    assert path.at(ANCHOR + offset) > 0
    assert path.at(ANCHOR - DAY - offset) > 0
    assert abs(path.at(ANCHOR) - path.at(ANCHOR - 1)) < prices.ONE_USD // 100


@pytest.mark.parametrize("text", ["", HEADER, HEADER + "2020-01-01,x,1,1,1,1\n", "a,b\n1,2\n"])
def test_unreadable_candles_are_refused(tmp_path, text):
    (tmp_path / "BTC-USD-1d.csv").write_text(text)
    with pytest.raises(candles.MarketDataError, match=r"BTC-USD-1d\.csv"):
        candles.load(tmp_path, anchor=ANCHOR)


def test_a_folder_without_candles_is_refused(tmp_path):
    with pytest.raises(candles.MarketDataError, match="no file named like"):
        candles.load(tmp_path, anchor=ANCHOR)


def entry(base, quote, status="TRADING"):
    return {
        "symbol": base + quote,
        "status": status,
        "baseAsset": base,
        "quoteAsset": quote,
        "isMarginTradingAllowed": True,
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.00100000"},
            {"filterType": "LOT_SIZE", "stepSize": "0.01000000"},
            {"filterType": "MIN_NOTIONAL", "minNotional": "10.00000000"},
        ],
    }


@pytest.fixture
def listed(tmp_path):
    """A recorded list with a halted symbol and a coin that the sandbox does not know."""
    rows = [entry("BTC", "USDT"), entry("NEWCOIN", "USDT"), entry("OLDCOIN", "USDT", "BREAK")]
    path = tmp_path / "exchangeInfo.json"
    path.write_text(json.dumps({"symbols": rows}))
    return path


def test_a_recorded_list_is_served_with_what_it_lacks(listed):
    settings = config.Config(exchange_info=listed, accounts=1, trades=20)
    with testing.start(settings) as process:
        served = callers.send("GET", f"{process.url}/api/v3/exchangeInfo").json
        names = {row["symbol"]: row for row in served["symbols"]}
        tickers = callers.send("GET", f"{process.url}/api/v3/ticker/price").json
    assert list(names)[:3] == ["BTCUSDT", "NEWCOINUSDT", "OLDCOINUSDT"]
    assert {"EURUSDT", "GBPUSDT", "AUDUSDT", "BTCJPY", "BTCCHF", "BTCCAD", "BNBBTC"} <= set(names)
    assert names["NEWCOINUSDT"]["isMarginTradingAllowed"] is True
    assert names["NEWCOINUSDT"]["permissionSets"] == [["SPOT", "MARGIN"]]
    assert names["OLDCOINUSDT"]["status"] == "BREAK"
    assert served["rateLimits"][0]["limit"] == 6000
    assert {row["symbol"] for row in tickers} == set(names)


def test_a_halted_symbol_keeps_its_price(listed):
    found = world(listed=exchange_info.read(listed).symbols)
    halted = found.symbols["OLDCOINUSDT"]
    assert found.price(halted, ANCHOR) == found.price(halted, ANCHOR + 10 * DAY)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"symbols": [{"symbol": "BTCUSDT"}]}'])
def test_an_unreadable_list_is_refused(tmp_path, text):
    path = tmp_path / "exchangeInfo.json"
    path.write_text(text)
    with pytest.raises(exchange_info.ExchangeInfoError, match=r"exchangeInfo\.json"):
        exchange_info.read(path)


def test_ticks_and_steps_follow_the_price():
    bitcoin, shiba = symbols.make("BTC", "USDT"), symbols.make("SHIB", "USDT")
    assert (bitcoin.tick, bitcoin.step) == (Decimal("0.01"), Decimal("0.00001"))
    assert (shiba.tick, shiba.step) == (Decimal("0.00000001"), 1)


@pytest.mark.parametrize("interval", intervals.ALL)
def test_candles_of_every_length_join(interval):
    start = intervals.back(interval, ANCHOR, 20)
    spans = list(intervals.spans(interval, start, ANCHOR))
    assert len(spans) == 20
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    assert spans[-1][0] <= ANCHOR < spans[-1][1]


def test_weeks_open_on_mondays_and_months_on_the_first():
    week = datetime.fromtimestamp(intervals.opening("1w", ANCHOR) // 1000, UTC)
    month = datetime.fromtimestamp(intervals.opening("1M", ANCHOR) // 1000, UTC)
    assert (week.weekday(), week.hour) == (0, 0)
    assert (month.day, month.hour) == (1, 0)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("interval=1h", -1102),
        ("symbol=NOSUCH&interval=1h", -1121),
        ("symbol=BTCUSDT&interval=7h", -1120),
    ],
)
def test_illegal_candle_requests(sandbox, query, code):
    answer = callers.send("GET", f"{sandbox.url}/api/v3/klines?{query}")
    assert (answer.status, answer.json["code"]) == (400, code)


def test_tickers_of_chosen_symbols(sandbox):
    chosen = "%5B%22BTCUSDT%22,%22ETHUSDT%22%5D"
    for kind in ("price", "bookTicker", "24hr"):
        rows = callers.send("GET", f"{sandbox.url}/api/v3/ticker/{kind}?symbols={chosen}").json
        assert [row["symbol"] for row in rows] == ["BTCUSDT", "ETHUSDT"]
    one = callers.send("GET", f"{sandbox.url}/api/v3/ticker/price?symbol=BTCUSDT").json
    assert one["symbol"] == "BTCUSDT"
