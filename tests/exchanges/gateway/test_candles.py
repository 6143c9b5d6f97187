"""Candles in the shapes that exchanges give: exact, paged to the end, and none made up."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from exchanges import gateway
from exchanges.gateway import errors
from exchanges.reports import Candle
from tests.exchanges.gateway.replay import ReplayServer, Status

D = Decimal
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
START = datetime(2024, 1, 1, tzinfo=UTC)
KLINES, INFO = "/api/v3/klines", "/api/v3/exchangeInfo"
SYMBOL = {"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT", "status": "BREAK"}


def ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def row(start: datetime, close: Any) -> list[Any]:
    return [ms(start), "1", "2", "0.5", close, "10", ms(start) + 1, "10", 1, "5", "5", "0"]


def binance(server: ReplayServer, rows: list[list[Any]], *, most: int = 1000) -> None:
    """Binance with some candles, which gives at most ``most`` of them at once."""

    def klines(params: dict[str, str]) -> Any:
        since, until = int(params["startTime"]), int(params["endTime"])
        found = [candle for candle in rows if since <= candle[0] <= until]
        return found[: min(int(params["limit"]), most)]

    server.answers |= {INFO: {"symbols": [SYMBOL]}, KLINES: klines}


def fetched(since: datetime, until: datetime, interval: str = "1d") -> list[Candle]:
    return gateway.fetch_candles(
        "binance", market="BTCUSDT", interval=interval, since=since, until=until
    )


def test_a_close_keeps_every_digit(server: ReplayServer) -> None:
    binance(server, [row(START, "0.000000000000000001"), row(START + DAY, "1234567890123456.5")])
    assert [(candle.start, candle.close) for candle in fetched(START, START + 2 * DAY)] == [
        (START, D("0.000000000000000001")),
        (START + DAY, D("1234567890123456.5")),
    ]


def test_a_candle_is_told_whole(server: ReplayServer) -> None:
    binance(server, [[ms(START), "1.10", "2.5", "0.50", "2", "10.000000000000000001"]])
    assert fetched(START, START + DAY) == [
        Candle(START, D(2), D("1.1"), D("2.5"), D("0.5"), D("10.000000000000000001"))
    ]


@pytest.mark.parametrize("broken", ["0", "-1", "", None, "abc", "NaN", []])
@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_price_that_is_none_leaves_the_close_and_the_others(
    server: ReplayServer, place: int, broken: Any
) -> None:
    told: list[Any] = [ms(START), "1", "3", "0.5", "2", "10"]
    told[place] = broken
    binance(server, [told])
    (found,) = fetched(START, START + DAY)
    prices = [found.open, found.high, found.low]
    expected: list[D | None] = [D(1), D(3), D("0.5")]
    expected[place - 1] = None
    assert (prices, found.close, found.volume) == (expected, D(2), D(10))


@pytest.mark.parametrize(
    ("told", "volume"), [(["0"], D(0)), (["-1"], None), ([None], None), (["x"], None), ([], None)]
)
def test_a_volume_may_be_nothing_but_not_less_and_may_be_missing(
    server: ReplayServer, told: list[Any], volume: D | None
) -> None:
    binance(server, [[ms(START), "1", "3", "0.5", "2", *told]])
    assert [candle.volume for candle in fetched(START, START + DAY)] == [volume]


@pytest.mark.parametrize("interval", ["5m", "15m", "1h", "1d"])
def test_an_interval_goes_out_under_its_own_name(server: ReplayServer, interval: str) -> None:
    binance(server, [row(START, "5")])
    assert len(fetched(START, START + DAY, interval)) == 1
    assert {params["interval"] for params in server.of(KLINES)} == {interval}


def test_an_interval_that_an_exchange_does_not_know_is_not_asked_for(server: ReplayServer) -> None:
    binance(server, [])
    with pytest.raises(errors.Unsupported):
        fetched(START, START + DAY, "3m")
    assert server.of(KLINES) == []


def test_a_number_without_quotes_keeps_its_digits_too(server: ReplayServer) -> None:
    plain = json.dumps([row(START, 0)]).replace(', 0, "10"', ', 0.12345678901234567890, "10"')
    server.answers |= {INFO: {"symbols": [SYMBOL]}, KLINES: plain}
    assert [candle.close for candle in fetched(START, START + DAY)] == [D("0.12345678901234567890")]


@pytest.mark.parametrize("most", [1000, 300, 7])
def test_all_pages_are_read_however_few_rows_one_holds(server: ReplayServer, most: int) -> None:
    """ccxt's own pagination stops silently at ten calls."""
    count = 2500 if most > 7 else 120
    binance(server, [row(START + n * HOUR, str(n + 1)) for n in range(count)], most=most)
    found = fetched(START, START + count * HOUR, "1h")
    assert [candle.close for candle in found] == [D(n + 1) for n in range(count)]


