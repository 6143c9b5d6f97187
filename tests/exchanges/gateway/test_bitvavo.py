"""Bitvavo's answers in their full shapes: fills by market, or else the list of transactions."""

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
KEY = Credential("key-of-the-test", "secret-of-the-test")
V2 = "/v2"
MARKETS = [
    {"market": f"{base}-{quote}", "status": "trading", "base": base, "quote": quote}
    for base, quote in (("ETH", "EUR"), ("BTC", "EUR"), ("LINK", "EUR"), ("ETH", "USDC"))
]
FILL: dict[str, Any] = {
    "id": "b0c86aa5-6ed3-4a2d-ba3a-be9a964220f4", "orderId": "af76d6ce-9f7c-4006-b715-bb5d430652d0",
    "clientOrderId": "", "timestamp": 1590505649245, "market": "ETH-EUR", "side": "sell",
    "amount": "0.249825", "price": "183.49", "taker": True, "fee": "0.12038925",
    "feeCurrency": "EUR", "settled": True,
}  # fmt: skip
DEPOSIT: dict[str, Any] = {
    "timestamp": 1590492401000, "symbol": "ETH", "amount": "0.249825", "fee": "0",
    "status": "completed", "txId": "0x5167",
}  # fmt: skip
WITHDRAWAL: dict[str, Any] = {
    "timestamp": 1590531212000, "symbol": "ETH", "amount": "0.091", "fee": "0.009",
    "status": "completed", "address": "0xe42b", "paymentId": "10002653", "txId": "927b",
}  # fmt: skip
BOUGHT: dict[str, Any] = {
    "transactionId": "buy-1", "executedAt": "2024-03-01T10:00:00.250Z", "type": "buy",
    "priceCurrency": "EUR", "priceAmount": "2499.99", "sentCurrency": "EUR", "sentAmount": "100",
    "receivedCurrency": "ETH", "receivedAmount": "0.04", "feesCurrency": "EUR",
    "feesAmount": "0.25", "address": None,
}  # fmt: skip
SOLD: dict[str, Any] = {
    "transactionId": "sell-1", "executedAt": "2024-03-02T11:30:15.500Z", "type": "sell",
    "priceCurrency": "EUR", "priceAmount": "45000", "sentCurrency": "BTC", "sentAmount": "0.01",
    "receivedCurrency": "EUR", "receivedAmount": "450", "feesCurrency": "EUR",
    "feesAmount": "1.25", "address": None,
}  # fmt: skip
REFUSED = Status(403, {"errorCode": 310, "error": "This key does not allow trading actions."})


def ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def received(name: str, kind: str, coin: str, amount: str) -> dict[str, Any]:
    return {"transactionId": name, "executedAt": "2024-03-05T14:00:00.000Z", "type": kind,
            "receivedCurrency": coin, "receivedAmount": amount, "address": None}  # fmt: skip


def sent(name: str, kind: str, coin: str, amount: str) -> dict[str, Any]:
    return {"transactionId": name, "executedAt": "2024-03-08T09:00:00.000Z", "type": kind,
            "sentCurrency": coin, "sentAmount": amount}  # fmt: skip


def within(found: Any) -> Callable[[dict[str, str]], Any]:
    def answer(params: dict[str, str]) -> Any:
        since, until = int(params["start"]), int(params["end"])
        market = params.get("market")
        rows = [r for r in found if not market or r.get("market") == market]
        rows = [r for r in rows if since <= int(r["timestamp"]) <= until]
        return sorted(rows, key=lambda r: -r["timestamp"])[: int(params["limit"])]

    return answer


def listed(found: Any) -> Callable[[dict[str, str]], Any]:
    def answer(params: dict[str, str]) -> Any:
        since, until, most = (int(params[name]) for name in ("fromDate", "toDate", "maxItems"))

        def inside(row: Any) -> bool:
            return since <= ms(datetime.fromisoformat(row["executedAt"])) <= until

        rows = [row for row in found if not isinstance(row, dict) or inside(row)]
        return {"items": rows[:most], "currentPage": 1, "totalPages": 1, "maxItems": most}

    return answer


