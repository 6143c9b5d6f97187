"""HTX's answers in their full shapes: many accounts, windows of two days, deducted fees."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from exchanges import gateway
from exchanges.gateway import errors
from exchanges.gateway.dialects import htx
from exchanges.reports import AccountReport, Balance, Credential, Privileges, Trade, Transfer
from tests.exchanges.gateway.conftest import NOW
from tests.exchanges.gateway.ledger import net
from tests.exchanges.gateway.replay import ReplayServer, Status

D = Decimal
Replay = Callable[..., AccountReport]
KEY = Credential("key-of-the-test", "secret-of-the-test")
ACCOUNTS, MATCHES = "/v1/account/accounts", "/v1/order/matchresults"
TRANSFERS, LEDGER = "/v1/query/deposit-withdraw", "/v2/account/ledger"
SPOT: list[Any] = [
    {"currency": "atom", "type": "trade", "balance": "1.100000007177861711",
     "available": "1.100000007177861711", "debt": "0", "seq-num": "11"},
    {"currency": "atom", "type": "frozen", "balance": "0.5", "debt": "0", "seq-num": "12"},
    {"currency": "ksm", "type": "frozen", "balance": "0", "debt": "0", "seq-num": "0"},
    {"currency": "pnt", "type": "trade", "balance": "7", "debt": "0", "seq-num": "0"},
]  # fmt: skip
CROSS: list[Any] = [
    {"currency": "btc", "type": "trade", "balance": "1168.533000000000000000"},
    {"currency": "btc", "type": "frozen", "balance": "0.000000000000000000"},
    {"currency": "btc", "type": "loan", "balance": "-2.433000000000000000"},
    {"currency": "btc", "type": "interest", "balance": "-0.000533000000000000"},
    {"currency": "btc", "type": "transfer-out-available", "balance": "1163.87217467"},
    {"currency": "btc", "type": "loan-available", "balance": "8161.876538350676"},
    {"currency": "usdt", "type": "transfer-out-available", "balance": "-1"},
]  # fmt: skip
MATCH: dict[str, Any] = {
    "symbol": "dogeusdt", "fee-currency": "doge", "source": "spot-web",
    "filled-amount": "0.587616346289181345", "filled-fees": "0.62254395", "filled-points": "0.0",
    "role": "taker", "updated-at": None, "price": "0.69042", "created-at": 1767370117673,
    "fee-deduct-currency": "", "fee-deduct-state": "done", "order-id": 10505067,
    "match-id": 612882223, "trade-id": 708313429, "id": 8208887641319065, "type": "buy-market",
}  # fmt: skip
DEPOSIT: dict[str, Any] = {
    "id": 59781355, "type": "deposit", "sub-type": "NORMAL", "request-id": "zrx-da97-276",
    "currency": "zrx", "chain": "zrx", "tx-hash": "0xda97", "amount": 597.0018,
    "from-addr-tag": "", "address-id": 0, "address": "0x4838", "address-tag": "", "fee": 0,
    "state": "safe", "wallet-confirm": 12, "created-at": 1612820394594,
    "updated-at": 1612492580193,
}  # fmt: skip
WITHDRAWAL: dict[str, Any] = DEPOSIT | {
    "id": 52360978, "type": "withdraw", "tx-hash": "0xd41a", "amount": "1174.49047",
    "fee": "13.778201", "state": "confirmed", "created-at": 1631140110655,
}  # fmt: skip


def ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def ok(data: Any) -> dict[str, Any]:
    return {"status": "ok", "data": data, "ts": 1637644827566}


def account(number: int, kind: str, listed: list[Any]) -> dict[str, Any]:
    return ok({"id": number, "type": kind, "state": "working", "list": listed})


@pytest.fixture
def replay(server: ReplayServer, read: Callable[..., AccountReport]) -> Replay:
    def run(
        matches: Any = (), deposits: Any = (), withdrawals: Any = (), ledger: Any = (), **more: Any
    ) -> AccountReport:
        def transfers(params: dict[str, str]) -> Any:
            found = list(deposits if params["type"] == "deposit" else withdrawals)
            numbers = [str(row.get("id")) for row in found]
            start = numbers.index(params["from"]) if "from" in params else 0
            return ok(found[start : start + int(params["size"])])

        def fills(params: dict[str, str]) -> Any:
            since, until = int(params["start-time"]), int(params["end-time"])
            assert until - since <= 2 * 86_400_000
            return ok([m for m in matches if since <= m["created-at"] <= until][:500])

        def moves(params: dict[str, str]) -> Any:
            since, until = int(params["startTime"]), int(params["endTime"])
            assert (params["accountId"], params["transactTypes"]) == ("50", "transfer")
            found = [row for row in ledger if since <= row["transactTime"] <= until]
            return {"code": 200, "message": "success", "data": found, "ok": True}

        accounts = [
            {"id": 292, "type": "point", "subtype": "", "state": "working"},
            {"id": 51, "type": "super-margin", "subtype": "", "state": "working"},
            {"id": 50, "type": "spot", "subtype": "", "state": "working"},
        ]
        server.answers |= {
            ACCOUNTS: ok(accounts), f"{ACCOUNTS}/50/balance": account(50, "spot", SPOT),
            f"{ACCOUNTS}/51/balance": account(51, "super-margin", CROSS),
            TRANSFERS: transfers, MATCHES: fills, LEDGER: moves,
        }  # fmt: skip
        server.answers |= more.pop("answers", {})
        return read("htx", **more)

    return run


def test_every_account_is_a_wallet_less_what_is_borrowed(replay: Replay) -> None:
    report = replay()
    assert set(report.balances) == {
        Balance("spot", "ATOM", D("1.600000007177861711")),
        Balance("spot", "PENTA", D(7)),  # what HTX calls PNT
        Balance("margin", "BTC", D("1166.099467")),
    }
    assert report.wallets == {"spot", "margin"}
    assert report.failures == ()


def test_one_account_that_fails_leaves_the_others(replay: Replay) -> None:
    report = replay(answers={f"{ACCOUNTS}/51/balance": Status(200, "<html>no</html>")})
    assert {balance.wallet for balance in report.balances} == {"spot"}
    assert [(f.feed, f.scope) for f in report.failures] == [("balances", "margin")]


def test_an_unreadable_row_leaves_its_wallet_unknown(replay: Replay) -> None:
    bad = [*SPOT, {"currency": "eth", "type": "trade", "balance": None}, "row"]
    report = replay(answers={f"{ACCOUNTS}/50/balance": account(50, "spot", bad)})
    assert report.wallets == {"margin"}
    assert {kept.reason for kept in report.quarantined} >= {"balance is missing"}


def test_fills_with_fees_in_every_coin(replay: Replay) -> None:
    sell = MATCH | {
        "id": 1552611026239689, "symbol": "daiusdt", "fee-currency": "usdt", "type": "sell-market",
        "filled-amount": "1038.18", "filled-fees": "2.07532182", "price": "0.9995",
    }  # fmt: skip
    deducted = MATCH | {
        "id": 3, "filled-fees": "0", "filled-points": "0.005826843283532154",
        "fee-deduct-currency": "ht",
    }  # fmt: skip
    points = deducted | {"id": 4, "fee-deduct-currency": "hbpoint"}
    rebate = sell | {"id": 5, "filled-fees": "-0.25", "source": "super-margin-api"}
    report = replay(matches=[MATCH, sell, deducted, points, rebate])
    fills = {f.exchange_id: f for f in report.facts if isinstance(f, Trade)}
    first = fills["8208887641319065"]
    assert (first.symbol, first.side, first.base_quantity, first.quote_quantity) == (
        "DOGE/USDT", "buy", D("0.587616346289181345"), D("0.40570207780497658421490"),
    )  # fmt: skip
    assert {
        name: (f.symbol, f.side, f.fee_code, f.fee_quantity, f.wallet) for name, f in fills.items()
    } == {
        "8208887641319065": ("DOGE/USDT", "buy", "DOGE", D("0.62254395"), "spot"),
        "1552611026239689": ("DAI/USDT", "sell", "USDT", D("2.07532182"), "spot"),
        "3": ("DOGE/USDT", "buy", "HT", D("0.005826843283532154"), "spot"),
        "4": ("DOGE/USDT", "buy", None, None, "spot"),
        "5": ("DAI/USDT", "sell", "USDT", D("-0.25"), "margin"),
    }


@pytest.mark.parametrize(
    ("symbol", "fee_coin", "way", "expected"),
    [
        ("ethbtc", "eth", "buy", ("ETH", "BTC")), ("htusdt", "ht", "buy", ("HT", "USDT")),
        ("newcoinzar", "zar", "sell", ("NEWCOIN", "ZAR")), ("trxht", "", "sell", ("TRX", "HT")),
        ("usdthusd", "usdt", "buy", ("USDT", "HUSD")), ("btc3lusdt", "", "buy", ("BTC3L", "USDT")),
    ],
)  # fmt: skip
def test_symbols_are_split(symbol: str, fee_coin: str, way: str, expected: tuple[str, str]) -> None:
    assert htx.split_symbol(symbol, fee_coin, way) == expected


def test_what_a_fill_cost_can_be_kept(replay: Replay) -> None:
    """Units and a price of eighteen decimals each make more than a column holds."""
    dust = MATCH | {"filled-amount": "1.000000000000000001", "price": "0.000000000000000003"}
    (fill,) = replay(matches=[dust]).facts
    assert isinstance(fill, Trade)
    assert fill.quote_quantity == D("0.000000000000000003")


def test_rows_of_the_other_kind_are_left_to_its_feed(
    replay: Replay, server: ReplayServer, read: Callable[..., AccountReport]
) -> None:
    replay()
    server.answers[TRANSFERS] = ok([DEPOSIT, WITHDRAWAL])
    assert {(f.feed, f.exchange_id) for f in read("htx").facts} == {
        ("deposits", "59781355"), ("withdrawals", "52360978"),
    }  # fmt: skip


def test_fills_go_back_as_far_as_they_are_kept(replay: Replay, server: ReplayServer) -> None:
    days = [MATCH | {"id": n, "created-at": ms(NOW - timedelta(days=2 * n))} for n in range(60)]
    report = replay(matches=days)
    assert len(report.facts) == 60
    first = int(server.of(MATCHES)[0]["start-time"])
    assert 0 < first - ms(NOW - timedelta(days=120)) < 3_600_000


def test_more_fills_in_a_window_than_one_answer_holds(replay: Replay) -> None:
    many = [MATCH | {"id": n, "created-at": ms(NOW) - 60_000 - n * 7} for n in range(1300)]
    assert len(replay(matches=many).facts) == 1300


def test_transfers_settled_pending_and_failed(replay: Replay) -> None:
    report = replay(
        deposits=[DEPOSIT, DEPOSIT | {"id": 2, "state": "confirming"},
                  DEPOSIT | {"id": 3, "state": "orphan"}, DEPOSIT | {"id": 4, "state": "odd"}],
        withdrawals=[WITHDRAWAL, WITHDRAWAL | {"id": 6, "state": "pre-transfer", "tx-hash": ""},
                     WITHDRAWAL | {"id": 7, "state": "wallet-reject"}],
    )  # fmt: skip
    moves = {f.exchange_id: f for f in report.facts if isinstance(f, Transfer)}
    assert {name: move.settled for name, move in moves.items()} == {
        "59781355": True, "2": False, "52360978": True, "6": False,
    }  # fmt: skip
    sent = moves["52360978"]
    assert (sent.code, sent.quantity, sent.fee_code, sent.fee_quantity) == (
        "ZRX", D("1174.49047"), "ZRX", D("13.778201"),
    )  # fmt: skip
    assert (sent.txid, sent.address, sent.network) == ("0xd41a", "0x4838", "zrx")
    assert moves["59781355"].quantity == D("597.0018")
    assert moves["59781355"].fee_quantity is None
    assert [kept.reason for kept in report.quarantined] == ["status is unknown"]


def test_transfers_are_paged_by_the_last_number(replay: Replay, server: ReplayServer) -> None:
    many = [DEPOSIT | {"id": 9000 - n} for n in range(1100)]
    report = replay(deposits=many)
    assert len(report.facts) == 1100
    pages = [p.get("from") for p in server.of(TRANSFERS) if p["type"] == "deposit"]
    assert pages == [None, "8501", "8002"]


def test_moves_between_accounts_of_the_same_user(replay: Replay) -> None:
    row = {
        "accountId": 50, "currency": "usdt", "transactAmt": -10.5, "transactType": "transfer",
        "transferType": "pro-to-super-margin", "transactId": 0, "transactTime": ms(NOW) - 1000,
        "transferer": 28483123, "transferee": 13496526,
    }  # fmt: skip
    back = row | {"transactAmt": "4", "transferType": "super-margin-to-pro"}
    given = row | {"transactAmt": "2", "transferType": "master-transfer-out"}
    report = replay(ledger=[row, back, given])
    assert net(report.facts) == {("spot", "USDT"): D("-4.5"), ("margin", "USDT"): D("6.5")}
    assert {f.direction for f in report.facts if isinstance(f, Transfer)} == {"internal", "deposit"}


def test_moves_are_asked_for_when_a_balance_changed(replay: Replay, server: ReplayServer) -> None:
    report = replay(everything=False, held={("spot", "ATOM"): D(1)})
    assert "transfers" in {covered.feed for covered in report.covered}
    assert server.of(LEDGER)


def user(permission: str, **more: Any) -> dict[str, Any]:
    """What HTX tells of a key, to who names user and key."""

    def keys(params: dict[str, str]) -> Any:
        assert (params["uid"], params["accessKey"]) == ("456", "key-of-the-test")
        told = {"accessKey": "key-of-the-test", "note": "", "permission": permission,
                "validDays": -1, "status": "normal", "createTime": 1, "updateTime": 1}  # fmt: skip
        return {"code": 200, "data": [told | more], "ok": True}

    return {"/v2/user/uid": {"code": 200, "data": 456, "ok": True}, "/v2/user/api-key": keys}


def test_a_key_that_may_only_read(server: ReplayServer) -> None:
    server.answers |= user("readOnly")
    assert gateway.check_key("htx", KEY) is Privileges.READ_ONLY


@pytest.mark.parametrize(
    ("permission", "expected"),
    [("readOnly,trade", "trade"), ("readOnly,trade,withdraw", "withdraw")],
)
def test_a_key_that_may_do_more_is_refused(
    server: ReplayServer, permission: str, expected: str
) -> None:
    server.answers |= user(permission)
    with pytest.raises(errors.KeyTooPowerful) as caught:
        gateway.check_key("htx", KEY)
    assert caught.value.details["privileges"] == expected


def test_a_visit_says_what_the_key_may_do_and_from_where(replay: Replay) -> None:
    report = replay(answers=user("readOnly", ipAddresses="1.2.3.4"), credential=KEY)
    assert (report.privileges, report.address_restricted) == (Privileges.READ_ONLY, True)


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"/v2/user/uid": {"code": 1002, "message": "unauthorized", "data": None}},
        user("readOnly") | {"/v2/user/api-key": {"code": 2002, "message": "no", "data": None}},
        {"/v2/user/uid": {"status": "error", "err-code": "no-permission", "data": None}},
    ],
)
def test_a_key_that_is_told_nothing_is_unverified(
    server: ReplayServer, answers: dict[str, Any]
) -> None:
    server.answers |= {ACCOUNTS: ok([]), **answers}
    assert gateway.check_key("htx", KEY) is Privileges.UNVERIFIED


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("api-signature-not-valid", errors.WrongKey), ("login-required", errors.WrongKey),
        ("no-permission", errors.MissingPermission),
        ("base-request-exceed-frequency-limit", errors.RateLimited),
        ("system-maintenance", errors.OnMaintenance), ("timeout", errors.TimedOut),
        ("gateway-internal-error", errors.Unreachable),
        ("validation-format-error", errors.GatewayError),
    ],
)  # fmt: skip
def test_error_codes(server: ReplayServer, code: str, error: type[errors.GatewayError]) -> None:
    answer = {"status": "error", "err-code": code, "err-msg": "key-of-the-test", "data": None}
    server.answers |= {"/v2/user/uid": answer, ACCOUNTS: answer}
    with pytest.raises(errors.GatewayError) as caught:
        gateway.check_key("htx", KEY)
    assert type(caught.value) is error
    assert "key-of-the-test" not in repr(caught.value)


SYMBOLS = ok([
    {"base-currency": "btc", "quote-currency": "usdt", "symbol": "btcusdt", "state": "online"},
    {"base-currency": "eth", "quote-currency": "btc", "symbol": "ethbtc", "state": "offline"},
])  # fmt: skip


def test_prices_of_listed_symbols(server: ReplayServer) -> None:
    row = {
        "symbol": "btcusdt", "open": 9000, "high": 1, "low": 1, "close": "9100.123456789012",
        "amount": 1, "vol": 1, "count": 3, "bid": 1, "bidSize": 1, "ask": 1, "askSize": 1,
    }  # fmt: skip
    others = [row | {"symbol": "xyz"}, row | {"symbol": "ethbtc", "close": 0}]
    server.answers |= {"/v1/common/symbols": SYMBOLS, "/market/tickers": ok([row, *others])}
    (found,) = gateway.fetch_tickers("htx")
    assert (found.base_code, found.quote_code, found.last, found.open_24h) == (
        "BTC", "USDT", D("9100.123456789012"), None,
    )  # fmt: skip


def test_candles_of_hours_only(server: ReplayServer) -> None:
    start = datetime(2025, 1, 1, tzinfo=UTC)

    def candles(params: dict[str, str]) -> Any:
        assert (params["symbol"], params["period"]) == ("btcusdt", "60min")
        starts = range(int(params["from"]), int(params["to"]) + 1, 3600)
        told = {"open": 1, "low": 1, "high": 2, "amount": "7.5", "vol": 9, "count": 3}
        return ok([told | {"id": n, "close": f"{n}.5"} for n in starts])

    server.answers |= {"/v1/common/symbols": SYMBOLS, "/market/history/candles": candles}
    until = start + timedelta(hours=1500)
    found = gateway.fetch_candles("htx", market="btcusdt", interval="1h", since=start, until=until)
    assert len(found) == 1500
    assert (found[0].close, found[0].volume) == (D(f"{int(start.timestamp())}.5"), D("7.5"))
    with pytest.raises(errors.Unsupported):
        gateway.fetch_candles("htx", market="btcusdt", interval="1d", since=start, until=until)
