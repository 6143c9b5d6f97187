"""OKX: answers in the shapes of its private endpoints, read as one account."""

import itertools
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
API = "/api/v5"


def said(*found: Any) -> dict[str, Any]:
    return {"code": "0", "msg": "", "data": list(found)}


def detail(code: str, available: str, frozen: str = "0", **more: str) -> dict[str, str]:
    """A coin of the trading account, with the fields that mostly are empty."""
    empty = dict.fromkeys(
        ["crossLiab", "interest", "isoLiab", "liab", "maxLoan", "mgnRatio", "uplLiab"], ""
    )
    return empty | {
        "ccy": code, "availBal": available, "availEq": available, "frozenBal": frozen,
        "cashBal": available, "eq": available, "isoEq": "0", "stgyEq": "0", "upl": "0",
        "ordFrozen": frozen, "uTime": "1671542570024", "notionalLever": "0",
    } | more  # fmt: skip


def fill(number: int, **more: str) -> dict[str, str]:
    return {
        "side": "buy", "fillSz": "0.007533", "fillPx": "2654.98", "fee": "-0.000007533",
        "ordId": "317321390244397056", "instType": "SPOT", "instId": "ETH-USDT", "clOrdId": "",
        "posSide": "net", "billId": str(317321390265368576 + number), "tag": "0",
        "execType": "T", "tradeId": "107601752", "feeCcy": "ETH", "fillTime": str(AT + number),
        "ts": str(AT + number + 40), "fillPnl": "0", "feeRate": "",
    } | more  # fmt: skip


def bill(number: int, kind: str, change: str, **more: str) -> dict[str, str]:
    return {
        "billId": str(12344 + number), "ccy": "USDT", "clientId": "", "balChg": change,
        "bal": "12", "type": kind, "ts": str(AT), "notes": "",
    } | more  # fmt: skip


def sent(number: str, **more: Any) -> dict[str, Any]:
    return {
        "chain": "SOL-Solana", "areaCodeFrom": "", "clientId": "", "fee": "0.008",
        "amt": "49.86051649", "txId": "46tgp3RH", "areaCodeTo": "", "ccy": "SOL", "from": "",
        "to": "9ZLfHwxz", "state": "2", "nonTradableAsset": False, "ts": str(AT),
        "wdId": number, "feeCcy": "SOL", "note": "",
    } | more  # fmt: skip


def arrived(number: str, **more: Any) -> dict[str, Any]:
    return {
        "actualDepBlkConfirm": "991", "amt": "2500.180327", "areaCodeFrom": "", "ccy": "USDT",
        "chain": "USDT-Arbitrum One", "depId": number, "from": "", "fromWdId": "", "state": "2",
        "to": "0xaab27b15", "ts": str(AT), "txId": "0xfd12f885",
    } | more  # fmt: skip


@pytest.fixture
def okx(server: ReplayServer) -> ReplayServer:
    """An account with nothing in it."""
    quiet = [
        "asset/balances", "finance/savings/balance", "finance/staking-defi/orders-active",
        "asset/deposit-history", "asset/withdrawal-history", "asset/convert/history",
        "trade/easy-convert-history", "asset/bills-history", "account/bills-archive",
        "trade/fills-history",
    ]  # fmt: skip
    server.answers |= {f"{API}/{path}": said() for path in quiet}
    server.answers[f"{API}/account/balance"] = said({"adjEq": "", "details": [], "uTime": "1"})
    server.answers[f"{API}/account/config"] = said({"perm": "read_only", "ip": "", "uid": "1"})
    return server


@pytest.fixture
def replay(okx: ReplayServer, read: Read) -> Read:
    def run(answers: dict[str, Any] | None = None, **visit: Any) -> AccountReport:
        okx.answers |= {f"{API}/{path}": found for path, found in (answers or {}).items()}
        return read("okx", credential=CREDENTIAL, **visit)

    return run