@pytest.fixture
def replay(server: ReplayServer, read: Callable[..., AccountReport]) -> Replay:
    def run(
        fills: Any = (), deposits: Any = (), withdrawals: Any = (), history: Any = (), **visit: Any
    ) -> AccountReport:
        balances = [
            {"symbol": "BTC", "available": "1.57593193", "inOrder": "0.74832374"},
            {"symbol": "EUR", "available": "250.5", "inOrder": "0"},
            {"symbol": "ETH", "available": "0", "inOrder": "0"},
            {"symbol": "MIOTA", "available": "3.000000000000000001", "inOrder": ""},
        ]
        server.answers |= {
            f"{V2}/markets": visit.pop("markets", MARKETS),
            f"{V2}/balance": visit.pop("balances", balances),
            f"{V2}/trades": fills if isinstance(fills, Status) else within(fills),
            f"{V2}/depositHistory": within(deposits),
            f"{V2}/withdrawalHistory": within(withdrawals),
            f"{V2}/account/history": listed(history),
        }  # fmt: skip
        return read("bitvavo", **visit)

    return run


def test_balances_with_what_is_in_orders(replay: Replay) -> None:
    report = replay()
    assert set(report.balances) == {
        Balance("spot", "BTC", D("2.32425567")), Balance("spot", "EUR", D("250.5")),
        Balance("spot", "IOTA", D("3.000000000000000001")),
    }  # fmt: skip
    assert report.failures == ()


def test_an_unreadable_row_leaves_the_wallet_unknown(replay: Replay) -> None:
    bad = [{"symbol": "BTC", "available": "1", "inOrder": "0"}, {"symbol": "EUR"}, 7,
           {"symbol": "ETH", "available": "not a number", "inOrder": "0"}]  # fmt: skip
    report = replay(balances=bad)
    assert (report.balances, report.wallets) == ((), frozenset())
    assert len(report.quarantined) == 3


def test_fills_by_market(replay: Replay, server: ReplayServer) -> None:
    rebate = FILL | {"id": "2", "fee": "-0.05", "side": "buy", "market": "BTC-EUR"}
    third = FILL | {"id": "3", "feeCurrency": "BTC", "fee": "0.00001", "market": "BTC-EUR"}
    report = replay(fills=[FILL, rebate, third], deposits=[DEPOSIT])
    fills = {f.exchange_id: f for f in report.facts if isinstance(f, Trade)}
    first = fills["b0c86aa5-6ed3-4a2d-ba3a-be9a964220f4"]
    assert (first.symbol, first.side, first.base_quantity, first.quote_quantity) == (
        "ETH/EUR", "sell", D("0.249825"), D("45.84038925"),
    )  # fmt: skip
    assert (first.fee_code, first.fee_quantity) == ("EUR", D("0.12038925"))
    assert first.order_id == "af76d6ce-9f7c-4006-b715-bb5d430652d0"
    assert (fills["2"].side, fills["2"].fee_quantity) == ("buy", D("-0.05"))
    assert (fills["3"].fee_code, fills["3"].fee_quantity) == ("BTC", D("0.00001"))
    asked = {params["market"] for params in server.of(f"{V2}/trades")}
    assert asked == {"BTC-EUR", "ETH-EUR", "ETH-USDC"}


def test_the_list_reveals_which_markets_to_ask_for(replay: Replay) -> None:
    """LINK was bought and sold: no balance and no transfer tells of it."""
    linked = FILL | {"market": "LINK-EUR"}
    trace = BOUGHT | {"receivedCurrency": "LINK"}
    report = replay(fills=[linked], history=[trace])
    assert [f.exchange_id for f in report.facts] == [FILL["id"]]


def test_more_fills_than_one_answer_holds(replay: Replay) -> None:
    many = [FILL | {"id": str(n), "timestamp": 1590505649245 + n * 3} for n in range(2500)]
    report = replay(fills=many, deposits=[DEPOSIT])
    assert sum(isinstance(fact, Trade) for fact in report.facts) == 2500