def test_what_is_outside_of_the_stretch_is_left_out(server: ReplayServer) -> None:
    server.answers |= {
        INFO: {"symbols": [SYMBOL]},
        KLINES: [row(START + n * DAY, "1") for n in range(-3, 9)],
    }
    found = fetched(START, START + 4 * DAY)
    assert [candle.start for candle in found] == [START + n * DAY for n in range(4)]


def test_a_listing_after_the_beginning_and_a_hole_end_no_reading(server: ReplayServer) -> None:
    listed, hole = START + 3000 * HOUR, START + 3100 * HOUR
    rows = [row(listed, "1"), row(listed + HOUR, "2"), row(hole + 1500 * HOUR, "3")]
    binance(server, rows)
    assert [c.close for c in fetched(START, START + 6000 * HOUR, "1h")] == [D(1), D(2), D(3)]


def test_the_reading_ends_where_nothing_ever_comes(server: ReplayServer) -> None:
    binance(server, [])
    assert fetched(START, START + 2500 * DAY) == []
    assert len(server.of(KLINES)) == 3


@pytest.mark.parametrize("close", ["0", "-1", "", None, "abc", "NaN", [], "1e400"])
def test_a_close_that_is_no_price_is_left_out(server: ReplayServer, close: Any) -> None:
    binance(server, [row(START, "5"), row(START + DAY, close), row(START + 2 * DAY, "6")])
    assert [candle.close for candle in fetched(START, START + 3 * DAY)] == [D(5), D(6)]


@pytest.mark.parametrize("broken", [[1704067200000], "row", None, 7, {}, ["x", 1, 1, 1, "2"]])
def test_a_row_that_is_no_candle_is_left_out(server: ReplayServer, broken: Any) -> None:
    server.answers |= {INFO: {"symbols": [SYMBOL]}, KLINES: [broken, row(START, "5")]}
    assert [candle.close for candle in fetched(START, START + DAY)] == [D(5)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"symbols": []}, errors.Malformed),
        (Status(400, {"code": -1121, "msg": "Invalid symbol."}), errors.SymbolUnknown),
        (Status(429, {"code": -1003, "msg": "slow"}, {"Retry-After": "1"}), errors.RateLimited),
        (Status(503, "<html>"), errors.Unreachable),
    ],
)
def test_what_goes_wrong_is_told_in_our_errors(
    server: ReplayServer, answer: Any, expected: type[errors.GatewayError]
) -> None:
    server.answers |= {INFO: {"symbols": [SYMBOL]}, KLINES: answer}
    with pytest.raises(expected):
        fetched(START, START + DAY)


def test_closed_markets_are_listed_too(server: ReplayServer) -> None:
    server.answers[INFO] = {"symbols": [SYMBOL]}
    (found,) = gateway.fetch_markets("binance")
    assert (found.market, found.base_code, found.quote_code) == ("BTCUSDT", "BTC", "USDT")


# --- through ccxt's unified method --------------------------------------------------------------


@pytest.fixture
def kraken(server: ReplayServer) -> Callable[[list[datetime]], None]:
    """Kraken's way: it takes no end, and its newest 720 candles are all it knows."""

    def answer(starts: list[datetime]) -> None:
        def ohlc(params: dict[str, str]) -> Any:
            found = [
                [ms(at) // 1000, "1", "2", "0.5", "43.21", "1.5", "9.12", 4]
                for at in starts[-720:]
                if ms(at) // 1000 > int(params["since"])
            ]
            return {"error": [], "result": {"XXBTZUSD": found, "last": 0}}

        pair = {
            "altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD",
            "pair_decimals": 1, "lot_decimals": 8, "lot_multiplier": 1, "leverage_buy": [],
            "fees": [[0, 0.26]], "fees_maker": [[0, 0.16]], "ordermin": "0.0001",
            "status": "online",
        }  # fmt: skip
        coins = {
            name: {"aclass": "currency", "altname": plain, "decimals": 10, "status": "enabled"}
            for name, plain in (("XXBT", "XBT"), ("ZUSD", "USD"))
        }
        server.answers |= {
            "/0/public/AssetPairs": {"error": [], "result": {"XXBTZUSD": pair}},
            "/0/public/Assets": {"error": [], "result": coins},
            "/0/public/OHLC": ohlc,
        }

    return answer


def test_an_exchange_that_knows_only_its_newest_candles(
    server: ReplayServer, kraken: Callable[[list[datetime]], None]
) -> None:
    kraken([START + n * DAY for n in range(2000)])
    found = gateway.fetch_candles(
        "kraken", market="BTC/USD", interval="1d", since=START, until=START + 2000 * DAY
    )
    assert [candle.start for candle in found] == [START + n * DAY for n in range(1280, 2000)]
    assert {candle.close for candle in found} == {D("43.21")}
    assert len(server.of("/0/public/OHLC")) <= 4