def test_every_wallet_is_read(replay: Read) -> None:
    report = replay({
        "account/balance": said({"details": [
            detail("SOL", "299.9920000068"),
            detail("USDT", "0.00000065312", "50", eq="50.00000065312"),
            detail("BTC", "", availEq="0.5", eq="0.4999999999999999", liab="-0.1", upl="0.1"),
            detail("XMR", "0"),
        ]}),
        "asset/balances": said(
            {"availBal": "25", "bal": "27.000000000000000001", "ccy": "USDT", "frozenBal": "2"},
            {"availBal": "30", "bal": "", "ccy": "USDC", "frozenBal": "1"},
        ),
        "finance/savings/balance": said(
            {"ccy": "USDT", "amt": "11.5", "earnings": "0.01", "rate": "0.01", "loanAmt": "11.5",
             "pendingAmt": "0", "redemptAmt": ""},
        ),
        "finance/staking-defi/orders-active": said(
            {"ordId": "2413499", "ccy": "DOT", "productId": "1", "state": "1", "protocol": "DOT",
             "investData": [{"ccy": "DOT", "amt": "5"}], "earningData": [{"ccy": "DOT",
             "earningType": "0", "earnings": "0.1"}]},
        ),
    })  # fmt: skip
    assert set(report.balances) == {
        Balance("spot", "SOL", D("299.9920000068")),
        Balance("spot", "USDT", D("50.00000065312")),
        Balance("spot", "BTC", D("0.4999999999999999")),
        Balance("funding", "USDT", D("27.000000000000000001")),
        Balance("funding", "USDC", D("31")),
        Balance("earn", "USDT", D("11.5")),
        Balance("earn", "DOT", D("5")),
    }
    assert report.wallets == {"spot", "funding", "earn"}
    assert (report.failures, report.quarantined, report.complete_history) == ((), (), True)


def test_a_row_in_the_middle_that_cannot_be_read_makes_its_wallet_unknown(replay: Read) -> None:
    """S39"""
    report = replay({
        "account/balance": said({"details": [
            detail("SOL", "1"), detail("ETH", "many", eq="many"), detail("BTC", "2"),
        ]}),
        "asset/balances": said({"availBal": "25", "bal": "25", "ccy": "USDT", "frozenBal": "0"}),
    })  # fmt: skip
    assert set(report.balances) == {Balance("funding", "USDT", D(25))}
    assert [(f.feed, f.scope) for f in report.failures] == [("balances", "spot")]
    assert [kept.reason for kept in report.quarantined] == ["availBal is not a number"]


def test_what_was_in_earn_is_not_forgotten_when_earn_is_refused(replay: Read) -> None:
    no_savings = {"code": "58002", "msg": "Please activate Savings Account first", "data": []}
    refusing = {"finance/savings/balance": no_savings, "asset/balances": said(
        {"availBal": "1", "bal": "1", "ccy": "USDT", "frozenBal": "0"}
    )}  # fmt: skip
    assert replay(refusing).failures == ()
    report = replay(refusing, held={("earn", "USDT"): D(5)})
    assert [(f.feed, f.scope) for f in report.failures] == [("balances", "earn")]
    assert "earn" not in report.wallets  # unknown, and not nothing


