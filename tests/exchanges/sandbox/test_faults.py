"""The switchboard: what goes wrong, where, and how often."""

import asyncio

import ccxt
import orjson
import pytest

from exchanges.sandbox import faults
from tests.exchanges.sandbox import callers

ACCOUNT = "/api/v3/account"


@pytest.fixture
def switch(sandbox):
    """Switches faults on, and all of them off at the end."""

    def on(**fault):
        answer = callers.control(sandbox, "POST", "faults", {"path": ACCOUNT} | fault)
        assert answer.status == 200, answer.text
        return answer.json

    yield on
    callers.control(sandbox, "DELETE", "faults")


async def balance(sandbox, account=0, **settings):
    async with callers.binance(sandbox, account=account, **settings) as exchange:
        return await exchange.private_get_account()


def test_status_with_a_body_as_often_as_asked(sandbox, switch):
    switch(kind="status", status=503, body={"code": -1001, "msg": "Unknown error"}, count=2)
    answers = [callers.signed(sandbox, ACCOUNT) for _ in range(3)]
    assert [answer.status for answer in answers] == [503, 503, 200]
    assert answers[0].json == {"code": -1001, "msg": "Unknown error"}


def test_status_may_carry_headers(sandbox, switch):
    switch(kind="status", status=429, headers={"Retry-After": "7"}, count=1)
    assert callers.signed(sandbox, ACCOUNT).headers["Retry-After"] == "7"


def test_a_fault_of_one_account_spares_the_others(sandbox, switch):
    switch(kind="status", status=500, account=1)
    assert callers.signed(sandbox, ACCOUNT, account=1).status == 500
    assert callers.signed(sandbox, ACCOUNT, account=2).status == 200


def test_a_fault_of_one_path_spares_the_others(sandbox, switch):
    switch(kind="status", status=500)
    assert callers.signed(sandbox, "/api/v3/myTrades", {"symbol": "BTCUSDT"}).status == 200


def test_garbage_is_one_bad_row_among_good_ones(sandbox, switch):
    good = callers.signed(sandbox, ACCOUNT).json["balances"]
    switch(kind="garbage", count=1)
    rows = callers.signed(sandbox, ACCOUNT).json["balances"]
    assert [row for row in rows if row in good] == good
    assert len(rows) == len(good) + 1


@pytest.mark.parametrize("fault", [{"kind": "garbage", "broken": "json"}, {"kind": "truncate"}])
def test_broken_json_is_a_valid_answer_of_http(sandbox, switch, fault):
    switch(**fault, count=1)
    answer = callers.signed(sandbox, ACCOUNT)
    assert answer.status == 200
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(answer.text)


def test_a_dropped_connection_is_a_network_error(sandbox, switch):
    switch(kind="drop")
    with pytest.raises(ccxt.NetworkError):
        asyncio.run(balance(sandbox))


def test_a_hang_lasts_until_the_caller_gives_up(sandbox, switch):
    switch(kind="hang")
    with pytest.raises(ccxt.RequestTimeout):
        asyncio.run(balance(sandbox, timeout=100))


def test_a_hang_ends_when_it_is_switched_off(sandbox, switch):
    async def fetch():
        async with callers.binance(sandbox) as exchange:
            asked = asyncio.create_task(exchange.private_get_account())
            path = f"faults/{fault['id']}"
            while not await asyncio.to_thread(requested, sandbox, before):
                pass
            await asyncio.to_thread(callers.control, sandbox, "DELETE", path)
            return await asked

    before = requests(sandbox)
    fault = switch(kind="hang")
    assert asyncio.run(fetch())["accountType"] == "SPOT"


def requests(sandbox) -> int:
    return callers.control(sandbox, "GET", "stats").json["requests"].get(ACCOUNT, 0)


def requested(sandbox, before: int) -> bool:
    return requests(sandbox) > before


def test_a_skewed_clock_is_seen_by_time_and_by_signatures(sandbox, switch):
    true = callers.send("GET", f"{sandbox.url}/api/v3/time").json["serverTime"]
    switch(kind="clock", milliseconds=90_000, path="/api/v3/")
    skewed = callers.send("GET", f"{sandbox.url}/api/v3/time").json["serverTime"]
    assert skewed - true >= 90_000
    assert callers.signed(sandbox, ACCOUNT).json["code"] == -1021


def test_a_caller_that_asks_for_the_time_copes_with_a_skewed_clock(sandbox, switch):
    async def fetch():
        async with callers.binance(sandbox) as exchange:
            exchange.options.update(callers.PUBLIC_MARKETS, adjustForTimeDifference=True)
            await exchange.load_markets()
            return await exchange.private_get_account()

    switch(kind="clock", milliseconds=-90_000, path="/")
    assert asyncio.run(fetch())["accountType"] == "SPOT"


def test_a_delay_is_waited_out(sandbox, switch):
    switch(kind="delay", seconds=0.001, count=1)
    assert callers.signed(sandbox, ACCOUNT).status == 200
    assert callers.control(sandbox, "GET", "faults").json == {"faults": []}


def test_active_faults_are_listed(sandbox, switch):
    fault = switch(kind="truncate", account=3, count=5)
    assert callers.control(sandbox, "GET", "faults").json["faults"] == [fault]


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"kind": "earthquake"},
        {"kind": "drop", "count": 0},
        {"kind": "drop", "colour": "red"},
        {"kind": "delay", "seconds": "long"},
        {"kind": "status", "status": True},
    ],
)
def test_unreadable_faults_are_refused(fault):
    with pytest.raises(faults.FaultError):
        faults.Switchboard().add(fault)


def test_a_hang_that_is_used_up_still_ends_when_it_is_switched_off():
    async def hang():
        switchboard = faults.Switchboard()
        fault = switchboard.add({"kind": "hang", "count": 1})
        met = switchboard.taken("/", None)
        assert not switchboard
        waiting = asyncio.create_task(faults.before(met))
        switchboard.remove(fault.id)
        return await waiting

    assert asyncio.run(hang()) is None


def test_several_faults_meet_one_request():
    switchboard = faults.Switchboard()
    switchboard.add({"kind": "clock", "milliseconds": 5, "path": "/api"})
    switchboard.add({"kind": "clock", "milliseconds": 7, "count": 1})
    assert faults.skew(switchboard.taken("/api/v3/time", None)) == 12
    assert faults.skew(switchboard.taken("/api/v3/time", None)) == 5
    assert faults.skew(switchboard.taken("/sapi/v1/x", 3)) == 0
