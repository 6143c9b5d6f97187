"""The switchboard: what goes wrong, where, and how often."""

import asyncio
import time

import ccxt
import orjson
import pytest

from exchanges.sandbox import violations, wire
from exchanges.sandbox.faults import acts, fault, switchboard
from tests.exchanges.sandbox import callers, krakens

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


TRADES = "/api/v3/myTrades"


def violations_of(sandbox, kind):
    return callers.control(sandbox, "GET", "violations").json["by_kind"].get(kind, 0)


def test_a_storm_lasts_for_so_many_requests_and_counts_who_does_not_wait(sandbox, switch):
    before = violations_of(sandbox, "over_limit_after_429")
    switch(kind="storm", count=3, retry_after=30)
    answers = [callers.signed(sandbox, ACCOUNT) for _ in range(4)]
    assert [answer.status for answer in answers] == [429, 429, 429, 200]
    assert answers[0].headers["Retry-After"] == "30"
    assert answers[0].json["code"] == -1003
    # The first answer tells; the two after it did not wait.
    assert violations_of(sandbox, "over_limit_after_429") == before + 2


def test_a_storm_may_last_for_a_time(sandbox, switch):
    switch(kind="storm", lasts=300)
    assert 299 <= int(callers.signed(sandbox, ACCOUNT).headers["Retry-After"]) <= 300


def test_every_call_during_a_ban_is_a_violation_once_it_was_told(sandbox, switch):
    before = violations_of(sandbox, "request_during_ban")
    switch(kind="ban", lasts=120, path="/")
    answers = [callers.signed(sandbox, path) for path in (ACCOUNT, TRADES, ACCOUNT)]
    assert [(answer.status, answer.json["code"]) for answer in answers] == [(418, -1003)] * 3
    assert 119 <= int(answers[0].headers["Retry-After"]) <= 120
    assert violations_of(sandbox, "request_during_ban") == before + 2
    told = krakens.signed(sandbox, "Balance")
    assert told.json == {"error": ["EGeneral:Temporary lockout"]}
    assert violations_of(sandbox, "request_during_ban") == before + 3


def test_an_answer_is_lost_after_the_request_took_effect(sandbox, switch):
    weight = used_weight(sandbox)
    switch(kind="lost_answer", count=1)
    with pytest.raises(ConnectionError):
        callers.signed(sandbox, ACCOUNT)
    assert used_weight(sandbox) == weight + 20
    assert callers.signed(sandbox, ACCOUNT).status == 200


def used_weight(sandbox) -> int:
    return callers.control(sandbox, "GET", "stats").json["weight"].get(ACCOUNT, 0)


def test_a_nonce_is_used_although_its_answer_is_lost(sandbox, switch):
    nonce = int(time.time() * 1000) + 20_000_000
    switch(kind="lost_answer", count=1, path="/0/private/")
    with pytest.raises(ConnectionError):
        krakens.signed(sandbox, "Balance", account=32, nonce=nonce)
    again = krakens.signed(sandbox, "Balance", account=32, nonce=nonce)
    assert again.json == {"error": ["EAPI:Invalid nonce"]}
    assert krakens.signed(sandbox, "Balance", account=32, nonce=nonce + 1).json["error"] == []


def test_an_answer_may_be_lost_by_never_coming(sandbox, switch):
    weight = used_weight(sandbox)
    switch(kind="lost_answer", by="hang")
    with pytest.raises(ccxt.RequestTimeout):
        asyncio.run(balance(sandbox, timeout=200))
    assert used_weight(sandbox) == weight + 20


def fills(sandbox):
    symbol = callers.books(sandbox, 0)["facts"]["trades"][0]
    params = {"symbol": f"{symbol['base']}{symbol['quote']}", "fromId": 0}
    return callers.signed(sandbox, TRADES, params).json