def test_fills_with_fees_a_rebate_and_a_third_coin(replay: Read) -> None:
    report = replay({"trade/fills-history": said(
        fill(1),
        fill(2, side="sell", fee="0.0001", feeCcy="USDT"),
        fill(3, fee="-0.00012", feeCcy="OKB"),
        "not a row",
        fill(4, fee="", feeCcy="", fillTime=""),
    )})  # fmt: skip
    trades = {t.exchange_id[-1]: t for t in report.facts if isinstance(t, Trade)}
    bought, sold, third, free = trades["7"], trades["8"], trades["9"], trades["0"]
    assert (bought.symbol, bought.side, bought.wallet) == ("ETH/USDT", "buy", "spot")
    assert (bought.base_quantity, bought.price) == (D("0.007533"), D("2654.98"))
    assert bought.quote_quantity == D("0.007533") * D("2654.98")
    assert (bought.fee_code, bought.fee_quantity) == ("ETH", D("0.000007533"))
    assert bought.occurred_at == datetime.fromtimestamp((AT + 1) / 1000, UTC)
    assert (sold.side, sold.fee_code, sold.fee_quantity) == ("sell", "USDT", D("-0.0001"))
    assert (third.fee_code, third.fee_quantity) == ("OKB", D("0.00012"))
    assert (free.fee_code, free.fee_quantity) == (None, None)
    assert free.occurred_at == datetime.fromtimestamp((AT + 44) / 1000, UTC)
    assert [kept.reason for kept in report.quarantined] == ["the row is not an object"]


def test_fills_are_read_page_by_page_and_none_twice(okx: ReplayServer, replay: Read) -> None:
    """S40"""
    told = [fill(n, ts=str(AT), fillTime=str(AT)) for n in range(250, 0, -1)]

    def page(params: dict[str, str]) -> Any:
        below = int(params.get("after", 10**18))
        return said(*[row for row in told if int(row["billId"]) <= below][:100])  # repeats the edge

    report = replay({"trade/fills-history": page})
    assert len([f for f in report.facts if isinstance(f, Trade)]) == 250
    asked = okx.of(f"{API}/trade/fills-history")
    assert {params["instType"] for params in asked} == {"SPOT"}
    assert [params["limit"] for params in asked] == ["100"] * len(asked)
    days = (int(asked[0]["end"]) - int(asked[0]["begin"])) / 86_400_000
    assert days == 90
    (covered,) = (c for c in report.covered if c.feed == "trades")
    assert (covered.since, covered.until) == (NOW - timedelta(days=90), NOW)


def test_deposits_settled_pending_and_held_back(replay: Read) -> None:
    report = replay({"asset/deposit-history": said(
        arrived("88888888"),
        arrived("88888888", ccy="USDC", chain="USDC-Polygon", amt="990.795352"),
        arrived("2", state="0", txId=""),
        arrived("3", state="12"),
        arrived("4", state="99"),
    )})  # fmt: skip
    moves = [f for f in report.facts if isinstance(f, Transfer)]
    assert [(m.code, m.quantity, m.settled) for m in moves] == [
        ("USDT", D("2500.180327"), True), ("USDC", D("990.795352"), True),
        ("USDT", D("2500.180327"), False), ("USDT", D("2500.180327"), False),
    ]  # fmt: skip
    assert {(m.direction, m.wallet) for m in moves} == {("deposit", "funding")}
    assert (moves[0].network, moves[0].txid) == ("Arbitrum One", "0xfd12f885")
    assert [kept.reason for kept in report.quarantined] == ["state is unknown"]
    (covered,) = (c for c in report.covered if c.feed == "deposits")
    assert covered.until == moves[2].occurred_at  # what is pending is asked again


