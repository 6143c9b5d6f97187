"""What Binance refuses, refused in its codes and statuses, and counted."""

import asyncio
import time

import ccxt
import pytest

from tests.exchanges.sandbox import callers

DAY = 86_400_000
ACCOUNT, TRADES = "/api/v3/account", "/api/v3/myTrades"


def refusal(answer: callers.Answer) -> tuple[int, int]:
    return answer.status, answer.json["code"]


def counted(sandbox, kind: str) -> int:
    return callers.control(sandbox, "GET", "violations").json["by_kind"].get(kind, 0)


async def balance(sandbox, **settings):
    async with callers.binance(sandbox, **settings) as exchange:
        exchange.options.update(callers.PUBLIC_MARKETS)
        return await exchange.fetch_balance()


def test_unknown_key_is_an_authentication_error(sandbox):
    with pytest.raises(ccxt.AuthenticationError):
        asyncio.run(balance(sandbox, apiKey="x" * 64))


def test_wrong_secret_is_an_authentication_error(sandbox):
    with pytest.raises(ccxt.AuthenticationError):
        asyncio.run(balance(sandbox, secret="x" * 64))


def test_key_without_reading_is_an_authentication_error(sandbox):
    with pytest.raises(ccxt.AuthenticationError):
        asyncio.run(balance(sandbox, role="restricted"))


@pytest.mark.parametrize("offset", [-90_000, 90_000])
def test_wrong_clock_is_an_invalid_nonce(sandbox, offset):
    async def fetch():
        async with callers.binance(sandbox) as exchange:
            exchange.options.update(callers.PUBLIC_MARKETS, timeDifference=offset)
            return await exchange.fetch_balance()

    before = counted(sandbox, "stale_timestamp")
    with pytest.raises(ccxt.InvalidNonce):
        asyncio.run(fetch())
    assert counted(sandbox, "stale_timestamp") == before + 1


def test_unknown_symbol_is_a_bad_symbol(sandbox):
    async def fetch():
        async with callers.binance(sandbox) as exchange:
            await exchange.private_get_mytrades({"symbol": "NOSUCH"})

    with pytest.raises(ccxt.BadSymbol):
        asyncio.run(fetch())


@pytest.mark.parametrize(
    ("spoilt", "expected"),
    [
        ({"headers": {"Accept": "*/*"}}, (401, -2014)),
        ({"headers": {"X-MBX-APIKEY": "short"}}, (401, -2014)),
        ({"headers": {"X-MBX-APIKEY": "x" * 64}}, (401, -2015)),
        ({"secret": "x" * 64}, (400, -1022)),
        ({"drop": "signature"}, (400, -1102)),
        ({"drop": "timestamp"}, (400, -1102)),
        ({"role": "restricted"}, (401, -2015)),
        ({"params": {"timestamp": 1_500_000_000_000}}, (400, -1021)),
        ({"params": {"timestamp": 9_500_000_000_000}}, (400, -1021)),
        ({"params": {"timestamp": "soon"}}, (400, -1100)),
        ({"params": {"recvWindow": 60_001}}, (400, -1131)),
    ],
)
def test_unsound_requests(sandbox, spoilt, expected):
    assert refusal(callers.signed(sandbox, ACCOUNT, **spoilt)) == expected


def test_receive_window_bears_a_late_request(sandbox):
    late = int(time.time() * 1000) - 30_000
    params = {"timestamp": late, "recvWindow": 60_000}
    assert callers.signed(sandbox, ACCOUNT, params).status == 200


def test_signature_covers_the_query_as_sent(sandbox):
    odd = {"asset": "B T+C/ü&=", "size": 10}
    path = "/sapi/v1/simple-earn/flexible/position"
    assert callers.signed(sandbox, path, odd).status == 200


@pytest.mark.parametrize(
    ("path", "params", "code", "kind"),
    [
        (TRADES, {}, -1102, "missing_symbol"),
        (TRADES, {"symbol": "NOSUCH"}, -1121, "unknown_symbol"),
        (TRADES, {"symbol": "BTCUSDT", "limit": 1001}, -1130, "page_limit_exceeded"),
        (
            TRADES,
            {"symbol": "BTCUSDT", "fromId": 0, "startTime": DAY},
            -1128,
            "illegal_parameter_combination",
        ),
        (
            TRADES,
            {"symbol": "BTCUSDT", "startTime": DAY, "endTime": 2 * DAY + 1},
            -1127,
            "window_too_long",
        ),
        (
            "/sapi/v1/capital/deposit/hisrec",
            {"startTime": DAY, "endTime": 92 * DAY},
            -1127,
            "window_too_long",
        ),
        ("/sapi/v1/capital/deposit/hisrec", {"limit": 1001}, -1130, "page_limit_exceeded"),
        (
            "/sapi/v1/capital/withdraw/history",
            {"startTime": DAY, "endTime": 92 * DAY},
            -1127,
            "window_too_long",
        ),
        ("/sapi/v1/convert/tradeFlow", {"startTime": DAY}, -1102, "missing_parameter"),
        (
            "/sapi/v1/convert/tradeFlow",
            {"startTime": DAY, "endTime": 32 * DAY},
            -1127,
            "window_too_long",
        ),
        ("/sapi/v1/asset/assetDividend", {"limit": 501}, -1130, "page_limit_exceeded"),
        (
            "/sapi/v1/asset/assetDividend",
            {"startTime": DAY, "endTime": 182 * DAY},
            -1127,
            "window_too_long",
        ),
        ("/sapi/v1/fiat/orders", {}, -1102, "missing_parameter"),
        ("/sapi/v1/asset/transfer", {}, -1102, "missing_parameter"),
        (
            "/sapi/v1/simple-earn/flexible/history/rewardsRecord",
            {"type": "ALL", "size": 101},
            -1130,
            "page_limit_exceeded",
        ),
        (
            "/sapi/v1/simple-earn/locked/history/subscriptionRecord",
            {"startTime": DAY, "endTime": 92 * DAY},
            -1127,
            "window_too_long",
        ),
        ("/api/v3/nowhere", {}, -1000, "unknown_endpoint"),
    ],
)
def test_illegal_parameters_are_refused_and_counted(sandbox, path, params, code, kind):
    before = counted(sandbox, kind)
    answer = callers.signed(sandbox, path, params)
    assert answer.status in (400, 404)
    assert answer.json["code"] == code
    assert counted(sandbox, kind) == before + 1


def test_violations_can_be_reset(sandbox):
    callers.signed(sandbox, TRADES)
    assert counted(sandbox, "missing_symbol")
    assert callers.control(sandbox, "DELETE", "violations").json == {
        "total": 0, "by_kind": {}, "by_address": {},
    }  # fmt: skip
