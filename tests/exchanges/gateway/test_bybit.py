"""Bybit: answers in the shapes of its private endpoints, read as one account."""

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
from tests.exchanges.gateway.replay import ReplayServer

D = Decimal
Read = Callable[..., AccountReport]
CREDENTIAL = Credential("key-of-the-test", "secret-of-the-test")
AT = int((NOW - timedelta(days=20)).timestamp() * 1000)


def said(**result: Any) -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": AT}


def refused(code: int) -> dict[str, Any]:
    return {"retCode": code, "retMsg": "no", "result": {}, "retExtInfo": {}, "time": AT}


def held(code: str, quantity: str, **more: Any) -> dict[str, Any]:
    return {
        "availableToBorrow": "", "bonus": "0", "accruedInterest": "0", "availableToWithdraw":
        quantity, "totalOrderIM": "0", "equity": quantity, "totalPositionMM": "0", "usdValue":
        "19.07", "unrealisedPnl": "0", "collateralSwitch": True, "borrowAmount": "0",
        "totalPositionIM": "0", "walletBalance": quantity, "cumRealisedPnl": "0", "locked": "0",
        "marginCollateral": True, "coin": code, "spotHedgingQty": "0",
    } | more  # fmt: skip


def fill(number: int, **more: Any) -> dict[str, Any]:
    return {
        "symbol": "QNTUSDT", "orderType": "Limit", "underlyingPrice": "", "orderLinkId": "",
        "orderId": "1549452573428424448", "stopOrderType": "", "execTime": str(AT),
        "feeRate": "0.00025", "tradeIv": "", "blockTradeId": "", "markPrice": "",
        "execPrice": "102.8", "markIv": "", "orderQty": "3.652", "orderPrice": "102.8",
        "execValue": "1.028", "closedSize": "", "execType": "Trade", "seq": "19157444346",
        "side": "Buy", "indexPrice": "", "leavesQty": "3.642", "isMaker": True,
        "execFee": "0.0000025", "execId": f"2210000000{number:09}", "execQty": "0.01",
        "feeCurrency": "", "extraFees": "",
    } | more  # fmt: skip


def arrived(**more: Any) -> dict[str, Any]:
    return {
        "coin": "USDC", "chain": "OP.E", "amount": "79.993947", "txID": "0xe9bce05f", "status": 3,
        "toAddress": "0x6f8a9d02", "tag": "", "depositFee": "", "successAt": str(AT),
        "confirmations": "34", "txIndex": "4", "blockHash": "0xa44d", "batchReleaseLimit": "100000",
        "depositType": "0",
    } | more  # fmt: skip


def sent(number: str, **more: Any) -> dict[str, Any]:
    return {
        "coin": "USDT", "chain": "TRX", "amount": "12.34", "txID": "de5ea0a2", "status": "success",
        "toAddress": "TQdmFKUo", "tag": "", "withdrawFee": "0.5", "createTime": str(AT),
        "updateTime": str(AT + 70_000), "withdrawId": number, "withdrawType": 0,
    } | more  # fmt: skip


def entry(number: int, kind: str, change: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"5929_{number}", "symbol": "", "side": "None", "funding": "", "orderLinkId": "",
        "orderId": "", "fee": "0", "change": change, "cashFlow": change, "transactionTime":
        str(AT), "type": kind, "transSubType": "", "feeRate": "", "bonusChange": "", "size": "0",
        "qty": "0", "cashBalance": "5086.55", "currency": "USDT", "category": "", "tradePrice": "",
        "tradeId": "",
    } | more  # fmt: skip


