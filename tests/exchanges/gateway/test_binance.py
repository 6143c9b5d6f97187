"""The recorded Binance answers, read as one account."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from exchanges.reports import AccountReport, Balance, Direction, Reward, Trade, Transfer
from tests.exchanges.gateway.conftest import NOW
from tests.exchanges.gateway.replay import ReplayServer, Status

D = Decimal
Read = Callable[..., AccountReport]
EMPTY_ROWS: dict[str, Any] = {"rows": [], "total": 0}
EMPTY_FIAT = {"code": "000000", "message": "success", "data": [], "total": 0, "success": True}
NOT_ENABLED = Status(400, {"code": -3003, "msg": "Margin account does not exist."})


def between(rows: list[Any], field: str, *, start: str = "startTime", end: str = "endTime") -> Any:
    """Answers with the rows inside the asked window, as Binance does."""

    def answer(params: dict[str, str]) -> list[Any]:
        return [
            row for row in rows if int(params[start]) <= _millis(row[field]) <= int(params[end])
        ]

    return answer


def _millis(value: Any) -> int:
    if isinstance(value, int):
        return value
    return int(datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
def binance(server: ReplayServer, recorded: Callable[[str], Any]) -> ReplayServer:
    """The recorded answers at the endpoints where they were recorded."""
    get = lambda name: recorded(f"binance/recorded/{name}.json")  # noqa: E731
    fiat = lambda buy, sell: lambda p: get(sell if p["transactionType"] == "1" else buy)  # noqa: E731
    converted = get("convert_trades")["list"]
    in_window = between(converted, "createTime")
    server.answers |= {
        "/api/v3/exchangeInfo": recorded("binance/exchangeInfo.json"),
        "/api/v3/account": get("balances"),
        "/api/v3/myTrades": lambda p: get("mytrades") if p["symbol"] == "BNBBTC" else [],
        "/sapi/v1/asset/get-funding-asset": get("funding_wallet_balances"),
        "/sapi/v1/simple-earn/flexible/position": get("simple_earn_flexible_position"),
        "/sapi/v1/simple-earn/locked/position": get("simple_earn_locked_position"),
        "/fapi/v2/balance": get("usdt_futures_balances"),
        "/dapi/v1/balance": get("coin_futures_balances"),
        "/sapi/v1/margin/account": NOT_ENABLED,
        "/sapi/v1/margin/isolated/account": NOT_ENABLED,
        "/sapi/v1/capital/deposit/hisrec": between(get("deposits_history"), "insertTime"),
        "/sapi/v1/capital/withdraw/history": between(get("withdrawals_history"), "applyTime"),
        "/sapi/v1/convert/tradeFlow": lambda p: {"list": in_window(p), "moreData": False},
        "/sapi/v1/asset/dribblet": {"total": 0, "userAssetDribblets": []},
        "/sapi/v1/asset/assetDividend": EMPTY_ROWS,
        "/sapi/v1/asset/transfer": EMPTY_ROWS,
        "/sapi/v1/fiat/orders": fiat("fiatdeposits", "fiatwithdraws"),
        "/sapi/v1/fiat/payments": fiat("fiatbuy", "fiatsell"),
        "/api/v3/time": {"serverTime": int(NOW.timestamp() * 1000)},
    }
    for kind in ("flexible", "locked"):
        for history in ("rewardsRecord", "subscriptionRecord", "redemptionRecord"):
            server.answers[f"/sapi/v1/simple-earn/{kind}/history/{history}"] = EMPTY_ROWS
    return server


@pytest.fixture
def report(binance: ReplayServer, read: Read) -> AccountReport:
    return read()


def test_every_wallet_is_read(report: AccountReport) -> None:
    assert set(report.balances) == {
        Balance("spot", "BTC", D("4723846.89208129")),
        Balance("spot", "ETH", D("4763368.68006011")),
        Balance("spot", "IDONTEXIST", D("5.0")),
        Balance("funding", "USDT", D("1")),
        Balance("earn", "USDT", D("75.46")),
        Balance("earn", "AXS", D("122.09202928")),
        Balance("futures", "USDT", D("125.55")),
        Balance("futures", "BTC", D("0.5")),
        Balance("futures", "DOT", D("500.55")),
    }
    assert report.wallets == {"spot", "funding", "earn", "futures"}
    assert (report.failures, report.quarantined, report.complete_history) == ((), (), True)


def test_trades_of_all_kinds(report: AccountReport) -> None:
    trades = {fact.exchange_id: fact for fact in report.facts if isinstance(fact, Trade)}
    assert {name: (t.feed, t.symbol, t.side) for name, t in trades.items()} == {
        "BNBBTC:28457": ("trades", "BNB/BTC", "buy"),
        "1674537715234": ("conversions", "BTC/USDT", "sell"),
        "1674537815234": ("conversions", "ETH/BNB", "sell"),
        "353fca443f06466db0c4dc89f94f027a": ("fiat_payments_buy", "LUNA/EUR", "buy"),
        "463fca443f06466db0c4dc89f94f027a": ("fiat_payments_sell", "ETH/EUR", "sell"),
    }
    fill = trades["BNBBTC:28457"]
    assert (fill.base_quantity, fill.quote_quantity) == (D("12"), D("48.000012"))
    assert (fill.fee_code, fill.fee_quantity, fill.price) == ("BNB", D("10.1"), D("4.000001"))
    assert fill.occurred_at == datetime(2017, 7, 12, 13, 19, 9, 590000, tzinfo=UTC)


@pytest.mark.parametrize(
    "name", ["353fca443f06466db0c4dc89f94f027a", "463fca443f06466db0c4dc89f94f027a"]
)
def test_fiat_payment_amounts(report: AccountReport, name: str) -> None:
    (trade,) = (f for f in report.facts if isinstance(f, Trade) and f.exchange_id == name)
    assert (trade.base_quantity, trade.quote_quantity) == (D("4.462"), D("19.8"))
    assert (trade.fee_code, trade.fee_quantity) == ("EUR", D("0.2"))


def test_transfers(report: AccountReport) -> None:
    found = [
        (t.direction, t.code, t.quantity, t.fee_code, t.fee_quantity, t.settled)
        for t in sorted(
            (fact for fact in report.facts if isinstance(fact, Transfer)),
            key=lambda t: (t.occurred_at, t.code),
        )
    ]
    assert found == [
        (Direction.DEPOSIT, "ETH", D("0.04670582"), None, None, True),
        (Direction.WITHDRAWAL, "ETH", D("0.99"), "ETH", D("0.01"), True),
        (Direction.WITHDRAWAL, "XMR", D("999.9999"), "XMR", D("0.0001"), True),
        (Direction.DEPOSIT, "XMR", D("1000"), None, None, True),
        (Direction.DEPOSIT, "EUR", D("10.00"), None, None, True),
        (Direction.WITHDRAWAL, "EUR", D("10.00"), "EUR", D("0.02"), True),
    ]


def test_every_feed_is_covered_to_now(report: AccountReport) -> None:
    covered = {(c.feed, c.scope): c for c in report.covered}
    assert all(c.until == NOW for c in report.covered)
    assert covered["trades", "BNBBTC"].cursor == "28457"
    assert covered["trades", "ETHBTC"].cursor == ""
    assert {feed for feed, _ in covered} >= {
        "deposits", "withdrawals", "conversions", "dust", "rewards", "earn_rewards",
        "fiat_deposits", "fiat_withdrawals", "fiat_payments_buy", "fiat_payments_sell",
    }  # fmt: skip


def test_windows_are_as_long_as_allowed(binance: ReplayServer, report: AccountReport) -> None:
    def longest(path: str, start: str = "startTime") -> float:
        return max(int(p["endTime"]) - int(p[start]) for p in binance.of(path)) / 86_400_000

    assert longest("/sapi/v1/capital/deposit/hisrec") == 90
    assert longest("/sapi/v1/convert/tradeFlow") == 30
    assert longest("/sapi/v1/asset/assetDividend") == 180


def held(report: AccountReport) -> dict[tuple[str, str], D]:
    return {(b.wallet, b.code): b.quantity for b in report.balances}


def test_nothing_moved_asks_balances_only(
    binance: ReplayServer, read: Read, report: AccountReport
) -> None:
    binance.calls.clear()
    known = {(c.feed, c.scope): c for c in report.covered}
    again = read(known=known, held=held(report), everything=False, codes=frozenset({"BTC"}))
    asked = [path for path in binance.paths() if "time" not in path and "Info" not in path]
    assert asked == [
        "/api/v3/account", "/sapi/v1/asset/get-funding-asset",
        "/sapi/v1/simple-earn/flexible/position", "/sapi/v1/simple-earn/locked/position",
    ]  # fmt: skip
    assert (again.facts, again.covered, again.complete_history) == ((), (), False)


def test_what_moved_is_asked_from_where_coverage_ends(
    binance: ReplayServer, read: Read, report: AccountReport
) -> None:
    binance.calls.clear()
    known = {(c.feed, c.scope): c for c in report.covered}
    before = held(report) | {("spot", "BTC"): D(1)}
    again = read(known=known, held=before, everything=False, codes=frozenset({"BNB"}))
    symbols = [params["symbol"] for params in binance.of("/api/v3/myTrades")]
    assert symbols
    assert all("BTC" in symbol for symbol in symbols)
    (params,) = [p for p in binance.of("/api/v3/myTrades") if p["symbol"] == "BNBBTC"]
    assert params["fromId"] == "28457"
    (window,) = binance.of("/sapi/v1/capital/deposit/hisrec")
    assert int(window["endTime"]) - int(window["startTime"]) == 3_600_000
    assert {c.until for c in again.covered} == {NOW}


def test_earn_mirrors_are_not_counted_twice(binance: ReplayServer, read: Read) -> None:
    listed = binance.answers["/api/v3/exchangeInfo"]["symbols"]
    listed.append({"symbol": "LDOUSDT", "baseAsset": "LDO", "quoteAsset": "USDT"})
    binance.answers["/api/v3/account"] = {
        "balances": [
            {"asset": "LDUSDT", "free": "75.46", "locked": "0"},
            {"asset": "LDO", "free": "7", "locked": "1"},
            {"asset": "LDNEWCOIN", "free": "3", "locked": "0"},
        ]
    }
    report = read(everything=False)
    spot = {b.code: b.quantity for b in report.balances if b.wallet == "spot"}
    assert spot == {"LDO": D(8), "LDNEWCOIN": D(3)}
    assert {b.code for b in report.balances if b.wallet == "earn"} == {"USDT", "AXS"}


def test_dust_rewards_and_internal_moves(binance: ReplayServer, read: Read) -> None:
    at = 1_700_000_000_000
    detail = {
        "transId": 45178372831, "serviceChargeAmount": "0.00001453", "amount": "0.000006",
        "operateTime": at, "transferedAmount": "0.00072693", "fromAsset": "LTC",
    }  # fmt: skip
    sweep = {"operateTime": at, "transId": 45178372831, "userAssetDribbletDetails": [detail]}
    inside = lambda row: lambda p: {  # noqa: E731
        "rows": [row] if int(p["startTime"]) <= at <= int(p["endTime"]) else [], "total": 1,
    }  # fmt: skip
    binance.answers |= {
        "/sapi/v1/asset/dribblet": lambda p: {
            "total": 1,
            "userAssetDribblets": [sweep] if int(p["startTime"]) <= at < int(p["endTime"]) else [],
        },
        "/sapi/v1/asset/assetDividend": inside(
            {"id": 242, "amount": "1.5", "asset": "BNB", "divTime": at, "enInfo": "Airdrop"}
        ),
        "/sapi/v1/simple-earn/flexible/history/rewardsRecord": inside(
            {"asset": "USDT", "rewards": "0.1", "projectId": "U1", "type": "REALTIME", "time": at}
        ),
        "/sapi/v1/simple-earn/flexible/history/subscriptionRecord": inside(
            {"amount": "10", "asset": "USDT", "time": at, "purchaseId": 26055, "status": "SUCCESS"}
        ),
    }
    facts = {(fact.feed, fact.exchange_id): fact for fact in read().facts}
    dust = facts["dust", "45178372831:LTC"]
    assert isinstance(dust, Trade)
    assert (dust.base_code, dust.base_quantity, dust.quote_code) == ("LTC", D("0.000006"), "BNB")
    assert (dust.quote_quantity, dust.fee_quantity) == (D("0.00072693"), D("0.00001453"))
    airdrop = facts["rewards", "242"]
    assert isinstance(airdrop, Reward)
    assert (airdrop.kind, airdrop.quantity, airdrop.wallet) == ("airdrop", D("1.5"), "spot")
    (interest,) = (fact for fact in facts.values() if fact.feed == "earn_rewards")
    assert isinstance(interest, Reward)
    assert (interest.wallet, interest.quantity) == ("earn", D("0.1"))
    moved = facts["earn_subscriptions", "26055"]
    assert isinstance(moved, Transfer)
    assert (moved.direction, moved.wallet, moved.counter_wallet) == ("internal", "spot", "earn")
