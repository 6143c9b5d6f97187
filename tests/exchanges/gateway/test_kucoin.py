"""KuCoin: answers in the shapes of its private endpoints, read as one account."""

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
    return {"code": "200000", "data": found}


def page(*items: Any, number: int = 1, pages: int = 1) -> dict[str, Any]:
    return said({
        "currentPage": number, "pageSize": 500, "totalNum": len(items), "totalPage": pages,
        "items": list(items),
    })  # fmt: skip


def once(*items: Any, stamp: int = AT) -> Callable[[dict[str, str]], Any]:
    """The items in the window where they belong, nothing in every other."""
    return lambda p: page(*(items if int(p["startAt"]) <= stamp <= int(p["endAt"]) else ()))


def account(kind: str, code: str, balance: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": "601ac6f7d48f8000063ab2da", "currency": code, "type": kind, "balance": balance,
        "available": balance, "holds": "0",
    } | more  # fmt: skip


def fill(number: int, **more: Any) -> dict[str, Any]:
    return {
        "symbol": "KCS-USDT", "tradeId": f"601da9faf1297d0007ef{number:04}", "orderId":
        "601da9fa0c92050006bd83be", "counterOrderId": "601bad620c9205000642300f", "side": "buy",
        "liquidity": "taker", "forceTaker": True, "price": "1000", "size": "0.2", "funds": "200",
        "fee": "0.14", "feeRate": "0.0007", "feeCurrency": "USDT", "stop": "", "tradeType": "TRADE",
        "type": "market", "createdAt": AT,
    } | more  # fmt: skip


def moved(**more: Any) -> dict[str, Any]:
    return {
        "address": "0x5bedb060", "memo": "", "currency": "ETH", "amount": 1, "fee": 0.01,
        "walletTxId": "3e2414d8@test004", "isInner": False, "status": "SUCCESS", "remark": "test",
        "chain": "eth", "createdAt": AT, "updatedAt": AT + 1000,
    } | more  # fmt: skip


def entry(number: int, kind: str, amount: str, direction: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"611a1e7c6a053300067a{number:04}", "currency": "KCS", "amount": amount, "fee": "0",
        "balance": "0", "accountType": "MAIN", "bizType": kind, "direction": direction,
        "createdAt": AT, "context": "",
    } | more  # fmt: skip


@pytest.fixture
def kucoin(server: ReplayServer) -> ReplayServer:
    """An account with nothing in it."""
    quiet = [
        "fills", "deposits", "hist-deposits", "withdrawals", "hist-withdrawals",
        "accounts/ledgers", "convert/order/history", "earn/hold-assets",
    ]  # fmt: skip
    server.answers |= {f"/api/v1/{path}": page() for path in quiet}
    server.answers |= {
        "/api/v2/symbols": said([
            {"symbol": "KCS-USDT", "baseCurrency": "KCS", "quoteCurrency": "USDT"},
            {"symbol": "ADA-BTC", "baseCurrency": "ADA", "quoteCurrency": "BTC"},
        ]),
        "/api/v1/accounts": said([]),
        "/api/v3/margin/accounts": said({"accounts": []}),
        "/api/v1/margin/account": said({"accounts": []}),
        "/api/v3/isolated/accounts": said({"assets": []}),
        "/api/v1/isolated/accounts": said({"assets": []}),
        "/api/v1/hf/fills": said({"items": [], "lastId": 0}),
        "/api/v1/user/api-key": said({"permission": "General", "ipWhitelist": ""}),
    }  # fmt: skip
    server.answers["/api/v1/symbols"] = server.answers["/api/v2/symbols"]
    return server


@pytest.fixture
def replay(kucoin: ReplayServer, read: Read) -> Read:
    def run(answers: dict[str, Any] | None = None, **visit: Any) -> AccountReport:
        kucoin.answers |= {f"/api/v1/{path}": found for path, found in (answers or {}).items()}
        return read("kucoin", credential=CREDENTIAL, **visit)

    return run