@pytest.fixture
def bybit(server: ReplayServer) -> ReplayServer:
    """An account with nothing in it."""
    nothing = {
        "account/wallet-balance": {"list": []},
        "asset/transfer/query-account-coins-balance": {"balance": []},
        "earn/position": {"list": []},
        "execution/list": {"list": [], "nextPageCursor": "", "category": "spot"},
        "asset/deposit/query-record": {"rows": [], "nextPageCursor": ""},
        "asset/deposit/query-internal-record": {"rows": [], "nextPageCursor": ""},
        "asset/withdraw/query-record": {"rows": [], "nextPageCursor": ""},
        "asset/exchange/query-convert-history": {"list": []},
        "asset/exchange/order-record": {"orderBody": [], "nextPageCursor": ""},
        "asset/covert/small-balance-history": {"records": [], "lastPage": "1"},
        "account/transaction-log": {"list": [], "nextPageCursor": ""},
        "earn/yield": {"yield": [], "nextPageCursor": ""},
        "asset/transfer/query-inter-transfer-list": {"list": [], "nextPageCursor": ""},
        "user/query-api": {"readOnly": 1, "ips": ["*"], "permissions": {}},
    }
    server.answers |= {f"/v5/{path}": said(**result) for path, result in nothing.items()}
    return server


@pytest.fixture
def replay(bybit: ReplayServer, read: Read) -> Read:
    def run(answers: dict[str, Any] | None = None, **visit: Any) -> AccountReport:
        bybit.answers |= {f"/v5/{path}": found for path, found in (answers or {}).items()}
        return read("bybit", credential=CREDENTIAL, **visit)

    return run


def once(found: dict[str, Any], stamp: int = AT) -> Callable[[dict[str, str]], Any]:
    """An answer in the window where it belongs, and an empty one in every other."""
    empty = {name: [] if isinstance(v, list) else "" for name, v in found["result"].items()}

    def answer(params: dict[str, str]) -> Any:
        inside = int(params["startTime"]) <= stamp <= int(params["endTime"])
        return found if inside else said(**empty)

    return answer


def test_every_wallet_is_read(replay: Read) -> None:
    report = replay({
        "account/wallet-balance": said(list=[{"accountType": "UNIFIED", "totalEquity": "49.6",
            "accountLTV": "", "coin": [
                held("USDC", "19.076810000000000001", locked="19"),
                held("ETH", "2", spotBorrow="0.5", equity="1.5", borrowAmount="0.5"),
                held("SOL", "0"),
            ]}]),
        "asset/transfer/query-account-coins-balance": said(accountType="FUND", memberId="1",
            balance=[
                {"coin": "BTC", "transferBalance": "0", "walletBalance": "0", "bonus": ""},
                {"coin": "XRP", "transferBalance": "1", "walletBalance": "2", "bonus": ""},
            ]),
        "earn/position": lambda p: said(list=[
            {"coin": "USDT", "productId": "430", "amount": "200", "totalPnl": "0.08",
             "claimableYield": "0.01", "id": "", "status": "", "orderId": ""},
        ] if p["category"] == "FlexibleSaving" else []),
    })  # fmt: skip
    assert set(report.balances) == {
        Balance("spot", "USDC", D("19.076810000000000001")), Balance("spot", "ETH", D("1.5")),
        Balance("funding", "XRP", D(2)), Balance("earn", "USDT", D(200)),
    }  # fmt: skip
    assert report.wallets == {"spot", "funding", "earn"}
    assert (report.failures, report.quarantined, report.complete_history) == ((), (), True)


def test_a_classic_account_has_another_name_for_spot(replay: Read) -> None:
    told = said(list=[{"accountType": "SPOT", "coin": [held("BTC", "1.5")]}])
    report = replay({
        "account/wallet-balance": lambda p: told if p["accountType"] == "SPOT" else refused(10028),
        "account/transaction-log": refused(10028),
        "earn/position": refused(10005),
    })  # fmt: skip
    assert set(report.balances) == {Balance("spot", "BTC", D("1.5"))}
    assert report.failures == ()  # no log and no earn here is no failure
    assert report.wallets == {"spot", "funding"}


