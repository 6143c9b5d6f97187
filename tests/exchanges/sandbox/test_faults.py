"""The switchboard: what goes wrong, where, and how often."""

import asyncio

import ccxt
import orjson
import pytest

from exchanges.sandbox import violations, wire
from exchanges.sandbox.faults import acts, fault, switchboard
from tests.exchanges.sandbox import callers

ACCOUNT = "/api/v3/account"
NOW = 1_760_000_400_000


@pytest.fixture
def switch(sandbox):
    """Switches faults on, and all of them off at the end."""

    def on(**wanted):
        answer = callers.control(sandbox, "POST", "faults", {"path": ACCOUNT} | wanted)
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


@pytest.mark.parametrize("broken", [{"kind": "garbage", "broken": "json"}, {"kind": "truncate"}])
def test_broken_json_is_a_valid_answer_of_http(sandbox, switch, broken):
    switch(**broken, count=1)
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
            path = f"faults/{hanging['id']}"
            while not await asyncio.to_thread(requested, sandbox, before):
                pass
            await asyncio.to_thread(callers.control, sandbox, "DELETE", path)
            return await asked

    before = requests(sandbox)
    hanging = switch(kind="hang")
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
    active = switch(kind="truncate", account=3, count=5)
    assert callers.control(sandbox, "GET", "faults").json["faults"] == [active]


@pytest.mark.parametrize(
    "unreadable",
    [
        {},
        {"kind": "earthquake"},
        {"kind": "drop", "count": 0},
        {"kind": "drop", "colour": "red"},
        {"kind": "drop", "lasts": 0},
        {"kind": "drop", "lasts": "long"},
        {"kind": "delay", "seconds": "long"},
        {"kind": "status", "status": True},
        {"kind": "delisted"},
        {"kind": "coarse_times"},
        {"kind": "schema", "change": "colour"},
        {"kind": "lost_answer", "by": "magic"},
        {"kind": "drop", "told": {}},
    ],
)
def test_unreadable_faults_are_refused(unreadable):
    with pytest.raises(fault.FaultError):
        switchboard.Switchboard().add(unreadable, now=NOW)


class Spoken:
    """A dialect that no request is about a symbol in."""

    def asks_for(self, call, symbol):
        return False


def request(path="/", account=None, now=NOW):
    call = wire.Call("GET", path, "", "", {}, "127.0.0.1")
    return fault.Request(call, Spoken(), account, now)


def test_a_hang_that_is_used_up_still_ends_when_it_is_switched_off():
    async def hang():
        board = switchboard.Switchboard()
        added = board.add({"kind": "hang", "count": 1}, now=NOW)
        met = board.taken(request())
        assert not board
        waiting = asyncio.create_task(acts.before(met, request(), violations.Violations()))
        board.remove(added.id)
        return await waiting

    assert asyncio.run(hang()) is None


def test_several_faults_meet_one_request():
    board = switchboard.Switchboard()
    board.add({"kind": "clock", "milliseconds": 5, "path": "/api"}, now=NOW)
    board.add({"kind": "clock", "milliseconds": 7, "count": 1}, now=NOW)
    assert acts.skew(board.taken(request("/api/v3/time"))) == 12
    assert acts.skew(board.taken(request("/api/v3/time"))) == 5
    assert acts.skew(board.taken(request("/sapi/v1/x", 3))) == 0


def test_a_fault_ends_when_its_time_is_over():
    board = switchboard.Switchboard()
    board.add({"kind": "drop", "lasts": 2}, now=NOW)
    assert board.taken(request(now=NOW + 1_999))
    assert board.taken(request(now=NOW + 2_000)) == []
    assert board.all(now=NOW + 2_000) == []