def test_every_wallet_is_read_and_none_twice(replay: Read) -> None:
    """S40"""
    held = {
        "orderId": "2", "productId": "9", "productCategory": "DEMAND", "currency": "USDT",
        "incomeCurrency": "USDT", "returnRate": "0.05", "holdAmount": "30.5", "redeemedAmount":
        "0", "redeemingAmount": "0", "lockStartTime": AT, "status": "LOCKED",
    }  # fmt: skip
    owing = {"currency": "USDT", "totalBalance": "10", "total": "10", "availableBalance": "10",
             "holdBalance": "0", "liability": "4", "maxBorrowSize": "20"}  # fmt: skip
    margin = said({"debtRatio": "0", "accounts": [owing]})
    report = replay({
        "accounts": said([
            account("main", "BCHSV", "1"), account("main", "BTC", "2.52"),
            account("trade", "BTC", "0.090180670000000001"), account("trade", "USDT", 597),
            account("trade_hf", "ETH", "0.5"), account("trade", "XRP", "0"),
            account("margin", "USDT", "6"),
        ]),
        "earn/hold-assets": page(held),
        "margin/account": margin,
    })  # fmt: skip
    assert set(report.balances) == {
        Balance("funding", "BSV", D(1)), Balance("funding", "BTC", D("2.52")),
        Balance("spot", "BTC", D("0.090180670000000001")), Balance("spot", "USDT", D(597)),
        Balance("spot", "ETH", D("0.5")), Balance("earn", "USDT", D("30.5")),
        Balance("margin", "USDT", D(6)),
    }  # fmt: skip
    assert report.wallets == {"spot", "funding", "earn", "margin"}
    assert (report.failures, report.quarantined, report.complete_history) == ((), (), True)


def test_an_account_that_cannot_be_read_makes_its_wallet_unknown(replay: Read) -> None:
    """S39"""
    report = replay({"accounts": said([
        account("main", "BTC", "2.52"), account("trade", "ETH", "NaN"),
        account("trade", "XRP", "1"),
    ])})  # fmt: skip
    assert set(report.balances) == {Balance("funding", "BTC", D("2.52"))}
    assert [(f.feed, f.scope) for f in report.failures] == [("balances", "spot")]


def test_fills(replay: Read) -> None:
    report = replay({"fills": once(
        fill(1, price=1000, funds=200),
        fill(2, symbol="BCHSV-USDT", side="sell", fee="0.034238204"),
        fill(3, fee="0.002", feeCurrency="KCS"), fill(4, fee="-0.01"), fill(5, funds=""),
        fill(6, symbol="KCSUSDT"), fill(7, tradeType="MARGIN_TRADE"),
    )})  # fmt: skip
    trades = {t.exchange_id[-1]: t for t in report.facts if isinstance(t, Trade)}
    assert {n: (t.symbol, t.side, t.fee_code, t.fee_quantity) for n, t in trades.items()} == {
        "1": ("KCS/USDT", "buy", "USDT", D("0.14")),
        "2": ("BSV/USDT", "sell", "USDT", D("0.034238204")),
        "3": ("KCS/USDT", "buy", "KCS", D("0.002")),
        "4": ("KCS/USDT", "buy", "USDT", D("-0.01")),
        "5": ("KCS/USDT", "buy", "USDT", D("0.14")),
        "7": ("KCS/USDT", "buy", "USDT", D("0.14")),
    }
    assert (trades["1"].base_quantity, trades["1"].quote_quantity) == (D("0.2"), D(200))
    assert trades["5"].quote_quantity == D(200)
    assert {n: t.wallet for n, t in trades.items() if t.wallet != "spot"} == {"7": "margin"}
    assert trades["1"].occurred_at == datetime.fromtimestamp(AT / 1000, UTC)
    assert [kept.reason for kept in report.quarantined] == ["symbol is not a spot pair"]


def test_weeks_are_read_page_by_page(kucoin: ReplayServer, replay: Read) -> None:
    """S40"""

    def answer(params: dict[str, str]) -> Any:
        if not int(params["startAt"]) <= AT <= int(params["endAt"]):
            return page(pages=0)
        number = int(params.get("currentPage", 1))
        first = max(number * 3 - 4, 0)  # each page repeats the last row of the one before
        return page(*(fill(n) for n in range(first, number * 3)), number=number, pages=3)

    report = replay({"fills": answer})
    assert len([f for f in report.facts if isinstance(f, Trade)]) == 9
    spans = [(int(p["startAt"]), int(p["endAt"])) for p in kucoin.of("/api/v1/fills")]
    assert max(end - start for start, end in spans) == 7 * DAY
    assert min(start for start, _ in spans) == datetime(2019, 2, 18, tzinfo=UTC).timestamp() * 1000