def test_fills_know_in_which_coin_they_were_charged(replay: Read) -> None:
    report = replay({"execution/list": once(said(category="spot", nextPageCursor="", list=[
        fill(1),
        fill(2, side="Sell", execFee="0.000257", symbol="BTCUSDC"),
        fill(3, execFee="-0.0001"),
        fill(4, execFee="0.02", feeCurrency="MNT"),
        fill(5, extraFees=[{"feeCoin": "USDT", "feeType": "GST", "feeRate": "0.01", "fee": "0.7"}]),
        fill(6, execQty="0"),
        fill(7, symbol="SOMETHING"),
    ]))})  # fmt: skip
    trades = {t.exchange_id[-1]: t for t in report.facts if isinstance(t, Trade)}
    assert {n: (t.symbol, t.side, t.fee_code, t.fee_quantity) for n, t in trades.items()} == {
        "1": ("QNT/USDT", "buy", "QNT", D("0.0000025")),
        "2": ("BTC/USDC", "sell", "USDC", D("0.000257")),
        "3": ("QNT/USDT", "buy", "USDT", D("-0.0001")),
        "4": ("QNT/USDT", "buy", "MNT", D("0.02")),
        "5": ("QNT/USDT", "buy", "QNT", D("0.0000025")),
    }
    assert (trades["1"].base_quantity, trades["1"].quote_quantity) == (D("0.01"), D("1.028"))
    (tax,) = (f for f in report.facts if isinstance(f, Reward))
    assert (tax.kind, tax.code, tax.quantity) == ("fee", "USDT", D("-0.7"))
    assert {kept.reason for kept in report.quarantined} == {
        "amount is not above 0", "symbol is unknown",
    }  # fmt: skip


def test_weeks_are_read_two_years_back_and_page_by_page(bybit: ReplayServer, replay: Read) -> None:
    """S40"""

    def page(params: dict[str, str]) -> Any:
        if not int(params["startTime"]) <= AT <= int(params["endTime"]):
            return said(list=[], nextPageCursor="")
        number = {"": 0, "267951:0": 1, "267951:1": 2}[params.get("cursor", "")]
        found = [fill(n) for n in range(number * 100 - (number > 0), number * 100 + 100)]
        return said(list=found if number < 2 else [], nextPageCursor=f"267951%3A{number}")

    report = replay({"execution/list": page})
    assert len([f for f in report.facts if isinstance(f, Trade)]) == 200
    asked = bybit.of("/v5/execution/list")
    spans = [(int(p["startTime"]), int(p["endTime"])) for p in asked]
    assert max(end - start for start, end in spans) == 7 * 86_400_000
    assert min(start for start, _ in spans) > (NOW - timedelta(days=730)).timestamp() * 1000
    assert {(p["category"], p["limit"], p["execType"]) for p in asked} == {("spot", "100", "Trade")}