def test_a_page_may_end_early_and_still_be_json(sandbox, switch):
    rows = fills(sandbox)
    assert len(rows) > 3
    switch(kind="short_page", path=TRADES, count=1)
    assert fills(sandbox) == rows[: len(rows) // 2]
    assert fills(sandbox) == rows


def test_rows_may_come_twice(sandbox, switch):
    rows = fills(sandbox)
    switch(kind="duplicates", path=TRADES, count=1)
    assert fills(sandbox) == [row for row in rows for _ in range(2)]


def test_rows_may_come_in_another_order(sandbox, switch):
    rows = fills(sandbox)
    switch(kind="reordered", path=TRADES, count=1)
    shuffled = fills(sandbox)
    assert sorted(shuffled, key=lambda row: row["id"]) == rows
    assert shuffled not in (rows, rows[::-1])


@pytest.mark.parametrize("kind", ["short_page", "reordered", "garbage"])
def test_pages_of_rows_by_id_are_changed_as_well(sandbox, switch, kind):
    rows = krakens.signed(sandbox, "Ledgers", account=33).json["result"]["ledger"]
    switch(kind=kind, path="/0/private/Ledgers", count=1)
    changed = krakens.signed(sandbox, "Ledgers", account=33).json["result"]["ledger"]
    assert len(changed) == {"short_page": 25}.get(kind, 50)
    same = [name for name, row in changed.items() if rows[name] == row]
    assert len(same) == {"short_page": 25, "garbage": 49}.get(kind, 50)
    assert (list(changed) == list(rows)) is (kind == "garbage")


def test_a_field_may_be_renamed(sandbox, switch):
    rows = fills(sandbox)
    switch(kind="schema", change="rename", field="qty", path=TRADES, count=1)
    renamed = fills(sandbox)
    assert [row["qtyV2"] for row in renamed] == [row["qty"] for row in rows]
    assert all("qty" not in row for row in renamed)


def test_a_field_may_change_its_type(sandbox, switch):
    rows = fills(sandbox)
    switch(kind="schema", change="type", field="price", path=TRADES, count=1)
    assert [row["price"] for row in fills(sandbox)] == [{"value": r["price"]} for r in rows]


def test_the_whole_envelope_may_change(sandbox, switch):
    rows = fills(sandbox)
    switch(kind="schema", change="envelope", path=TRADES, count=1)
    assert fills(sandbox) == {"version": 2, "data": {"items": rows}}


def test_a_delisted_symbol_is_unknown_and_the_others_are_not(sandbox, switch):
    switch(kind="delisted", symbol="BTCUSDT", path="/api/")
    for path in ("/api/v3/klines?interval=1d&symbol=", "/api/v3/ticker/price?symbol="):
        gone = callers.send("GET", f"{sandbox.url}{path}BTCUSDT")
        assert (gone.status, gone.json["code"]) == (400, -1121)
        assert callers.send("GET", f"{sandbox.url}{path}ETHUSDT").status == 200
    assert callers.signed(sandbox, TRADES, {"symbol": "BTCUSDT"}).json["code"] == -1121


def test_a_delisted_pair_of_kraken_is_unknown(sandbox, switch):
    switch(kind="delisted", symbol="XXBTZEUR", path="/0/")
    assert krakens.public(sandbox, "Ticker", "pair=XXBTZEUR") == {
        "error": ["EQuery:Unknown asset pair"]
    }
    assert krakens.public(sandbox, "Ticker", "pair=XETHZEUR")["error"] == []


def test_many_rows_share_a_millisecond_while_times_are_coarse(sandbox, switch):
    day = 86_400_000
    exact = fills(sandbox)
    switch(kind="coarse_times", milliseconds=30 * day, path="/")
    rows = fills(sandbox)
    assert [row["id"] for row in rows] == [row["id"] for row in exact]
    assert {row["time"] % (30 * day) for row in rows} == {0}
    assert len({row["time"] for row in rows}) < len(rows)
    ledger = krakens.signed(sandbox, "Ledgers", account=34).json["result"]["ledger"]
    assert {int(row["time"]) % (30 * day // 1000) for row in ledger.values()} == {0}


def test_a_body_that_trickles_arrives_whole_or_too_late(sandbox, switch):
    whole = callers.signed(sandbox, ACCOUNT).json
    switch(kind="drip", seconds=0.05, count=1)
    assert callers.signed(sandbox, ACCOUNT).json == whole
    switch(kind="drip", seconds=600)
    with pytest.raises(ccxt.RequestTimeout):
        asyncio.run(balance(sandbox, timeout=200))


@pytest.mark.parametrize("milliseconds", [90_000, -90_000])
def test_krakens_clock_may_be_wrong_and_its_nonces_do_not_mind(sandbox, switch, milliseconds):
    true = krakens.public(sandbox, "Time")["result"]["unixtime"]
    switch(kind="clock", milliseconds=milliseconds, path="/0/")
    skewed = krakens.public(sandbox, "Time")["result"]["unixtime"]
    assert abs(skewed - true - milliseconds // 1000) < 60
    assert krakens.signed(sandbox, "Balance", account=35).json["error"] == []


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