def test_a_key_that_may_only_read_finds_its_trades_in_the_list(replay: Replay) -> None:
    report = replay(fills=REFUSED, history=[BOUGHT, SOLD, received("s", "staking", "BTC", "1")])
    fills = {f.exchange_id: f for f in report.facts if isinstance(f, Trade)}
    assert {
        name: (f.symbol, f.side, f.base_quantity, f.quote_quantity, f.fee_code, f.fee_quantity)
        for name, f in fills.items()
    } == {
        "buy-1": ("ETH/EUR", "buy", D("0.04"), D(100), "EUR", D("0.25")),
        "sell-1": ("BTC/EUR", "sell", D("0.01"), D(450), "EUR", D("1.25")),
    }
    assert fills["buy-1"].occurred_at == datetime(2024, 3, 1, 10, 0, 0, 250000, tzinfo=UTC)
    assert report.failures == ()
    assert "purchases" in {covered.feed for covered in report.covered}


def test_no_trade_is_told_by_both(replay: Replay) -> None:
    report = replay(fills=[FILL], deposits=[DEPOSIT], history=[BOUGHT, SOLD])
    assert [f.exchange_id for f in report.facts if isinstance(f, Trade)] == [FILL["id"]]


def test_whoever_told_of_trades_first_goes_on_doing_so(
    replay: Replay, server: ReplayServer
) -> None:
    """A key that gains the right to see fills must not have everything booked again."""
    known = {("purchases", ""): Covered("purchases", "", NOW - timedelta(days=9), NOW)}
    report = replay(fills=[FILL], history=[BOUGHT], deposits=[DEPOSIT], known=known)
    assert not any(fact.exchange_id == FILL["id"] for fact in report.facts)
    assert server.of(f"{V2}/trades") == []


def test_fills_that_were_read_before_and_are_refused_now_are_a_failure(replay: Replay) -> None:
    scope = ("trades", "BTC-EUR")
    known = {scope: Covered(*scope, NOW - timedelta(days=9), NOW - timedelta(days=1))}
    report = replay(fills=REFUSED, history=[BOUGHT], known=known)
    assert {(f.feed, f.code) for f in report.failures} == {
        ("trades", "exchange_permission_missing")
    }
    assert not any(isinstance(fact, Trade) for fact in report.facts)


def test_a_closed_market_does_not_end_the_reading(
    replay: Replay, server: ReplayServer, read: Callable[..., AccountReport]
) -> None:
    replay(deposits=[DEPOSIT])
    closed = Status(400, {"errorCode": 205, "error": "market parameter is invalid."})
    server.answers[f"{V2}/trades"] = lambda p: [FILL] if p["market"] == "ETH-EUR" else closed
    report = read("bitvavo")
    assert sum(isinstance(fact, Trade) for fact in report.facts) == 1
    assert {f.code for f in report.failures} == {"exchange_symbol_unknown"}


def test_transfers_have_no_numbers_and_twins_are_kept(replay: Replay) -> None:
    report = replay(
        deposits=[DEPOSIT, DEPOSIT, DEPOSIT | {"symbol": "EUR", "amount": "1000", "txId": None,
                                               "address": "NL00BUNQ"},
                  DEPOSIT | {"amount": "9", "status": "odd"}],
        withdrawals=[WITHDRAWAL, WITHDRAWAL | {"amount": "7", "status": "sending", "txId": ""},
                     WITHDRAWAL | {"amount": "8", "status": "canceled"}],
    )  # fmt: skip
    moves = [f for f in report.facts if isinstance(f, Transfer)]
    assert net(moves) == {("spot", "ETH"): 2 * D("0.249825") - D("0.1"), ("spot", "EUR"): D(1000)}
    gone = [f for f in moves if f.direction == "withdrawal"]
    assert {(f.quantity, f.fee_quantity, f.settled, f.txid) for f in gone} == {
        (D("0.091"), D("0.009"), True, "927b"), (D(7), D("0.009"), False, ""),
    }  # fmt: skip
    assert [kept.reason for kept in report.quarantined] == ["status is unknown"]


def test_a_transfer_keeps_its_name_when_it_settles(replay: Replay) -> None:
    waiting = replay(withdrawals=[WITHDRAWAL | {"status": "sending", "txId": None}])
    settled = replay(withdrawals=[WITHDRAWAL])
    assert [f.exchange_id for f in waiting.facts] == [f.exchange_id for f in settled.facts]