def test_fills_of_the_newer_account_are_asked_by_symbol_and_booked_once(
    kucoin: ReplayServer, replay: Read
) -> None:
    """S40"""
    newer = fill(1, id=7, tradeType="TRADE")

    def answer(params: dict[str, str]) -> Any:
        inside = int(params["startAt"]) <= AT <= int(params["endAt"])
        found = [newer] if inside and params["symbol"] == "KCS-USDT" else []
        return said({"items": found, "lastId": 7 if found else 0})

    report = replay({
        "accounts": said([account("main", "KCS", "1")]), "fills": once(fill(1)), "hf/fills": answer,
    })  # fmt: skip
    (trade,) = (f for f in report.facts if isinstance(f, Trade))
    assert trade.exchange_id == "KCS-USDT:601da9faf1297d0007ef0001"
    assert {p["symbol"] for p in kucoin.of("/api/v1/hf/fills")} == {"KCS-USDT"}


def test_without_its_list_of_markets_the_rest_is_read(kucoin: ReplayServer, replay: Read) -> None:
    kucoin.answers["/api/v2/symbols"] = kucoin.answers["/api/v1/symbols"] = Status(404)
    report = replay({"accounts": said([account("main", "BTC", "2")]), "fills": once(fill(1))})
    assert [b.code for b in report.balances] == ["BTC"]
    assert [f.exchange_id for f in report.facts] == ["KCS-USDT:601da9faf1297d0007ef0001"]
    assert [f.feed for f in report.failures] == ["markets"]
    assert not report.complete_history


def test_deposits_and_withdrawals(replay: Read) -> None:
    report = replay({
        "deposits": once(
            moved(fee="0"), moved(walletTxId="2", fee=0.01),
            moved(walletTxId="3", status="FAILURE"),
            moved(walletTxId="4", status="PROCESSING"), moved(walletTxId="5", status="LOST"),
        ),
        "withdrawals": once(
            moved(id="5c2dc64e", amount="0.9999999999999999", walletTxId="", address="0xaa"),
            moved(id="2", status="WALLET_PROCESSING", fee=""), moved(id="3", status="FAILURE"),
        ),
    })  # fmt: skip
    moves = [f for f in report.facts if isinstance(f, Transfer)]
    assert [(m.direction, m.txid, m.quantity, m.fee_quantity, m.settled) for m in moves] == [
        ("deposit", "3e2414d8", D(1), None, True), ("deposit", "2", D(1), D("0.01"), True),
        ("deposit", "4", D(1), D("0.01"), False),
        ("withdrawal", "", D("0.9999999999999999"), D("0.01"), True),
        ("withdrawal", "3e2414d8", D(1), None, False),
    ]  # fmt: skip
    assert {m.wallet for m in moves} == {"funding"}
    assert net(report.facts) == {("funding", "ETH"): D("0.9800000000000001")}
    assert [kept.reason for kept in report.quarantined] == ["status is unknown"]


def test_transfers_of_the_first_years_have_a_list_of_their_own(replay: Read) -> None:
    old = {
        "currency": "BTC", "createAt": 1528536998, "amount": "0.03266638", "isInner": False,
        "walletTxId": "55c643bc@12ffGWmM@234", "status": "SUCCESS",
    }  # fmt: skip
    sent = old | {"walletTxId": "aeacea86", "address": "33xW37ZS", "createAt": 1526723468}
    report = replay({"hist-deposits": page(old), "hist-withdrawals": page(sent)})
    arrived, left = (f for f in report.facts if isinstance(f, Transfer))
    assert (arrived.direction, arrived.txid, arrived.address) == ("deposit", "55c643bc", "12ffGWmM")
    assert arrived.occurred_at == datetime.fromtimestamp(1528536998, UTC)
    assert (left.direction, left.address, left.fee_code) == ("withdrawal", "33xW37ZS", None)


def test_conversions(replay: Read) -> None:
    told = {
        "clientOrderId": "1", "orderId": "64d6c5b7", "fromCurrency": "BTC", "toCurrency": "USDT",
        "fromCurrencySize": "0.1", "toCurrencySize": "1000.5", "accountType": "FUNDING",
        "price": "10005", "status": "SUCCESS", "orderTime": AT,
    }  # fmt: skip
    report = replay(
        {"convert/order/history": once(told, told | {"orderId": "2", "status": "FAIL"})}
    )
    (trade,) = (f for f in report.facts if isinstance(f, Trade))
    assert (trade.kind, trade.symbol, trade.wallet) == ("conversion", "BTC/USDT", "funding")
    assert (trade.base_quantity, trade.quote_quantity) == (D("0.1"), D("1000.5"))


