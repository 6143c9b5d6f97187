"""Bitget: answers in the shapes of its private endpoints, read as one account."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from exchanges import gateway
from exchanges.gateway import errors
from exchanges.reports import AccountReport, Balance, Credential, Reward, Trade, Transfer
from tests.exchanges.gateway.conftest import NOW
from tests.exchanges.gateway.ledger import net
from tests.exchanges.gateway.replay import ReplayServer, Status

D = Decimal
Read = Callable[..., AccountReport]
CREDENTIAL = Credential("key-of-the-test", "secret-of-the-test", "passphrase-of-the-test")
AT = int((NOW - timedelta(days=20)).timestamp() * 1000)
DAY = 86_400_000


def said(found: Any) -> dict[str, Any]:
    return {"code": "00000", "msg": "success", "requestTime": AT, "data": found}


def refused(code: str, words: str = "no") -> Status:
    return Status(400, {"code": code, "msg": words, "requestTime": AT, "data": None})


CLASSIC_ONLY = refused("40085", "Unified Account mode, classic is not supported")
UNIFIED_ONLY = refused("40084", "Classic Account mode, unified is not supported")


def once(found: Any, empty: Any = (), stamp: int = AT) -> Callable[[dict[str, str]], Any]:
    """The answer in the window where it belongs, an empty one in every other."""
    nothing = list(empty) if isinstance(empty, tuple) else empty
    return lambda p: said(
        found if int(p["startTime"]) <= stamp <= int(p["endTime"]) else nothing
    )  # fmt: skip


def coin(code: str, available: str, **more: Any) -> dict[str, Any]:
    return {
        "coin": code, "available": available, "limitAvailable": "0", "frozen": "0.00000000",
        "locked": "0.00000000", "uTime": "1699937566000",
    } | more  # fmt: skip


def fee(amount: str | None, code: str = "USDT", **more: Any) -> dict[str, Any]:
    return {"deduction": "no", "feeCoin": code, "totalDeductionFee": "", "totalFee": amount} | more


def fill(number: int, **more: Any) -> dict[str, Any]:
    return {
        "userId": "7264631750", "symbol": "BTCUSDT", "orderId": "1098394344925597696",
        "tradeId": str(1098394344974925824 + number), "orderType": "market", "side": "sell",
        "priceAvg": "28467.68", "size": "0.0002", "amount": "5.693536",
        "feeDetail": fee("-0.005693536"), "tradeScope": "taker", "cTime": str(AT),
        "uTime": str(AT + 55),
    } | more  # fmt: skip


def moved(number: int, **more: Any) -> dict[str, Any]:
    return {
        "orderId": str(1083832260799930368 + number), "tradeId": "35bf0e58", "coin": "USDT",
        "clientOid": None, "type": "deposit", "size": "30", "status": "success",
        "toAddress": "TKtjsywj", "dest": "on_chain", "chain": "TRC20", "fromAddress": None,
        "cTime": str(AT), "uTime": str(AT + 30_000),
    } | more  # fmt: skip


def bill(number: int, group: str, kind: str, size: str) -> dict[str, Any]:
    return {
        "billId": str(1111506298997215233 + number), "coin": "USDT", "groupType": group,
        "businessType": kind, "size": size, "balance": "0.00000000", "fees": "0.00000000",
        "cTime": str(AT),
    }  # fmt: skip


@pytest.fixture
def bitget(server: ReplayServer) -> ReplayServer:
    """A classic account with one coin in it."""
    unified = ["assets", "funding-assets", "deposit-records", "withdrawal-records"]
    server.answers |= {f"/api/v3/account/{path}": UNIFIED_ONLY for path in unified}
    server.answers |= {
        "/api/v3/trade/fills": UNIFIED_ONLY,
        "/api/v2/spot/public/symbols": said([
            {"symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "status": "online"},
            {"symbol": "ADAEUR", "baseCoin": "ADA", "quoteCoin": "EUR", "status": "online"},
        ]),
        "/api/v2/spot/account/assets": said([coin("BTC", "1")]),
        "/api/v2/account/funding-assets": said([]),
        "/api/v2/earn/account/assets": said([]),
        "/api/v2/margin/crossed/account/assets": said([]),
        "/api/v2/margin/isolated/account/assets": said([]),
        "/api/v2/spot/wallet/deposit-records": said([]),
        "/api/v2/spot/wallet/withdrawal-records": said([]),
        "/api/v2/convert/convert-record": said({"dataList": [], "endId": ""}),
        "/api/v2/convert/bgb-convert-records": said({"resultList": [], "endId": ""}),
        "/api/v2/spot/account/bills": said([]),
        "/api/v2/spot/trade/fills": said([]),
        "/api/v2/spot/account/info": said({"userId": "1", "ips": "", "authorities": ["stor"]}),
    }  # fmt: skip
    return server


@pytest.fixture
def replay(bitget: ReplayServer, read: Read) -> Read:
    def run(answers: dict[str, Any] | None = None, **visit: Any) -> AccountReport:
        bitget.answers |= {f"/api/v2/{path}": found for path, found in (answers or {}).items()}
        return read("bitget", credential=CREDENTIAL, **visit)

    return run


def test_every_wallet_is_read(replay: Read) -> None:
    report = replay({
        "spot/account/assets": said([
            coin("BTC", "0.000000000000000001", frozen="1", locked="0.5"),
            coin("TONCOIN", "3"), coin("USDC", "0.00000000"),
        ]),
        "account/funding-assets": said(
            [{"coin": "BGB", "available": "0.01", "frozen": "0.02", "usdtValue": "0.1"}]
        ),
        "earn/account/assets": said([{"coin": "USDT", "amount": "12.5"}]),
        "margin/crossed/account/assets": said([{"coin": "USDT", "totalAmount": "3",
            "available": "3", "frozen": "0", "borrow": "2", "interest": "0.5", "net": "0.5",
            "coupon": "0", "cTime": str(AT), "uTime": str(AT)}]),
        "margin/isolated/account/assets": said([{"symbol": "BTCUSDT", "coin": "USDT",
            "totalAmount": "1", "available": "1", "frozen": "0", "borrow": "0", "interest": "0",
            "net": "1", "coupon": "0", "cTime": str(AT), "uTime": str(AT)}]),
    })  # fmt: skip
    assert set(report.balances) == {
        Balance("spot", "BTC", D("1.500000000000000001")), Balance("spot", "TON", D(3)),
        Balance("funding", "BGB", D("0.03")), Balance("earn", "USDT", D("12.5")),
        Balance("margin", "USDT", D("1.5")),
    }  # fmt: skip
    assert report.wallets == {"spot", "funding", "earn", "margin"}
    assert (report.failures, report.quarantined, report.complete_history) == ((), (), True)


def test_a_coin_that_cannot_be_read_makes_its_wallet_unknown(replay: Read) -> None:
    """S39"""
    report = replay({
        "spot/account/assets": said([coin("BTC", "1"), coin("ETH", ""), coin("XRP", "2")]),
        "account/funding-assets": said([{"coin": "BGB", "available": "1", "frozen": "0"}]),
    })  # fmt: skip
    assert set(report.balances) == {Balance("funding", "BGB", D(1))}
    assert [(f.feed, f.scope) for f in report.failures] == [("balances", "spot")]
    assert [kept.reason for kept in report.quarantined] == ["available is missing"]


def test_fills_with_fees_a_discount_and_a_rebate(replay: Read) -> None:
    report = replay({"spot/trade/fills": once([
        fill(1), fill(2, side="buy", feeDetail=fee("-0.0000002", "BTC")),
        fill(3, feeDetail=fee("-0.0017", "BGB", deduction="yes", totalDeductionFee="-0.0017")),
        fill(4, feeDetail=fee("0.0001")), fill(5, feeDetail=fee(None)), fill(6, feeDetail=None),
        fill(7, feeDetail='[{"feeCoin":"USDT","totalFee":"-0.12345678901234567"}]'),
        fill(8, side="hold"), fill(9, amount=""),
    ])})  # fmt: skip
    trades = {int(t.exchange_id[-1]) - 4: t for t in report.facts if isinstance(t, Trade)}
    assert [(t.side, t.fee_code, t.fee_quantity) for t in trades.values()] == [
        ("sell", "USDT", D("0.005693536")), ("buy", "BTC", D("0.0000002")),
        ("sell", "BGB", D("0.0017")), ("sell", "USDT", D("-0.0001")), ("sell", None, None),
        ("sell", None, None), ("sell", "USDT", D("0.12345678901234567")),
        ("sell", "USDT", D("0.005693536")),
    ]  # fmt: skip
    first = trades[1]
    assert (first.symbol, first.base_quantity, first.price) == (
        "BTC/USDT", D("0.0002"), D("28467.68"),
    )  # fmt: skip
    assert {t.quote_quantity for t in trades.values()} == {D("5.693536")}
    assert [kept.reason for kept in report.quarantined] == ["side is neither buy nor sell"]


def test_symbols_are_found_from_what_was_held_and_moved(bitget: ReplayServer, replay: Read) -> None:
    replay({"spot/wallet/deposit-records": once([moved(1, coin="ADA")])})
    assert {p["symbol"] for p in bitget.of("/api/v2/spot/trade/fills")} == {"BTCUSDT", "ADAEUR"}


def test_fills_are_read_window_by_window_and_by_falling_ids(
    bitget: ReplayServer, replay: Read
) -> None:
    """S40"""
    told = [fill(n) for n in range(250, 0, -1)]

    def answer(params: dict[str, str]) -> Any:
        below = int(params.get("idLessThan", 10**19))
        inside = int(params["startTime"]) <= AT <= int(params["endTime"])
        return said([row for row in told if inside and int(row["tradeId"]) <= below][:100])

    report = replay({"spot/trade/fills": answer})
    assert len([f for f in report.facts if isinstance(f, Trade)]) == 250
    asked = bitget.of("/api/v2/spot/trade/fills")
    assert max(int(p["endTime"]) - int(p["startTime"]) for p in asked) == 90 * DAY
    assert {p["limit"] for p in asked} == {"100"}


def test_where_older_fills_are_refused_the_last_ninety_days_are_read(replay: Read) -> None:
    horizon = (NOW - timedelta(days=90)).timestamp() * 1000

    def answer(params: dict[str, str]) -> Any:
        return refused("00001") if int(params["startTime"]) < horizon else said([fill(1)])

    report = replay({"spot/trade/fills": answer})
    assert len([f for f in report.facts if isinstance(f, Trade)]) == 1
    (covered,) = (c for c in report.covered if c.feed == "trades")
    assert (covered.since, covered.until) == (NOW - timedelta(days=90), NOW)
    assert report.failures == ()


def test_a_market_that_is_gone_is_noted(replay: Read) -> None:
    report = replay({"spot/trade/fills": refused("40034", "symbol does not exist")})
    assert {(f.feed, f.scope, f.code) for f in report.failures} == {
        ("trades", "BTCUSDT", "exchange_symbol_unknown"),
    }  # fmt: skip


def test_deposits_and_withdrawals_whose_amount_includes_the_fee(replay: Read) -> None:
    sent: dict[str, Any] = {"type": "withdraw", "fee": "-1.5", "confirm": "5"}
    report = replay({
        "spot/wallet/deposit-records": once([
            moved(1), moved(2, status="pending"), moved(3, status="fail"),
            moved(4, dest="internal_transfer", tradeId="77"), moved(5, status="lost"),
        ]),
        "spot/wallet/withdrawal-records": once([
            moved(1, **sent), moved(2, status="pending_review", **sent),
            moved(3, status="reject", **sent), moved(4, **sent | {"fee": ""}),
            moved(5, size="0.00030000", **sent | {"fee": "-1.0000000"}),
        ]),
    })  # fmt: skip
    moves = [f for f in report.facts if isinstance(f, Transfer)]
    assert [(m.direction, m.quantity, m.fee_quantity, m.settled, m.txid) for m in moves] == [
        ("deposit", D(30), None, True, "35bf0e58"), ("deposit", D(30), None, False, "35bf0e58"),
        ("deposit", D(30), None, True, ""),
        ("withdrawal", D("28.5"), D("1.5"), True, "35bf0e58"),
        ("withdrawal", D("28.5"), D("1.5"), False, "35bf0e58"),
        ("withdrawal", D(30), None, True, "35bf0e58"),
        ("withdrawal", D("0.0003"), D(1), True, "35bf0e58"),
    ]  # fmt: skip
    assert {m.wallet for m in moves} == {"spot"}
    assert [kept.reason for kept in report.quarantined] == ["status is unknown"]


def test_conversions_and_dust(replay: Read) -> None:
    convert = {
        "id": "1159296505255219205", "fromCoin": "USDT", "fromCoinSize": "5", "cnvtPrice":
        "0.99940076", "toCoin": "USDC", "toCoinSize": "4.99700379", "ts": str(AT), "fee": "0",
    }  # fmt: skip
    swept = {
        "orderId": "1233431213", "fromCoin": "XRP", "fromAmount": "0.000000011", "fromCoinPrice":
        "0.5", "toCoin": "BGB", "toAmount": "0.01", "toCoinPrice": "1.1", "feeDetail":
        [{"feeCoin": "BGB", "fee": "0.0002"}], "status": "success", "ctime": str(AT),
    }  # fmt: skip
    report = replay({
        "convert/convert-record": once({"dataList": [convert], "endId": "1"}, {"dataList": []}),
        "convert/bgb-convert-records": once(
            {"resultList": [swept, swept | {"fromCoin": "ADA", "status": "fail"}]},
            {"resultList": None},
        ),
    })  # fmt: skip
    traded, dust = (f for f in report.facts if isinstance(f, Trade))
    assert (traded.kind, traded.symbol) == ("conversion", "USDT/USDC")
    assert (traded.base_quantity, traded.quote_quantity) == (D(5), D("4.99700379"))
    assert (dust.kind, dust.symbol, dust.quote_quantity) == ("dust", "XRP/BGB", D("0.01"))
    assert (dust.fee_code, dust.fee_quantity) == ("BGB", D("0.0002"))


def test_the_ledger_tells_rewards_and_moves_to_earn_and_nothing_twice(replay: Read) -> None:
    """S40"""
    report = replay({"spot/account/bills": once([
        bill(1, "deposit", "deposit", "30"), bill(2, "transaction", "sell", "-1"),
        bill(3, "transaction", "rebate_deduction", "-1"), bill(4, "other", "airdrop_rewards", "2"),
        bill(5, "financial", "financial_purchase", "-5"), bill(6, "financial", "redeem", "3"),
        bill(7, "financial", "financial_interest", "0.25"),
        bill(8, "transfer", "transfer_out", "-9"),
    ])})  # fmt: skip
    assert net(report.facts) == {("spot", "USDT"): D("0.25"), ("earn", "USDT"): D(2)}
    assert {(r.kind, r.quantity) for r in report.facts if isinstance(r, Reward)} == {
        ("airdrop", D(2)), ("interest", D("0.25")),
    }  # fmt: skip


def test_a_unified_account_is_read_from_its_own_lists(bitget: ReplayServer, read: Read) -> None:
    classic = [path for path in bitget.answers if path.startswith("/api/v2/spot/") and "public"
               not in path]  # fmt: skip
    bitget.answers |= dict.fromkeys(classic, CLASSIC_ONLY)
    executed = {
        "execId": "1322441401010528257", "orderId": "1", "category": "SPOT", "symbol": "BTCUSDT",
        "orderType": "market", "side": "sell", "execPrice": "107005.4", "execQty": "0.0001",
        "execValue": "10.7005", "tradeScope": "taker",
        "feeDetail": [{"feeCoin": "USDT", "fee": "0.00642032"}], "createdTime": str(AT),
        "updatedTime": str(AT), "execPnl": "0",
    }  # fmt: skip
    sent = {
        "orderId": "1477203433330230002", "recordId": "855182ad", "coin": "USDT",
        "type": "withdraw", "size": "30", "status": "success", "toAddress": "TFcWfiw5",
        "dest": "on_chain", "chain": "TRC20", "createdTime": str(AT), "updatedTime": str(AT),
        "fromAddress": "", "fee": "-1.5",
        "confirm": "5", "clientOid": None,
    }  # fmt: skip
    bitget.answers |= {
        "/api/v3/account/assets": said({"accountEquity": "11.1", "assets": [
            {"coin": "USDT", "equity": "6.19", "usdValue": "6.19", "balance": "6.19",
             "available": "6.19", "debt": "0", "locked": "0"},
        ]}),
        "/api/v3/account/deposit-records": said([]),
        "/api/v3/account/withdrawal-records": once([sent]),
        "/api/v3/trade/fills": once({"list": [executed], "cursor": "1322"}, {"list": []}),
    }  # fmt: skip
    report = read("bitget", credential=CREDENTIAL)
    assert set(report.balances) == {Balance("spot", "USDT", D("6.19"))}
    trade, left = report.facts[1], report.facts[0]
    assert isinstance(trade, Trade)
    assert isinstance(left, Transfer)
    assert (trade.base_quantity, trade.quote_quantity) == (D("0.0001"), D("10.7005"))
    assert (trade.fee_code, trade.fee_quantity) == ("USDT", D("0.00642032"))
    assert (left.quantity, left.fee_quantity, left.txid) == (D("28.5"), D("1.5"), "855182ad")
    assert report.failures == ()


@pytest.mark.parametrize(
    ("authorities", "outcome"),
    [
        (["coor", "stor", "wtor", "readonly"], None), (["stor", "stow"], errors.KeyTooPowerful),
        (["stor", "wwow"], errors.KeyTooPowerful), (["trade"], errors.KeyTooPowerful),
    ],
)  # fmt: skip
def test_what_a_key_may_do(bitget: ReplayServer, authorities: list[str], outcome: Any) -> None:
    """S27"""
    told = {"userId": "1", "ips": "10.0.0.1", "authorities": authorities, "parentId": 1}
    bitget.answers["/api/v2/spot/account/info"] = said(told)
    if outcome is None:
        assert gateway.check_key("bitget", CREDENTIAL) == "read_only"
    else:
        with pytest.raises(outcome):
            gateway.check_key("bitget", CREDENTIAL)


def test_a_key_that_may_not_ask_what_it_may_do_is_unverified(bitget: ReplayServer) -> None:
    """S27"""
    bitget.answers["/api/v2/spot/account/info"] = refused("40014", "Incorrect permissions")
    assert gateway.check_key("bitget", CREDENTIAL) == "unverified"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("40006", errors.WrongKey), ("40009", errors.WrongKey), ("40012", errors.WrongKey),
        ("40008", errors.WrongClock), ("40018", errors.AddressNotAllowed),
        ("429", errors.RateLimited), ("40200", errors.OnMaintenance),
    ],
)  # fmt: skip
def test_refusals(bitget: ReplayServer, code: str, expected: Any) -> None:
    """S26"""
    told = refused(code, f"refused {CREDENTIAL.api_key}")
    bitget.answers["/api/v2/spot/account/info"] = told
    with pytest.raises(expected) as problem:
        gateway.check_key("bitget", CREDENTIAL)
    assert CREDENTIAL.api_key not in repr(problem.value) + str(problem.value)


def test_prices_and_candles(bitget: ReplayServer) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    first = int(start.timestamp() * 1000)
    bars = [[str(first + n * 3_600_000), "1", "3", "0.5", str(n + 1), "9", "9"] for n in range(3)]
    bitget.answers |= {
        "/api/v2/spot/market/tickers": said([
            {"open": "99", "symbol": "BTCUSDT", "lastPr": "100.5", "ts": str(AT)},
            {"open": "", "symbol": "OTHERUSDT", "lastPr": "1", "ts": str(AT)},
        ]),
        "/api/v2/spot/market/history-candles": lambda p: said(
            [bar for bar in bars if int(bar[0]) < int(p["endTime"])][-int(p["limit"]) :]
        ),
    }  # fmt: skip
    (ticker,) = gateway.fetch_tickers("bitget")
    assert (ticker.base_code, ticker.last, ticker.open_24h) == ("BTC", D("100.5"), D(99))
    found = gateway.fetch_candles(
        "bitget", market="BTCUSDT", interval="1h", since=start, until=start + timedelta(hours=3)
    )
    assert [candle.close for candle in found] == [D(1), D(2), D(3)]