def test_deposits_beyond_a_page_are_read_from_their_instants_on(
    okx: ReplayServer, replay: Read
) -> None:
    """S40"""
    told = [
        arrived(str(n), ts=str(AT + n // 7)) for n in range(350, 0, -1)
    ]  # some share an instant

    def page(params: dict[str, str]) -> Any:
        before, after = int(params["before"]), int(params["after"])
        return said(*[row for row in told if before < int(row["ts"]) < after][:100])

    report = replay({"asset/deposit-history": page})
    assert len([f for f in report.facts if isinstance(f, Transfer)]) == 350
    asked = okx.of(f"{API}/asset/deposit-history")
    assert len([call for call in asked if int(call["before"]) < AT < int(call["after"])]) <= 4


def test_withdrawals_are_net_and_the_fee_is_on_top(replay: Read) -> None:
    report = replay({"asset/withdrawal-history": said(
        sent("66666666"),
        sent("66666666", ccy="ETH", fee="0.01000000eth", amt="0.094", chain="ETH-ERC20"),
        sent("3", state="-1"), sent("4", state="-2"),
        sent("5", state="0", txId=""),
    )})  # fmt: skip
    moves = [f for f in report.facts if isinstance(f, Transfer)]
    assert [(m.code, m.quantity, m.fee_code, m.fee_quantity, m.settled) for m in moves] == [
        ("SOL", D("49.86051649"), "SOL", D("0.008"), True),
        ("ETH", D("0.094"), "ETH", D("0.01"), True),
        ("SOL", D("49.86051649"), "SOL", D("0.008"), False),
    ]
    assert {(m.direction, m.wallet) for m in moves} == {("withdrawal", "funding")}
    assert net(report.facts) == {
        ("funding", "SOL"): D("-49.86851649"), ("funding", "ETH"): D("-0.104"),
    }  # fmt: skip


def test_conversions_and_dust(replay: Read) -> None:
    convert = {
        "clTReqId": "", "instId": "ETH-USDT", "side": "buy", "fillPx": "2932.401044",
        "baseCcy": "ETH", "quoteCcy": "USDT", "fillBaseSz": "0.01023052", "state": "fullyFilled",
        "tradeId": "trader16461885203381437", "fillQuoteSz": "30", "ts": str(AT),
    }  # fmt: skip
    swept = {
        "fillFromSz": "6.5807127", "fillToSz": "0.17171580105126", "fromCcy": "ADA",
        "status": "filled", "toCcy": "OKB", "uTime": str(AT), "acct": "18",
    }  # fmt: skip
    report = replay({
        "asset/convert/history": said(
            convert, convert | {"tradeId": "2", "state": "rejected"},
            convert | {"tradeId": "3", "side": "sell"},
        ),
        "trade/easy-convert-history": said(swept, swept | {"status": "running"}),
    })  # fmt: skip
    bought, sold, dust = (f for f in report.facts if isinstance(f, Trade))
    assert (bought.kind, bought.base_code, bought.quote_code) == ("conversion", "USDT", "ETH")
    assert (bought.base_quantity, bought.quote_quantity) == (D(30), D("0.01023052"))
    assert (sold.base_code, sold.quote_code, sold.wallet) == ("ETH", "USDT", "funding")
    assert (dust.kind, dust.base_code, dust.base_quantity) == ("dust", "ADA", D("6.5807127"))
    assert (dust.quote_code, dust.quote_quantity, dust.wallet) == (
        "OKB", D("0.17171580105126"), "spot",
    )  # fmt: skip


def test_the_ledgers_tell_rewards_and_moves_and_nothing_twice(replay: Read) -> None:
    """S40"""
    report = replay({
        "asset/bills-history": said(
            bill(1, "1", "5"), bill(2, "2", "-5"), bill(3, "83", "0.25"), bill(4, "130", "7"),
            bill(5, "131", "-3"), bill(6, "75", "-2"), bill(7, "76", "1"), bill(8, "20", "-4"),
            bill(9, "272", "-9"), bill(10, "9999", "1"),
        ),
        "account/bills-archive": said(
            bill(20, "2", "-10", instType="SPOT", instId="ETH-USDT"),
            bill(21, "1", "3", instType=""),
            bill(22, "7", "-0.5", instType="MARGIN"),
            bill(23, "2", "1.25", instType="SWAP"),
            bill(24, "8", "-0.05", instType="SWAP"),
        ),
    })  # fmt: skip
    assert {(r.kind, r.quantity, r.wallet) for r in report.facts if isinstance(r, Reward)} == {
        ("staking", D("0.25"), "funding"), ("interest", D("-0.5"), "spot"),
        ("derivatives", D("1.25"), "spot"), ("funding", D("-0.05"), "spot"),
    }  # fmt: skip
    assert net(report.facts) == {
        ("funding", "USDT"): D("-0.75"), ("spot", "USDT"): D("-3.3"), ("earn", "USDT"): D(1),
    }  # fmt: skip
    assert [kept.reason for kept in report.quarantined] == ["the type of bill is unknown"]


def test_instants_at_the_edge_of_a_window_are_asked(okx: ReplayServer, replay: Read) -> None:
    replay(everything=True)
    asked = okx.of(f"{API}/asset/deposit-history")
    assert int(asked[-1]["after"]) == int(NOW.timestamp() * 1000) + 1
    edges = itertools.pairwise(asked)
    assert all(int(a["after"]) - int(b["before"]) == 2 for a, b in edges)  # both ends are left out


@pytest.mark.parametrize(
    ("perm", "outcome"),
    [
        ("read_only", None), ("read_only,trade", errors.KeyTooPowerful),
        ("read_only,withdraw,trade", errors.KeyTooPowerful),
    ],
)  # fmt: skip
def test_what_a_key_may_do(okx: ReplayServer, perm: str, outcome: Any) -> None:
    """S27"""
    okx.answers[f"{API}/account/config"] = said({"perm": perm, "ip": "10.0.0.1", "uid": "1"})
    if outcome is None:
        assert gateway.check_key("okx", CREDENTIAL) == "read_only"
    else:
        with pytest.raises(outcome):
            gateway.check_key("okx", CREDENTIAL)


def test_a_full_visit_tells_what_the_key_may_do_now(replay: Read) -> None:
    report = replay({"account/config": said({"perm": "read_only", "ip": "10.0.0.1"})})
    assert (report.privileges, report.address_restricted) == ("read_only", True)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("50111", errors.WrongKey), ("50105", errors.WrongKey), ("50113", errors.WrongKey),
        ("50102", errors.WrongClock), ("50110", errors.AddressNotAllowed),
        ("50120", errors.MissingPermission), ("50011", errors.RateLimited),
        ("50001", errors.OnMaintenance),
    ],
)  # fmt: skip
def test_refusals(okx: ReplayServer, code: str, expected: Any) -> None:
    """S26"""
    told = {"code": code, "msg": f"refused {CREDENTIAL.api_key}", "data": []}
    okx.answers[f"{API}/account/config"] = Status(401, told)
    with pytest.raises(expected) as refused:
        gateway.check_key("okx", CREDENTIAL)
    assert CREDENTIAL.api_key not in repr(refused.value) + str(refused.value)