def test_deposits_of_all_kinds(replay: Read) -> None:
    inside = {"id": "1103", "amount": "0.1", "type": 1, "coin": "ETH", "address": "a@example.com",
              "status": 2, "createdTime": str(AT // 1000), "txID": "77c37e5c"}  # fmt: skip
    report = replay({
        "asset/deposit/query-record": once(said(nextPageCursor="eyJtaW5", rows=[
            arrived(), arrived(txIndex="6", amount="20"), arrived(status="10012", txID="0xaa"),
            arrived(status=1, successAt="0", txID="0xbb"), arrived(status=4, txID="0xcc"),
            arrived(amount="", txID="0xdd"), arrived(status=2, txID="0xee"),
        ])),
        "asset/deposit/query-internal-record": once(said(nextPageCursor="", rows=[
            inside, inside | {"id": "2", "status": 3},
        ])),
    })  # fmt: skip
    moves = [f for f in report.facts if isinstance(f, Transfer)]
    assert [(m.code, m.quantity, m.txid, m.settled) for m in moves] == [
        ("USDC", D("79.993947"), "0xe9bce05f", True), ("USDC", D(20), "0xe9bce05f", True),
        ("USDC", D("79.993947"), "0xaa", True), ("USDC", D("79.993947"), "0xee", False),
        ("ETH", D("0.1"), "77c37e5c", True),
    ]  # fmt: skip
    assert {(m.direction, m.wallet) for m in moves} == {("deposit", "funding")}
    assert moves[4].occurred_at == datetime.fromtimestamp(AT // 1000, UTC)
    assert [kept.reason for kept in report.quarantined] == ["amount is missing"]


def test_withdrawals_are_net_and_the_fee_is_on_top(bybit: ReplayServer, replay: Read) -> None:
    report = replay({"asset/withdraw/query-record": once(said(nextPageCursor="", rows=[
        sent("1"), sent("2", status="SecurityCheck", txID=""), sent("3", status="CancelByUser"),
        sent("4", status="Fail"), sent("5", status="BlockchainConfirmed", withdrawFee=""),
    ]))})  # fmt: skip
    moves = [f for f in report.facts if isinstance(f, Transfer)]
    assert [(m.exchange_id, m.quantity, m.fee_code, m.fee_quantity, m.settled) for m in moves] == [
        ("1", D("12.34"), "USDT", D("0.5"), True), ("2", D("12.34"), "USDT", D("0.5"), False),
        ("5", D("12.34"), None, None, True),
    ]  # fmt: skip
    assert net(report.facts) == {("funding", "USDT"): D("-25.18")}
    asked = bybit.of("/v5/asset/withdraw/query-record")
    assert {(p["withdrawType"], p["limit"]) for p in asked} == {("2", "50")}


def test_a_conversion_in_both_lists_is_booked_once(replay: Read) -> None:
    """S40"""
    convert = {
        "accountType": "eb_convert_funding", "exchangeTxId": "1010020692439483803499737088",
        "userId": "1", "fromCoin": "USDT", "fromCoinType": "crypto", "fromAmount": "10",
        "toCoin": "BTC", "toCoinType": "crypto", "toAmount": "0.00015344889", "exchangeStatus":
        "success", "extInfo": {}, "convertRate": "0.000015344889", "createdAt": str(AT),
    }  # fmt: skip
    older = {
        "fromCoin": "USDT", "fromAmount": "10", "toCoin": "BTC", "toAmount": "0.00015344889",
        "exchangeRate": "65168", "createdTime": str(AT // 1000),
        "exchangeTxId": "1010020692439483803499737088",
    }  # fmt: skip
    swept = {
        "accountType": "eb_convert_uta", "exchangeTxId": "77", "toCoin": "USDT", "toAmount": "2",
        "createdAt": str(AT), "status": "success", "subRecords": [
            {"fromCoin": "XRP", "fromAmount": "1", "toCoin": "USDT", "toAmount": "2",
             "feeCoin": "USDT", "feeAmount": "0.04", "status": "success"},
            {"fromCoin": "ADA", "fromAmount": "1", "toCoin": "USDT", "toAmount": "0",
             "feeCoin": "", "feeAmount": "", "status": "failure"},
        ],
    }  # fmt: skip
    report = replay({
        "asset/exchange/query-convert-history": said(list=[
            convert, convert | {"exchangeTxId": "2", "exchangeStatus": "failure"},
        ]),
        "asset/exchange/order-record": said(orderBody=[older], nextPageCursor=""),
        "asset/covert/small-balance-history": said(records=[swept]),
    })  # fmt: skip
    traded, dust = (f for f in report.facts if isinstance(f, Trade))
    assert (traded.kind, traded.symbol, traded.wallet) == ("conversion", "USDT/BTC", "funding")
    assert (traded.base_quantity, traded.quote_quantity) == (D(10), D("0.00015344889"))
    assert (dust.kind, dust.symbol, dust.wallet, dust.fee_quantity) == (
        "dust", "XRP/USDT", "spot", D("0.04"),
    )  # fmt: skip


def test_the_log_tells_rewards_and_moves_and_nothing_twice(replay: Read) -> None:
    """S40"""
    moved = {"transferId": "self_1", "coin": "USDT", "amount": "7", "fromAccountType": "FUND",
             "toAccountType": "UNIFIED", "timestamp": str(AT), "status": "SUCCESS"}  # fmt: skip
    report = replay({
        "account/transaction-log": once(said(nextPageCursor="21963", list=[
            entry(1, "TRADE", "-1.028", category="spot", symbol="QNTUSDT"),
            entry(2, "TRANSFER_IN", "7"), entry(3, "CURRENCY_BUY", "5"), entry(4, "BONUS", "1"),
            entry(5, "AIRDROP", "2", currency="AVAX"), entry(6, "SETTLEMENT", "-0.003676",
            category="linear"), entry(7, "TRADE", "-0.0190872", category="linear"),
            entry(8, "FLEXIBLE_STAKING_SUBSCRIPTION", "-3"),
            entry(9, "FLEXIBLE_STAKING_REDEMPTION", "1"), entry(10, "INTEREST", ""),
        ])),
        "asset/transfer/query-inter-transfer-list": once(said(nextPageCursor="", list=[
            moved, moved | {"transferId": "2", "status": "FAILED"},
            moved | {"transferId": "3", "fromAccountType": "SPOT"},
        ])),
        "earn/yield": lambda p: once(said(nextPageCursor="", **{"yield": [
            {"productId": "428", "coin": "USDT", "id": "1002096", "amount": "0.0608",
             "yieldType": "Normal", "distributionMode": "Reinvest", "status": "Success",
             "effectiveStakingAmount": "1000", "orderId": "", "createdAt": str(AT)},
        ]}))(p) if p["category"] == "FlexibleSaving" else said(**{"yield": []}),
    })  # fmt: skip
    assert net(report.facts) == {
        ("spot", "USDT"): D("5.9772368"), ("spot", "AVAX"): D(2), ("funding", "USDT"): D(-7),
        ("earn", "USDT"): D("2.0608"),
    }  # fmt: skip
    assert report.quarantined == ()


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ({"readOnly": 1, "permissions": {"Wallet": ["AccountTransfer"]}}, None),
        ({"readOnly": 0, "permissions": {"Spot": ["SpotTrade"], "Wallet": []}},
         errors.KeyTooPowerful),
        ({"readOnly": 0, "permissions": {"Wallet": ["Withdraw"]}}, errors.KeyTooPowerful),
    ],
)  # fmt: skip
def test_what_a_key_may_do(bybit: ReplayServer, result: dict[str, Any], outcome: Any) -> None:
    """S27"""
    bybit.answers["/v5/user/query-api"] = said(ips=["*"], **result)
    if outcome is None:
        assert gateway.check_key("bybit", CREDENTIAL) == "read_only"
    else:
        with pytest.raises(outcome):
            gateway.check_key("bybit", CREDENTIAL)


def test_a_full_visit_tells_what_the_key_may_do_now(replay: Read) -> None:
    report = replay({"user/query-api": said(readOnly=1, ips=["10.0.0.1"])})
    assert (report.privileges, report.address_restricted) == ("read_only", True)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (10003, errors.WrongKey), (10004, errors.WrongKey), (33004, errors.WrongKey),
        (10002, errors.WrongClock), (10010, errors.AddressNotAllowed),
        (10005, errors.MissingPermission), (10006, errors.RateLimited),
    ],
)  # fmt: skip
def test_refusals(bybit: ReplayServer, code: int, expected: Any) -> None:
    """S26"""
    told = refused(code) | {"retMsg": f"no {CREDENTIAL.api_key}"}
    bybit.answers["/v5/user/query-api"] = told
    with pytest.raises(expected) as problem:
        gateway.check_key("bybit", CREDENTIAL)
    assert CREDENTIAL.api_key not in repr(problem.value) + str(problem.value)


def test_prices_and_candles(bybit: ReplayServer) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    first = int(start.timestamp() * 1000)
    bars = [[str(first + n * 86_400_000), "1", "3", "0.5", str(n + 1), "9", "9"] for n in range(3)]
    bybit.answers |= {
        "/v5/market/instruments-info": said(category="spot", list=[
            {"symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "status": "Trading"},
        ]),
        "/v5/market/tickers": said(category="spot", list=[
            {"symbol": "BTCUSDT", "lastPrice": "100.5", "prevPrice24h": "99"},
            {"symbol": "OTHERUSDT", "lastPrice": "1", "prevPrice24h": ""},
        ]),
        "/v5/market/kline": lambda p: said(category="spot", list=[
            bar for bar in reversed(bars) if int(p["start"]) <= int(bar[0]) <= int(p["end"])
        ]),
    }  # fmt: skip
    (ticker,) = gateway.fetch_tickers("bybit")
    assert (ticker.base_code, ticker.last, ticker.open_24h) == ("BTC", D("100.5"), D(99))
    found = gateway.fetch_candles(
        "bybit", market="BTCUSDT", interval="1d", since=start, until=start + timedelta(days=3)
    )
    assert [candle.close for candle in found] == [D(1), D(2), D(3)]