def test_the_ledger_tells_rewards_and_moves_and_nothing_twice(
    kucoin: ReplayServer, replay: Read
) -> None:
    """S40"""
    report = replay({"accounts/ledgers": once(
        entry(1, "Deposit", "5", "in"), entry(2, "Trade_Exchange", "9", "out", accountType="TRADE"),
        entry(3, "Distribution", "0.00000339", "in", currency="GAS"),
        entry(4, "Transfer", "7", "out"), entry(5, "Transfer", "7", "in", accountType="TRADE"),
        entry(6, "KuCoin Bonus", "1", "in"), entry(7, "Staking", "3", "out"),
        entry(8, "Staking Profits", "0.25", "in"), entry(9, "Redemption", "2", "in"),
        entry(10, "Airdrop/Fork", "4", "sideways"),
    )})  # fmt: skip
    assert net(report.facts) == {
        ("funding", "GAS"): D("0.00000339"), ("funding", "KCS"): D("-6.75"),
        ("spot", "KCS"): D(7), ("earn", "KCS"): D(1),
    }  # fmt: skip
    assert {(r.kind, r.quantity) for r in report.facts if isinstance(r, Reward)} == {
        ("distribution", D("0.00000339")), ("bonus", D(1)), ("staking", D("0.25")),
    }  # fmt: skip
    assert [kept.reason for kept in report.quarantined] == ["direction is neither in nor out"]
    asked = kucoin.of("/api/v1/accounts/ledgers")
    assert max(int(p["endAt"]) - int(p["startAt"]) for p in asked) == DAY
    assert len(asked) == 364


@pytest.mark.parametrize(
    ("permission", "outcome"),
    [
        ("General", None), ("General,Trade", errors.KeyTooPowerful),
        ("General,Transfer", errors.KeyTooPowerful), ("General,Spot", errors.KeyTooPowerful),
    ],
)  # fmt: skip
def test_what_a_key_may_do(kucoin: ReplayServer, permission: str, outcome: Any) -> None:
    """S27"""
    kucoin.answers["/api/v1/user/api-key"] = said({"permission": permission, "ipWhitelist": ""})
    if outcome is None:
        assert gateway.check_key("kucoin", CREDENTIAL) == "read_only"
    else:
        with pytest.raises(outcome):
            gateway.check_key("kucoin", CREDENTIAL)


def test_a_full_visit_tells_what_the_key_may_do_now(replay: Read) -> None:
    report = replay({"user/api-key": said({"permission": "General", "ipWhitelist": "10.0.0.1"})})
    assert (report.privileges, report.address_restricted) == ("read_only", True)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("400003", errors.WrongKey), ("400004", errors.WrongKey), ("400005", errors.WrongKey),
        ("400002", errors.WrongClock), ("400006", errors.AddressNotAllowed),
        ("400007", errors.MissingPermission), ("429000", errors.RateLimited),
    ],
)  # fmt: skip
def test_refusals(kucoin: ReplayServer, code: str, expected: Any) -> None:
    """S26"""
    told = {"code": code, "msg": f"refused {CREDENTIAL.api_key} {CREDENTIAL.passphrase}"}
    kucoin.answers["/api/v1/user/api-key"] = Status(401, told)
    with pytest.raises(expected) as refused:
        gateway.check_key("kucoin", CREDENTIAL)
    assert CREDENTIAL.api_key not in repr(refused.value) + str(refused.value)


def test_prices_and_candles(kucoin: ReplayServer) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    first = int(start.timestamp())
    bars = [[str(first + n * 3600), "1", str(n + 1), "9", "0.5", "7", "7"] for n in range(3)]
    kucoin.answers |= {
        "/api/v1/market/allTickers": said({"time": AT, "ticker": [
            {"symbol": "KCS-USDT", "last": "100.5", "changePrice": "1.5", "changeRate": "0.01"},
            {"symbol": "OTHER-USDT", "last": "1", "changePrice": ""},
        ]}),
        "/api/v1/market/candles": lambda p: said([
            bar for bar in reversed(bars) if int(p["startAt"]) <= int(bar[0]) < int(p["endAt"])
        ]),
    }  # fmt: skip
    (ticker,) = gateway.fetch_tickers("kucoin")
    assert (ticker.base_code, ticker.last, ticker.open_24h) == ("KCS", D("100.5"), D(99))
    found = gateway.fetch_candles(
        "kucoin", market="KCS-USDT", interval="1h", since=start, until=start + timedelta(hours=3)
    )
    assert [candle.close for candle in found] == [D(1), D(2), D(3)]