def test_prices_and_candles(okx: ReplayServer) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    first = int(start.timestamp() * 1000)
    bars = [[str(first + n * 3_600_000), "1", "3", "0.5", str(n + 1), "9", "9", "9", "1"]
            for n in range(3)]  # fmt: skip
    okx.answers |= {
        f"{API}/public/instruments": said(
            {"instId": "BTC-USDT", "baseCcy": "BTC", "quoteCcy": "USDT", "state": "live"},
        ),
        f"{API}/market/tickers": said(
            {"instId": "BTC-USDT", "last": "100.5", "open24h": "99", "ts": str(AT)},
            {"instId": "OTHER-USDT", "last": "1", "open24h": "", "ts": str(AT)},
        ),
        f"{API}/market/history-candles": lambda p: said(
            *(bar for bar in reversed(bars) if int(p["before"]) < int(bar[0]) < int(p["after"]))
        ),
    }  # fmt: skip
    (ticker,) = gateway.fetch_tickers("okx")
    assert (ticker.base_code, ticker.quote_code, ticker.last) == ("BTC", "USDT", D("100.5"))
    assert ticker.open_24h == D(99)
    found = gateway.fetch_candles(
        "okx", market="BTC-USDT", interval="1h", since=start, until=start + timedelta(hours=3)
    )
    assert [candle.close for candle in found] == [D(1), D(2), D(3)]