def test_rewards_corrections_and_moves_of_the_list(replay: Replay) -> None:
    report = replay(
        history=[
            received("stk", "staking", "BTC", "0.00000123"),
            received("fix", "fixed_staking", "ETH", "0.5"),
            received("aff", "affiliate", "EUR", "1.5"), received("reb", "rebate", "EUR", "0.05"),
            received("dis", "distribution", "FLR", "12"),
            sent("adj", "manually_assigned", "ETC", "0.00000042"),
            received("in", "internal_transfer", "EUR", "10"),
            received("dep", "deposit", "EUR", "1000"), sent("wd", "withdrawal", "ETH", "0.99"),
            received("no", "withdrawal_cancelled", "ETH", "1"),
            sent("odd", "margin_interest", "EUR", "1"), received("bad", "staking", "BTC", "x"),
        ]
    )  # fmt: skip
    assert net(report.facts) == {
        ("spot", "BTC"): D("0.00000123"), ("spot", "ETH"): D("0.5"), ("spot", "EUR"): D("11.55"),
        ("spot", "FLR"): D(12), ("spot", "ETC"): D("-0.00000042"),
    }  # fmt: skip
    assert {kept.reason for kept in report.quarantined} == {
        "type is unknown", "receivedAmount is not a number",
    }  # fmt: skip


def test_without_the_list_of_markets_there_still_are_balances_and_transfers(
    replay: Replay,
) -> None:
    report = replay(markets=Status(404, {}))
    assert report.balances
    assert {"deposits", "transfers"} & {covered.feed for covered in report.covered}
    assert "markets" in {failure.feed for failure in report.failures}


def test_the_list_is_read_to_its_end(replay: Replay) -> None:
    start = datetime(2023, 1, 1, tzinfo=UTC)
    many = [
        received(str(n), "staking", "BTC", "1")
        | {"executedAt": (start + timedelta(hours=n)).isoformat()}
        for n in range(730)
    ]
    assert len(replay(history=many).facts) == 730


def test_what_a_key_may_do_is_not_told(server: ReplayServer) -> None:
    server.answers[f"{V2}/balance"] = []
    assert gateway.check_key("bitvavo", KEY) is Privileges.UNVERIFIED


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        (305, 403, errors.WrongKey), (309, 403, errors.WrongKey), (304, 403, errors.WrongClock),
        (307, 403, errors.AddressNotAllowed), (311, 403, errors.MissingPermission),
        (105, 429, errors.RateLimited), (109, 503, errors.TimedOut),
        (205, 400, errors.GatewayError),
    ],
)  # fmt: skip
def test_error_codes(
    server: ReplayServer, code: int, status: int, error: type[errors.GatewayError]
) -> None:
    body = {"errorCode": code, "error": "no key-of-the-test"}
    server.answers[f"{V2}/balance"] = Status(status, body)
    with pytest.raises(errors.GatewayError) as caught:
        gateway.check_key("bitvavo", KEY)
    assert type(caught.value) is error
    assert "key-of-the-test" not in repr(caught.value)


def test_prices_of_listed_markets(server: ReplayServer) -> None:
    row = {"market": "ETH-EUR", "startTimestamp": 1, "timestamp": 1704363300209, "open": "0.44323",
           "high": "1", "low": "1", "last": "0.43167", "volume": "1"}  # fmt: skip
    none = row | {"market": "BTC-EUR", "last": None, "open": None}
    server.answers |= {f"{V2}/markets": MARKETS, f"{V2}/ticker/24h": [row, none]}
    (found,) = gateway.fetch_tickers("bitvavo")
    assert (found.base_code, found.quote_code, found.last, found.open_24h) == (
        "ETH", "EUR", D("0.43167"), D("0.44323"),
    )  # fmt: skip


def test_candles(server: ReplayServer) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)

    def candles(params: dict[str, str]) -> Any:
        starts = range(int(params["start"]), int(params["end"]) + 1, 3_600_000)
        rows = [[n, "1", "2", "0.5", f"{n}.5", "7"] for n in starts][: int(params["limit"])]
        return rows[::-1]

    server.answers |= {f"{V2}/markets": MARKETS, f"{V2}/ETH-EUR/candles": candles}
    found = gateway.fetch_candles(
        "bitvavo", market="ETH-EUR", interval="1h", since=start, until=start + timedelta(days=100)
    )
    assert len(found) == 2400
    assert found[-1].close == D(f"{ms(found[-1].start)}.5")
