"""Gemini's answers in their full shapes: oldest rows first, advances, staking, rewards."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from exchanges import gateway
from exchanges.gateway import errors
from exchanges.gateway.dialects import gemini
from exchanges.gateway.rows import BadRow
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
KEY = Credential("account-key-of-the-test", "secret-of-the-test")
ROLES = {"isAuditor": True, "isFundManager": False, "isTrader": False}
BALANCES: list[Any] = [
    {"type": "exchange", "currency": "BTC", "amount": "1154.62034001234567890123",
     "available": "1129.10517279", "availableForWithdrawal": "1129.10517279"},
    {"type": "exchange", "currency": "USD", "amount": "18722.79", "available": "14481.62"},
    {"type": "exchange", "currency": "ETH", "amount": "0", "available": "0"},
]  # fmt: skip
FILL: dict[str, Any] = {
    "price": "3900.00", "amount": "0.00996", "timestamp": 1638891173, "timestampms": 1638891173518,
    "type": "Sell", "aggressor": False, "fee_currency": "USD", "fee_amount": "0.1359540",
    "tid": 73621746145, "order_id": "73621746059", "exchange": "gemini",
    "is_auction_fill": False, "is_clearing_fill": False, "symbol": "BTCUSD",
    "client_order_id": "1638891171610",
}  # fmt: skip
DEPOSIT: dict[str, Any] = {
    "type": "Deposit", "status": "Complete", "timestampms": 1495550176562, "eid": 298112782,
    "currency": "BTC", "amount": "1500", "txHash": "163eeee4", "outputIdx": 0,
}  # fmt: skip
WITHDRAWAL: dict[str, Any] = {
    "type": "Withdrawal", "status": "Complete", "timestampms": 1535451930431, "eid": 341167014,
    "currency": "BTC", "amount": "1.00", "feeAmount": "0.001", "feeCurrency": "BTC",
    "txHash": "7bffd858", "destination": "0xd24400ae", "withdrawalId": "w", "network": "bitcoin",
}  # fmt: skip


def ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def oldest_first(found: Any, size: str) -> Callable[[dict[str, str]], Any]:
    """The oldest rows on or after an instant, as many as one answer holds, newest on top."""

    def answer(params: dict[str, str]) -> Any:
        since, symbol = int(params["timestamp"]), params.get("symbol", "").upper()
        rows = [r for r in found if not isinstance(r, dict) or int(r["timestampms"]) >= since]
        rows = [r for r in rows if not symbol or r.get("symbol", symbol) == symbol]
        rows.sort(key=lambda r: int(r["timestampms"]) if isinstance(r, dict) else 0)
        return rows[: int(params[size])][::-1]

    return answer


@pytest.fixture
def replay(server: ReplayServer, read: Callable[..., AccountReport]) -> Replay:
    def run(
        fills: Any = (), transfers: Any = (), staking: Any = (), staked: Any = (), **visit: Any
    ) -> AccountReport:
        symbols = ["btcusd", "ethbtc", "ethusd", "solusd", "btcgusdperp"]
        server.answers |= {
            "/v1/symbols": visit.pop("symbols", symbols),
            "/v1/balances": visit.pop("balances", BALANCES),
            "/v1/balances/staking": list(staked),
            "/v1/transfers": oldest_first(list(transfers), "limit_transfers"),
            "/v1/mytrades": oldest_first(list(fills), "limit_trades"),
            "/v1/staking/history": list(staking), "/v1/roles": ROLES,
        }  # fmt: skip
        return read("gemini", **{"credential": KEY, **visit})

    return run


def test_staked_coins_are_a_wallet_of_their_own(replay: Replay) -> None:
    report = replay(
        staked=[{"type": "Staking", "currency": "ETH", "balance": 32.5, "available": 0,
                 "availableForWithdrawal": 32.5, "balanceByProvider": {}}]
    )  # fmt: skip
    assert set(report.balances) == {
        Balance("spot", "BTC", D("1154.62034001234567890123")),
        Balance("spot", "USD", D("18722.79")), Balance("earn", "ETH", D("32.5")),
    }  # fmt: skip
    assert (report.failures, report.privileges) == ((), Privileges.READ_ONLY)


def test_an_account_without_staking_is_complete(
    replay: Replay, server: ReplayServer, read: Callable[..., AccountReport]
) -> None:
    replay()
    refused = Status(403, {"result": "error", "reason": "MissingRole", "message": "no"})
    server.answers |= {"/v1/balances/staking": refused, "/v1/staking/history": refused}
    report = read("gemini", credential=KEY)
    assert (report.failures, report.wallets) == ((), {"spot"})


def test_an_unreadable_row_leaves_its_wallet_unknown(replay: Replay) -> None:
    bad = [*BALANCES, {"currency": "SOL", "amount": "lots"}, None]
    report = replay(balances=bad)
    assert "spot" not in report.wallets
    assert {kept.reason for kept in report.quarantined} >= {"amount is not a number"}


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("btcusd", ("BTC", "USD")), ("paxgusd", ("PAXG", "USD")), ("btcgusd", ("BTC", "GUSD")),
        ("efilfil", ("EFIL", "FIL")), ("gusdusd", ("GUSD", "USD")), ("usdcusd", ("USDC", "USD")),
        ("BTCRLUSD", ("BTC", "RLUSD")), ("1inchusd", ("1INCH", "USD")), ("btcgusdperp", None),
    ],
)  # fmt: skip
def test_symbols_are_split_by_their_quote(symbol: str, expected: tuple[str, str] | None) -> None:
    assert gemini.split_symbol(symbol) == expected


def test_a_symbol_without_a_known_quote() -> None:
    with pytest.raises(BadRow):
        gemini.split_symbol("linkzzz")


def test_fills_by_symbol(replay: Replay, server: ReplayServer) -> None:
    older = {k: v for k, v in FILL.items() if k not in ("symbol", "client_order_id")}
    rebate = FILL | {"tid": 2, "type": "Buy", "fee_amount": "-0.5"}
    free = FILL | {"tid": 3, "fee_amount": "0.00", "fee_currency": None}
    broken = FILL | {"tid": 4, "break": "trade busted"}
    report = replay(fills=[FILL, rebate, free, broken, older | {"tid": 5, "symbol": "BTCUSD"}])
    fills = {f.exchange_id: f for f in report.facts if isinstance(f, Trade)}
    first = fills["73621746145"]
    assert (first.symbol, first.side, first.base_quantity, first.quote_quantity) == (
        "BTC/USD", "sell", D("0.00996"), D("38.8440000"),
    )  # fmt: skip
    assert (first.fee_code, first.fee_quantity) == ("USD", D("0.1359540"))
    assert first.occurred_at == datetime(2021, 12, 7, 15, 32, 53, 518000, tzinfo=UTC)
    assert (fills["2"].side, fills["2"].fee_quantity) == ("buy", D("-0.5"))
    assert fills["3"].fee_code is None
    assert set(fills) == {"73621746145", "2", "3", "5"}
    assert {p["symbol"] for p in server.of("/v1/mytrades")} == {"btcusd"}


def test_a_fill_that_names_no_symbol_has_the_one_that_was_asked_for(
    replay: Replay, server: ReplayServer, read: Callable[..., AccountReport]
) -> None:
    replay()
    older = {k: v for k, v in FILL.items() if k != "symbol"}
    server.answers["/v1/mytrades"] = [older]
    (fill,) = read("gemini", credential=KEY).facts
    assert isinstance(fill, Trade)
    assert fill.symbol == "BTC/USD"


def test_more_fills_than_one_answer_holds(replay: Replay) -> None:
    """Many share a millisecond, at the edges of pages too."""
    many = [FILL | {"tid": n, "timestampms": 1638891173000 + n // 7} for n in range(1700)]
    report = replay(fills=many)
    assert {f.exchange_id for f in report.facts} == {str(n) for n in range(1700)}
    assert report.quarantined == ()


def test_transfers_of_every_kind(replay: Replay) -> None:
    report = replay(
        transfers=[
            DEPOSIT, WITHDRAWAL, DEPOSIT | {"eid": 3, "status": "Pending"},
            WITHDRAWAL | {"eid": 4, "status": "Cancelled"}, DEPOSIT | {"eid": 5, "status": "Odd"},
            DEPOSIT | {"eid": 6, "type": "Reward", "amount": "0.00012"},
            DEPOSIT | {"eid": 7, "type": "AdminDebit", "currency": "USD", "amount": "2.00"},
            DEPOSIT | {"eid": 8, "status": "Advanced", "currency": "USD", "method": "ACH"},
            DEPOSIT | {"eid": 9, "advanceEid": 8, "currency": "USD", "timestampms": 1495950176562},
        ]
    )  # fmt: skip
    moves = {f.exchange_id: f for f in report.facts if isinstance(f, Transfer)}
    assert {name: (m.direction, m.settled) for name, m in moves.items()} == {
        "298112782": ("deposit", True), "341167014": ("withdrawal", True),
        "3": ("deposit", False), "8": ("deposit", True),
    }  # fmt: skip
    sent = moves["341167014"]
    assert (sent.quantity, sent.fee_code, sent.fee_quantity) == (D("1.00"), "BTC", D("0.001"))
    assert (sent.txid, sent.address, sent.network) == ("7bffd858", "0xd24400ae", "bitcoin")
    assert net(report.facts) == {
        ("spot", "BTC"): D(1500) - D("1.001") + D("0.00012"),
        ("spot", "USD"): D(1500) - D(2),
    }  # fmt: skip
    assert {kept.reason for kept in report.quarantined} == {"status is unknown"}


def test_a_withdrawals_fee_may_be_in_another_coin(replay: Replay) -> None:
    link = WITHDRAWAL | {"currency": "LINK", "feeAmount": "0.002", "feeCurrency": "ETH"}
    assert net(replay(transfers=[link]).facts) == {
        ("spot", "LINK"): D("-1.00"), ("spot", "ETH"): D("-0.002"),
    }  # fmt: skip


def test_transfers_are_paged_and_each_comes_once(replay: Replay) -> None:
    many = [DEPOSIT | {"eid": n, "timestampms": 1495550176562 + n // 3} for n in range(1, 171)]
    report = replay(transfers=many)
    assert len(report.facts) == 170
    (covered,) = (c for c in report.covered if c.feed == "transfers")
    assert covered.until == NOW


def test_coverage_is_taken_up_where_it_ended(replay: Replay, server: ReplayServer) -> None:
    known = Covered("transfers", "", NOW - timedelta(days=60), NOW - timedelta(days=2))
    replay(known={("transfers", ""): known})
    (call,) = server.of("/v1/transfers")
    assert int(call["timestamp"]) == ms(NOW - timedelta(days=2, hours=1))


def test_without_the_list_of_markets_there_still_are_balances_and_transfers(
    replay: Replay,
) -> None:
    report = replay(symbols=Status(404, {}))
    assert report.balances
    assert {"deposits", "transfers"} & {covered.feed for covered in report.covered}
    assert "markets" in {failure.feed for failure in report.failures}


def test_stakes_and_what_they_earn(replay: Replay) -> None:
    def event(name: str, kind: str, amount: Any) -> dict[str, Any]:
        return {"transactionId": name, "transactionType": kind, "amountCurrency": "MATIC",
                "amount": amount, "priceCurrency": "USD", "priceAmount": 0.1,
                "dateTime": 1667418560153}  # fmt: skip

    events = [
        event("a", "Deposit", 20),
        event("b", "Redeem", "5.5"),
        event("c", "Interest", "0.0123456789"),
    ]
    report = replay(staking=[{"providerId": "62b2", "transactions": events}])
    assert net(report.facts) == {
        ("spot", "MATIC"): D("-14.5"), ("earn", "MATIC"): D("14.5123456789"),
    }  # fmt: skip
    assert {f.exchange_id for f in report.facts} == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        (ROLES, Privileges.READ_ONLY),
        (ROLES | {"isAuditor": False, "isTrader": True}, errors.KeyTooPowerful),
        (ROLES | {"isAuditor": False, "isFundManager": True}, errors.KeyTooPowerful),
        (ROLES | {"isAuditor": False}, errors.MissingPermission),
        ([], errors.Malformed),
    ],
)
def test_what_a_key_may_do(server: ReplayServer, roles: Any, expected: Any) -> None:
    server.answers["/v1/roles"] = roles
    if expected is Privileges.READ_ONLY:
        assert gateway.check_key("gemini", KEY) is expected
        return
    with pytest.raises(expected):
        gateway.check_key("gemini", KEY)


@pytest.mark.parametrize(
    ("reason", "status", "error"),
    [
        ("InvalidSignature", 400, errors.WrongKey), ("InvalidApiKey", 400, errors.WrongKey),
        ("MissingRole", 403, errors.MissingPermission), ("InvalidNonce", 400, errors.WrongClock),
        ("RateLimit", 429, errors.RateLimited), ("Maintenance", 503, errors.OnMaintenance),
        ("System", 500, errors.Unreachable), ("InvalidJson", 400, errors.GatewayError),
    ],
)  # fmt: skip
def test_error_codes(
    server: ReplayServer, reason: str, status: int, error: type[errors.GatewayError]
) -> None:
    body = {"result": "error", "reason": reason, "message": "account-key-of-the-test"}
    server.answers["/v1/roles"] = Status(status, body)
    with pytest.raises(errors.GatewayError) as caught:
        gateway.check_key("gemini", KEY)
    assert type(caught.value) is error
    assert "account-key-of-the-test" not in repr(caught.value)


def test_a_key_of_a_whole_group_is_refused_before_anything_is_sent(server: ReplayServer) -> None:
    with pytest.raises(errors.WrongKey):
        gateway.check_key("gemini", Credential("master-key", "secret-of-the-test"))
    assert server.calls == []


def test_nonces_of_a_visit_rise(replay: Replay, server: ReplayServer) -> None:
    replay(fills=[FILL])
    nonces = [int(call.params["nonce"]) for call in server.calls if "nonce" in call.params]
    assert len(nonces) >= 6
    assert all(one < another for one, another in pairwise(nonces))


def test_prices_of_listed_symbols(server: ReplayServer) -> None:
    feed = [{"pair": "BTCUSD", "price": "9500.01", "percentChange24h": "0.0146"},
            {"pair": "BTCGUSDPERP", "price": "9500.01", "percentChange24h": "0"},
            {"pair": "ETHUSD", "price": None}]  # fmt: skip
    server.answers |= {"/v1/symbols": ["btcusd", "ethusd", "zzz"], "/v1/pricefeed": feed}
    (found,) = gateway.fetch_tickers("gemini")
    assert (found.base_code, found.quote_code, found.last) == ("BTC", "USD", D("9500.01"))


def test_candles_are_the_newest_ones_only(server: ReplayServer) -> None:
    start = datetime(2025, 1, 1, tzinfo=UTC)
    rows = [[ms(start + timedelta(days=n)), 1, 2, 0.5, f"{n}.125", 9] for n in range(100, 200)]
    server.answers |= {"/v1/symbols": ["btcusd"], "/v2/candles/btcusd/1day": rows[::-1]}
    found = gateway.fetch_candles(
        "gemini", market="btcusd", interval="1d", since=start, until=start + timedelta(days=150)
    )
    assert [candle.close for candle in found] == [D(f"{n}.125") for n in range(100, 150)]


def test_days_that_begin_elsewhere_are_no_days_of_ours(server: ReplayServer) -> None:
    start = datetime(2025, 6, 1, tzinfo=UTC)
    rows = [
        [ms(start + timedelta(days=n, hours=hours)), 1, 2, 0.5, "7", 9]
        for n, hours in ((0, 0), (1, 4), (2, 0))
    ]
    server.answers |= {"/v1/symbols": ["btcusd"], "/v2/candles/btcusd/1day": rows}
    found = gateway.fetch_candles(
        "gemini", market="btcusd", interval="1d", since=start, until=start + timedelta(days=9)
    )
    assert [candle.start for candle in found] == [start, start + timedelta(days=2)]
