"""MEXC's answers in their full shapes: wallets, windows of a week, gross withdrawals, dust."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from exchanges import gateway
from exchanges.gateway import errors
from exchanges.reports import (
    AccountReport,
    Balance,
    Covered,
    Credential,
    Privileges,
    Trade,
    Transfer,
)
from tests.exchanges.gateway.conftest import NOW
from tests.exchanges.gateway.ledger import net
from tests.exchanges.gateway.replay import ReplayServer, Status

D = Decimal
Replay = Callable[..., AccountReport]
V3 = "/api/v3"
ACCOUNT: dict[str, Any] = {
    "makerCommission": None, "takerCommission": None, "canTrade": True, "canWithdraw": True,
    "canDeposit": True, "updateTime": None, "accountType": "SPOT", "permissions": ["SPOT"],
    "balances": [
        {"asset": "USDT", "free": "12345678901234567890.000000000674", "locked": "1.5",
         "available": "1"},
        {"asset": "BTC", "free": "0", "locked": "0.25"},
        {"asset": "MX", "free": "0", "locked": "0"},
        {"asset": "STEPN", "free": "3", "locked": ""},
    ],
}  # fmt: skip
MARKETS = {
    "symbols": [
        {"symbol": "BTCUSDT", "status": "1", "baseAsset": "BTC", "quoteAsset": "USDT"},
        {"symbol": "STEPNUSDT", "status": "1", "baseAsset": "STEPN", "quoteAsset": "USDT"},
        {"symbol": "ETHBTC", "status": "2", "baseAsset": "ETH", "quoteAsset": "BTC"},
        {"symbol": "SOLUSDT", "status": "1", "baseAsset": "SOL", "quoteAsset": "USDT"},
    ]
}
FILL: dict[str, Any] = {
    "symbol": "BTCUSDT", "id": "133948532984922113", "orderId": "133948532531949568",
    "orderListId": "-1", "price": "41995.51", "qty": "0.0002", "quoteQty": "8.399102",
    "commission": "0.016798204", "commissionAsset": "USDT", "time": 1767500000000,
    "isBuyer": True, "isMaker": False, "isBestMatch": True, "isSelfTrade": False,
    "clientOrderId": None,
}  # fmt: skip
DEPOSIT: dict[str, Any] = {
    "amount": "10", "coin": "USDC-TRX", "network": "TRX", "status": 5,
    "address": "TSMcEDDvkqY9dz8RkFnrS86U59GwEZjfvh", "txId": "51a8f49e6f03f2c0:0",
    "insertTime": 1767000000000, "unlockConfirm": "200", "confirmTimes": "203", "memo": "xxyy1122",
    "transHash": "51a8f49e6f03f2c0", "updateTime": 1767000600000, "netWork": "TRX",
}  # fmt: skip
WITHDRAWAL: dict[str, Any] = {
    "id": "adcd1c8322154de691b815eedcd10c42", "txId": "0xc8c9:0", "coin": "USDC-MATIC",
    "network": "MATIC", "address": "0xeE6C", "amount": "2", "transferType": 0, "status": 7,
    "transactionFee": "1", "confirmNo": None, "applyTime": 1767100000000, "remark": "",
    "memo": None, "explorerUrl": "https://etherscan.io/tx/0xc8c9", "transHash": "0xc8c9",
    "updateTime": 1767100060000, "netWork": "MATIC",
}  # fmt: skip


@pytest.fixture
def replay(server: ReplayServer, read: Callable[..., AccountReport]) -> Replay:
    def run(**told: Any) -> AccountReport:
        visit = told.pop("visit", {})
        answers = {
            "account": ACCOUNT, "exchangeInfo": MARKETS, "myTrades": [],
            "capital/deposit/hisrec": [], "capital/withdraw/history": [],
            "capital/convert": {"data": [], "totalRecords": 0, "page": 1, "totalPageNum": 0},
            "capital/transfer": {"rows": [], "total": 0},
        } | told  # fmt: skip
        server.answers |= {f"{V3}/{path}": answer for path, answer in answers.items()}
        return read("mexc", **visit)

    return run


def ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def between(rows: list[dict[str, Any]], field: str, limit: int) -> Callable[[Any], Any]:
    """Rows of the window that was asked for, the newest first, as many as one answer holds."""

    def answer(params: dict[str, str]) -> Any:
        since, until = int(params["startTime"]), int(params["endTime"])
        found = [row for row in rows if since <= int(row[field]) <= until]
        return sorted(found, key=lambda row: -int(row[field]))[:limit]

    return answer


def test_balances_keep_every_digit_in_their_wallets(replay: Replay, server: ReplayServer) -> None:
    server.answers["/api/v1/private/account/assets"] = {
        "success": True, "code": 0,
        "data": [
            {"currency": "USDT", "positionMargin": 0, "availableBalance": 5, "cashBalance": "7.25",
             "frozenBalance": 0, "equity": "9.1", "unrealized": "1.85", "bonus": 0},
            {"currency": "BSV", "cashBalance": 0},
        ],
    }  # fmt: skip
    report = replay()
    assert set(report.balances) == {
        Balance("spot", "USDT", D("12345678901234567891.500000000674")),
        Balance("spot", "BTC", D("0.25")),
        Balance("spot", "GMT", D(3)),  # what MEXC calls STEPN
        Balance("futures", "USDT", D("7.25")),
    }
    assert report.wallets == {"spot", "futures"}
    assert report.failures == ()


def test_an_unreadable_row_leaves_the_wallet_unknown(replay: Replay) -> None:
    rows = [*ACCOUNT["balances"], {"asset": "ETH", "free": "much", "locked": "0"}, None]
    report = replay(account=ACCOUNT | {"balances": rows})
    assert report.balances == ()
    assert "spot" in {failure.scope for failure in report.failures}
    assert report.wallets == frozenset()
    assert {kept.reason for kept in report.quarantined} >= {"free is not a number"}


def test_fills_of_every_symbol_between_known_coins(replay: Replay, server: ReplayServer) -> None:
    third = FILL | {"id": "2", "commission": "0.001", "commissionAsset": "MX", "isBuyer": False}
    rebate = FILL | {"id": "3", "commission": "-0.5", "quoteQty": ""}

    def answer(params: dict[str, str]) -> Any:
        return [FILL, third, rebate] if params["symbol"] == "BTCUSDT" else []

    report = replay(myTrades=answer)
    fills = {f.exchange_id: f for f in report.facts if isinstance(f, Trade)}
    first = fills["133948532984922113"]
    assert (first.symbol, first.side, first.order_id) == ("BTC/USDT", "buy", "133948532531949568")
    assert (first.base_quantity, first.quote_quantity) == (D("0.0002"), D("8.399102"))
    assert (first.fee_code, first.fee_quantity) == ("USDT", D("0.016798204"))
    assert first.occurred_at == datetime(2026, 1, 4, 4, 13, 20, tzinfo=UTC)
    assert (fills["2"].side, fills["2"].fee_code, fills["2"].fee_quantity) == (
        "sell", "MX", D("0.001"),
    )  # fmt: skip
    assert (fills["3"].fee_quantity, fills["3"].quote_quantity) == (D("-0.5"), D("8.399102"))
    asked = {params["symbol"] for params in server.of(f"{V3}/myTrades")}
    assert asked == {"BTCUSDT", "STEPNUSDT"}


def test_fills_are_asked_for_no_further_back_than_a_month(
    replay: Replay, server: ReplayServer
) -> None:
    report = replay()
    since = min(int(params["startTime"]) for params in server.of(f"{V3}/myTrades"))
    assert 0 < since - ms(NOW - timedelta(days=30)) < 3_600_000
    (covered,) = (c for c in report.covered if (c.feed, c.scope) == ("trades", "BTCUSDT"))
    assert (ms(covered.since), covered.until) == (since, NOW)


def test_full_pages_are_read_to_the_last_fill(replay: Replay) -> None:
    """More fills than one answer holds, in one minute, with others at the edges of windows."""
    many = [
        FILL | {"id": str(n), "time": ms(NOW - timedelta(days=3)) + n * 100} for n in range(350)
    ]
    report = replay(myTrades=between(many, "time", 100), visit={"codes": frozenset({"BTC"})})
    assert {f.exchange_id for f in report.facts} == {str(n) for n in range(350)}
    assert report.quarantined == ()


def test_a_withdrawals_amount_includes_its_fee(replay: Replay) -> None:
    came = [
        DEPOSIT,
        DEPOSIT | {"txId": "late:0", "status": 4},
        DEPOSIT | {"txId": "small:0", "status": 1},
        DEPOSIT | {"txId": "odd:0", "status": 77},
    ]
    went = [
        WITHDRAWAL,
        WITHDRAWAL | {"id": "w2", "status": 2, "transHash": None, "txId": None},
        WITHDRAWAL | {"id": "w3", "status": 8},
    ]
    report = replay(
        **{
            "capital/deposit/hisrec": between(came, "insertTime", 1000),
            "capital/withdraw/history": between(went, "applyTime", 1000),
        }
    )
    moves = {f.exchange_id: f for f in report.facts if isinstance(f, Transfer)}
    sent = moves["adcd1c8322154de691b815eedcd10c42"]
    assert (sent.code, sent.quantity, sent.fee_code, sent.fee_quantity) == (
        "USDC", D(1), "USDC", D(1),
    )  # fmt: skip
    assert (sent.txid, sent.network, sent.settled) == ("0xc8c9", "MATIC", True)
    assert moves["w2"].settled is False
    deposits = [f for f in moves.values() if f.direction == "deposit"]
    assert {(f.code, f.quantity, f.fee_quantity, f.settled) for f in deposits} == {
        ("USDC", D(10), None, True), ("USDC", D(10), None, False),
    }  # fmt: skip
    assert len(moves) == 4
    assert [kept.reason for kept in report.quarantined] == ["status is unknown"]
    assert net(report.facts) == {("spot", "USDC"): D(8)}


def test_transfers_come_in_weeks_and_each_once(replay: Replay, server: ReplayServer) -> None:
    many = [
        DEPOSIT | {"txId": f"t{n}", "insertTime": ms(NOW - timedelta(days=7 * n))}
        for n in range(12)
    ]
    report = replay(**{"capital/deposit/hisrec": between(many, "insertTime", 1000)})
    assert len(report.facts) == 12
    windows = server.of(f"{V3}/capital/deposit/hisrec")
    week = 7 * 86_400_000
    assert all(0 < int(w["endTime"]) - int(w["startTime"]) <= week for w in windows)
    assert ms(NOW) - int(windows[0]["startTime"]) < 90 * 86_400_000


def test_a_pending_deposit_holds_the_coverage_back(replay: Replay) -> None:
    waiting = DEPOSIT | {"status": 4}
    report = replay(**{"capital/deposit/hisrec": between([waiting], "insertTime", 1000)})
    (covered,) = (c for c in report.covered if c.feed == "deposits")
    assert ms(covered.until) == 1767000000000


def test_dust_becomes_mx(replay: Replay) -> None:
    sweep = {
        "totalConvert": "0.02182274", "totalFee": "0.00043645", "convertTime": 1767200000000,
        "convertDetails": [
            {"id": "6483", "convert": "0.02098255", "fee": "0.00041965", "amount": "0.00000098",
             "time": 1767200000000, "asset": "BTC"},
            {"id": "f9e8", "convert": "0.00084019", "fee": "0.0000168", "amount": "2",
             "time": 1767200000000, "asset": "SOL"},
        ],
    }  # fmt: skip
    report = replay(**{"capital/convert": {"data": [sweep], "totalRecords": 1, "page": 1}})
    assert {(f.exchange_id, f.kind) for f in report.facts} == {("6483", "dust"), ("f9e8", "dust")}
    assert net(report.facts) == {
        ("spot", "BTC"): D("-0.00000098"), ("spot", "SOL"): D(-2),
        ("spot", "MX"): D("0.02182274") - D("0.00043645"),
    }  # fmt: skip


def test_moves_to_futures_and_back_are_inside_the_account(replay: Replay) -> None:
    def moves(params: dict[str, str]) -> Any:
        way = (params["fromAccountType"], params["toAccountType"])
        row = {
            "tranId": "-".join(way), "clientTranId": None, "asset": "USDT",
            "amount": "1" if way[0] == "FUTURES" else "3", "fromAccountType": way[0],
            "toAccountType": way[1], "symbol": None, "status": "SUCCESS",
            "timestamp": 1767300000000,
        }  # fmt: skip
        return {"rows": [row, row | {"tranId": "no", "status": "FAILED"}], "total": 2}

    report = replay(**{"capital/transfer": moves})
    assert len(report.facts) == 2
    assert net(report.facts) == {("spot", "USDT"): D(-2), ("futures", "USDT"): D(2)}


def test_a_delisted_symbol_does_not_end_the_reading(replay: Replay) -> None:
    def answer(params: dict[str, str]) -> Any:
        if params["symbol"] == "STEPNUSDT":
            return Status(400, {"code": -1121, "msg": "Invalid symbol."})
        return [FILL]

    report = replay(myTrades=answer)
    assert [(f.feed, f.scope, f.code) for f in report.failures] == [
        ("trades", "STEPNUSDT", "exchange_symbol_unknown")
    ]
    assert len(report.facts) == 1


def test_coverage_is_taken_up_where_it_ended(replay: Replay, server: ReplayServer) -> None:
    known = Covered("deposits", "", NOW - timedelta(days=60), NOW - timedelta(days=2))
    replay(visit={"known": {("deposits", ""): known}})
    (window,) = server.of(f"{V3}/capital/deposit/hisrec")
    assert int(window["startTime"]) == ms(NOW - timedelta(days=2, hours=1))


def test_coverage_with_a_gap_that_is_out_of_reach_says_so(replay: Replay) -> None:
    """After two months of silence, the fills of the first month are gone for good."""
    scope = ("trades", "BTCUSDT")
    known = Covered(*scope, NOW - timedelta(days=200), NOW - timedelta(days=60))
    report = replay(visit={"known": {scope: known}})
    (covered,) = (c for c in report.covered if (c.feed, c.scope) == scope)
    assert covered.since > NOW - timedelta(days=31)


def test_without_the_list_of_markets_there_still_are_balances_and_transfers(
    replay: Replay,
) -> None:
    report = replay(exchangeInfo=Status(404, {}))
    assert report.balances
    assert {"deposits", "transfers"} & {covered.feed for covered in report.covered}
    assert "markets" in {failure.feed for failure in report.failures}


def test_what_a_key_may_do_is_not_told(server: ReplayServer) -> None:
    server.answers[f"{V3}/account"] = ACCOUNT
    key = Credential("key-of-the-test", "secret-of-the-test")
    assert gateway.check_key("mexc", key) is Privileges.UNVERIFIED


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        (700002, 400, errors.WrongKey), (10072, 400, errors.WrongKey),
        (700006, 400, errors.AddressNotAllowed), (700007, 401, errors.MissingPermission),
        (700003, 400, errors.WrongClock), (429, 429, errors.RateLimited),
        (604, 200, errors.OnMaintenance), (501, 200, errors.Unreachable),
        (400, 400, errors.GatewayError),
    ],
)  # fmt: skip
def test_error_codes(
    server: ReplayServer, code: int, status: int, error: type[errors.GatewayError]
) -> None:
    server.answers[f"{V3}/account"] = Status(status, {"code": code, "msg": "no key-of-the-test"})
    with pytest.raises(errors.GatewayError) as caught:
        gateway.check_key("mexc", Credential("key-of-the-test", "secret-of-the-test"))
    assert type(caught.value) is error
    assert "key-of-the-test" not in repr(caught.value)


def test_prices_of_listed_symbols(server: ReplayServer) -> None:
    row = {
        "symbol": "BTCUSDT", "priceChange": "184.34", "lastPrice": "46263.71",
        "openPrice": "46079.37", "closeTime": 1641349582808, "quoteVolume": None,
    }  # fmt: skip
    others = [row | {"symbol": "NEWUSDT"}, row | {"symbol": "STEPNUSDT", "lastPrice": "0"}]
    server.answers |= {f"{V3}/exchangeInfo": MARKETS, f"{V3}/ticker/24hr": [row, *others, None]}
    (found,) = gateway.fetch_tickers("mexc")
    assert (found.base_code, found.quote_code, found.last) == ("BTC", "USDT", D("46263.71"))
    assert found.open_24h == D("46079.37")


def test_candles(server: ReplayServer) -> None:
    start = datetime(2025, 1, 1, tzinfo=UTC)

    def klines(params: dict[str, str]) -> Any:
        assert (params["symbol"], params["interval"]) == ("BTCUSDT", "60m")
        first, end = int(params["startTime"]), int(params["endTime"])
        starts = range(first, end, 3_600_000)
        return [[n, "1", "2", "0.5", str(n), "3.5", n + 1, "168387.3"] for n in starts][:500]

    server.answers |= {f"{V3}/exchangeInfo": MARKETS, f"{V3}/klines": klines}
    found = gateway.fetch_candles(
        "mexc", market="BTCUSDT", interval="1h", since=start, until=start + timedelta(hours=1200)
    )
    assert len(found) == 1200
    assert found[-1].close == D(ms(found[-1].start))
