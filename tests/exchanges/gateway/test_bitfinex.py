"""Bitfinex's answers in their full shapes: rows without names, three wallets, the ledger."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from exchanges import gateway
from exchanges.gateway import errors
from exchanges.gateway.dialects import bitfinex
from exchanges.reports import (
    AccountReport,
    Balance,
    Credential,
    Privileges,
    Reward,
    Trade,
    Transfer,
)
from tests.exchanges.gateway.conftest import NOW
from tests.exchanges.gateway.ledger import net
from tests.exchanges.gateway.replay import ReplayServer, Status

D = Decimal
Replay = Callable[..., AccountReport]
KEY = Credential("key-of-the-test", "secret-of-the-test")
AUTH = "/v2/auth/r"
READING = [
    ["account", 1, 0], ["history", 1, 0], ["orders", 1, 0], ["funding", 1, 0], ["settings", 1, 0],
    ["wallets", 1, 0], ["withdraw", 0, 0], ["ui_withdraw", 0, 0],
]  # fmt: skip


def ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def fill(**changes: Any) -> list[Any]:
    told = {
        "id": 399251013, "symbol": "tETH:UST", "mts": 1606899600000, "order": 33963608932,
        "amount": 0.26334268, "price": 187.37, "type": "EXCHANGE LIMIT", "order_price": None,
        "maker": -1, "fee": -0.09868591, "currency": "USD", "cid": 1606899599000,
    }  # fmt: skip
    return list((told | changes).values())


def movement(**changes: Any) -> list[Any]:
    told = {
        "id": 13105603, "currency": "WBT", "name": "Wrapped Bitcoin", "a": None, "b": None,
        "started": 1569348774000, "updated": 1569348774000, "c": None, "d": None,
        "status": "COMPLETED", "e": None, "f": None, "amount": 0.26300954, "fees": -0.00135,
        "g": None, "h": None, "address": "DESTINATION_ADDRESS", "i": None, "j": None, "k": None,
        "txid": "TRANSACTION_ID", "note": None,
    }  # fmt: skip
    return list((told | changes).values())


def entry(number: int, currency: str, wallet: str | None, amount: Any, words: str) -> list[Any]:
    return [number, currency, wallet, 1606932000000 + number, None, amount, 0, None, words]


@pytest.fixture
def replay(server: ReplayServer, read: Callable[..., AccountReport]) -> Replay:
    def run(
        wallets: Any = (), fills: Any = (), movements: Any = (), ledger: Any = (), **visit: Any
    ) -> AccountReport:
        server.answers |= {
            f"{AUTH}/wallets": wallets if isinstance(wallets, str) else list(wallets),
            f"{AUTH}/trades/hist": within(fills, 2), f"{AUTH}/movements/hist": within(movements, 5),
            f"{AUTH}/ledgers/hist": within(ledger, 3), f"{AUTH}/permissions": READING,
        }  # fmt: skip
        return read("bitfinex", **visit)

    return run


def within(found: Any, place: int) -> Any:
    """Rows of the span that was asked for, the newest first, as many as one answer holds."""

    def answer(params: dict[str, str]) -> Any:
        since, until, most = (int(params[name]) for name in ("start", "end", "limit"))
        rows = [r for r in found if not isinstance(r, list) or since <= int(r[place]) <= until]
        return sorted(rows, key=lambda r: -int(r[place]) if isinstance(r, list) else 0)[:most]

    return answer


def test_three_wallets_in_one_answer(replay: Replay) -> None:
    """Numbers without quotes keep their digits; legacy codes become plain ones."""
    report = replay(
        wallets="""[
            ["exchange", "UST", 19788.652925712345678901, 0, null, null, null],
            ["margin", "UST", 0.50000000, 0, 0.5, null, null],
            ["funding", "UST", 1, 0, null, null, null],
            ["exchange", "GNT", 0.0000001, 0, null, null, null],
            ["exchange", "EUR", 99.9999999, 0, null, null, null],
            ["margin", "USTF0", 12.5, 0, null, null, null],
            ["margin", "WBT", 1.00000000, 0, null, null, null],
            ["exchange", "IOT", 3e-8, 0, null, null, null],
            ["exchange", "DSH", 0, 0, null, null, null]
        ]"""
    )
    assert set(report.balances) == {
        Balance("spot", "USDT", D("19788.652925712345678901")),
        Balance("margin", "USDT", D("0.5")), Balance("funding", "USDT", D(1)),
        Balance("spot", "GLM", D("0.0000001")), Balance("spot", "EUR", D("99.9999999")),
        Balance("futures", "USDT", D("12.5")), Balance("margin", "WBTC", D(1)),
        Balance("spot", "IOTA", D("0.00000003")),
    }  # fmt: skip
    assert report.wallets == {"spot", "margin", "funding", "futures"}


def test_wallets_that_are_not_named_are_empty(replay: Replay) -> None:
    held = {("margin", "BTC"): D(1)}
    report = replay(wallets=[["exchange", "BTC", 2, 0, None]], held=held)
    assert "margin" in report.wallets
    assert report.balances == (Balance("spot", "BTC", D(2)),)


def test_an_unreadable_row_leaves_the_wallets_unknown(replay: Replay) -> None:
    rows = [["exchange"], ["exchange", "", 12345], ["exchange", "BTC", "x"], "row",
            ["exchange", "BTC", 1, 0, None]]  # fmt: skip
    report = replay(wallets=rows)
    assert report.wallets == frozenset()
    assert len(report.quarantined) == 4


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [("tBTCUSD", ("BTC", "USD")), ("tETH:UST", ("ETH", "UST")), ("tDUSK:USD", ("DUSK", "USD"))],
)
def test_symbols_are_split(symbol: str, expected: tuple[str, str]) -> None:
    assert bitfinex.split_symbol(symbol) == expected


def test_fills_with_fees_below_zero_and_rebates_above(replay: Replay) -> None:
    report = replay(
        fills=[
            fill(), fill(id=2, amount=-0.26334268, currency="ETH"),
            fill(id=3, fee=0.5, currency="UST"), fill(id=4, fee=-0.1, currency="LEO"),
            fill(id=5, type="LIMIT", symbol="tWBTUSD", fee=0, currency=None),
            fill(id=6, symbol="tBTCF0:USTF0"),
        ]
    )  # fmt: skip
    fills = {f.exchange_id: f for f in report.facts if isinstance(f, Trade)}
    first = fills["399251013"]
    assert (first.symbol, first.side, first.base_quantity, first.price) == (
        "ETH/USDT", "buy", D("0.26334268"), D("187.37"),
    )  # fmt: skip
    assert first.quote_quantity == D("0.26334268") * D("187.37")
    assert (first.order_id, first.occurred_at) == (
        "33963608932", datetime(2020, 12, 2, 9, tzinfo=UTC),
    )  # fmt: skip
    assert {n: (f.side, f.fee_code, f.fee_quantity, f.wallet) for n, f in fills.items()} == {
        "399251013": ("buy", "USD", D("0.09868591"), "spot"),
        "2": ("sell", "ETH", D("0.09868591"), "spot"),
        "3": ("buy", "USDT", D("-0.5"), "spot"), "4": ("buy", "LEO", D("0.1"), "spot"),
        "5": ("buy", None, None, "margin"),
    }  # fmt: skip
    assert fills["5"].symbol == "WBTC/USD"


def test_unreadable_fills_are_kept_and_the_rest_goes_on(replay: Replay) -> None:
    report = replay(fills=[fill(id=1), "row", fill(id=2, amount="x"), fill(id=3)])
    assert {f.exchange_id for f in report.facts} == {"1", "3"}
    assert {kept.reason for kept in report.quarantined} == {
        "amount is not a number", "the row is not an object",
    }  # fmt: skip


def test_more_fills_than_one_answer_holds(replay: Replay) -> None:
    many = [fill(id=n, mts=1606899600000 + n * 50) for n in range(2600)]
    assert len(replay(fills=many).facts) == 2600


def test_movements_settled_pending_and_failed(replay: Replay) -> None:
    report = replay(
        movements=[
            movement(), movement(id=2, amount=-0.26300954), movement(id=3, status="CANCELED"),
            movement(id=4, status="PENDING REVIEW", amount=-1), movement(id=5, status="WHATEVER"),
            movement(id=6, currency="EUR", name="BANK (EUR)", fees=0, address="", txid=""),
            movement(id=7, status="UNCONFIRMED"), movement(id=8, status="PENDING CANCELLATION"),
        ]
    )  # fmt: skip
    moves = {f.exchange_id: f for f in report.facts if isinstance(f, Transfer)}
    assert {name: (m.direction, m.settled) for name, m in moves.items()} == {
        "13105603": ("deposit", True), "2": ("withdrawal", True), "4": ("withdrawal", False),
        "6": ("deposit", True), "7": ("deposit", False), "8": ("deposit", False),
    }  # fmt: skip
    sent = moves["2"]
    assert (sent.code, sent.quantity, sent.fee_code, sent.fee_quantity) == (
        "WBTC", D("0.26300954"), "WBTC", D("0.00135"),
    )  # fmt: skip
    assert (sent.txid, sent.address) == ("TRANSACTION_ID", "DESTINATION_ADDRESS")
    assert (moves["6"].fee_quantity, moves["6"].txid) == (None, "")
    assert [kept.reason for kept in report.quarantined] == ["status is unknown"]


def test_the_ledger_knows_the_wallet_of_a_movement(replay: Replay) -> None:
    report = replay(
        movements=[movement()],
        ledger=[entry(1, "WBT", "funding", 0.26300954,
                      "Deposit (WRAPPED BITCOIN) #13105603 on wallet funding")],
    )  # fmt: skip
    (came,) = report.facts
    assert (came.feed, came.wallet) == ("deposits", "funding")


def test_the_ledger_tells_only_what_nobody_else_does(replay: Replay) -> None:
    report = replay(
        fills=[fill(), fill(id=2, type="LIMIT", symbol="tBTCUSD", amount=1, price=9000)],
        movements=[movement(amount=-1)],
        ledger=[
            entry(1, "UST", "exchange", -49.3, "Exchange 0.26334268 ETH for UST @ 187.37 on "
                  "wallet exchange"),
            entry(2, "USD", "exchange", -0.09, "Trading fees for 0.26 ETH (ETHUST) @ 187.37 on "
                  "BFX (0.2%) on wallet exchange"),
            entry(3, "WBT", "exchange", -1, "Wrapped Bitcoin Withdrawal #13105603 on wallet "
                  "exchange"),
            entry(4, "WBT", "exchange", -0.00135, "Crypto Withdrawal fee on wallet exchange"),
            entry(5, "USD", "margin", 120.5, "Position closed @ 9120.5 (TRADE) on wallet margin"),
            entry(6, "USD", "margin", 0.01644445, "Settlement @ 185.79 on wallet margin"),
            entry(7, "USD", "funding", "0.04203999", "Margin Funding Payment on wallet funding"),
            entry(8, "USD", None, -0.5, "Position funding cost on wallet margin"),
            entry(9, "ADA", "exchange", 2, "Staking Payments on wallet exchange"),
            entry(10, "USTF0", "margin", -3, "Settlement @ 1.0 on wallet margin"),
            entry(11, "BTC", "exchange", 0.1, "Adjustment by staff on wallet exchange"),
            entry(12, "USD", "exchange", 0.7, "Affiliate Rebate (BTCUSD) on wallet exchange"),
        ],
    )  # fmt: skip
    credits = [f for f in report.facts if isinstance(f, Reward)]
    assert {(f.exchange_id, f.kind, f.code, f.quantity, f.wallet) for f in credits} == {
        ("7", "interest", "USD", D("0.04203999"), "funding"),
        ("8", "interest", "USD", D("-0.5"), "margin"),
        ("9", "staking", "ADA", D(2), "spot"), ("10", "settlement", "USDT", D(-3), "futures"),
        ("11", "adjustment", "BTC", D("0.1"), "spot"), ("12", "referral", "USD", D("0.7"), "spot"),
    }  # fmt: skip
    assert len(report.facts) == 6 + 3


def test_a_move_between_wallets_is_told_once(replay: Replay) -> None:
    words = "Transfer of 184.3 USD from wallet Exchange to Deposit on wallet "
    other = "Transfer of 5.0 UST from wallet Exchange to Exchange SA(acc1->acc2) on wallet exchange"
    report = replay(
        ledger=[
            entry(1, "USD", "funding", "184.3", words + "funding"),
            entry(2, "USD", "exchange", "-184.3", words + "exchange"),
            entry(3, "UST", "exchange", 5, other), entry(4, "UST", "exchange", -2, other),
        ]
    )  # fmt: skip
    assert net(report.facts) == {
        ("spot", "USD"): D("-184.3"), ("funding", "USD"): D("184.3"), ("spot", "USDT"): D(3),
    }  # fmt: skip


def test_without_the_ledger_there_still_are_fills_and_movements(
    replay: Replay, server: ReplayServer, read: Callable[..., AccountReport]
) -> None:
    replay(fills=[fill()], movements=[movement()])
    server.answers[f"{AUTH}/ledgers/hist"] = Status(500, ["error", 10001, "permission: invalid"])
    report = read("bitfinex")
    assert len(report.facts) == 2
    assert [(f.feed, f.code) for f in report.failures] == [
        ("ledger", "exchange_permission_missing")
    ]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [(None, Privileges.READ_ONLY), ("orders", Privileges.TRADE), ("withdraw", Privileges.WITHDRAW),
     ("settings", Privileges.TRADE), ("ui_withdraw", Privileges.WITHDRAW)],
)  # fmt: skip
def test_what_a_key_may_do(server: ReplayServer, changed: str | None, expected: Privileges) -> None:
    told = [[scope, read, int(scope == changed)] for scope, read, _ in READING]
    server.answers[f"{AUTH}/permissions"] = told
    if expected is Privileges.READ_ONLY:
        assert gateway.check_key("bitfinex", KEY) is expected
        return
    with pytest.raises(errors.KeyTooPowerful) as caught:
        gateway.check_key("bitfinex", KEY)
    assert caught.value.details["privileges"] == expected


def test_a_key_that_may_not_see_the_wallets(server: ReplayServer) -> None:
    server.answers[f"{AUTH}/permissions"] = [["orders", 1, 0], ["wallets", 0, 0]]
    with pytest.raises(errors.MissingPermission):
        gateway.check_key("bitfinex", KEY)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Status(500, ["error", 10100, "apikey: invalid"]), errors.WrongKey),
        (Status(500, ["error", 10112, "apikey: digest invalid"]), errors.WrongKey),
        (Status(500, ["error", 10114, "nonce: small"]), errors.WrongClock),
        (Status(500, ["error", 10001, "permission: invalid"]), errors.MissingPermission),
        (Status(500, ["error", 11010, "ratelimit: error"]), errors.RateLimited),
        (Status(429, {"error": "ERR_RATE_LIMIT"}), errors.RateLimited),
        (Status(500, ["error", 20060, "maintenance"]), errors.OnMaintenance),
        (Status(503, {"code": 503, "error": "temporarily_unavailable"}), errors.Unreachable),
        (Status(500, ["error", 10020, "limit: invalid"]), errors.GatewayError),
    ],
)
def test_error_codes(server: ReplayServer, answer: Any, error: type[errors.GatewayError]) -> None:
    server.answers[f"{AUTH}/permissions"] = answer
    with pytest.raises(errors.GatewayError) as caught:
        gateway.check_key("bitfinex", KEY)
    assert type(caught.value) is error


def test_nonces_of_a_visit_rise(replay: Replay, server: ReplayServer) -> None:
    """Calls of one key go out one after the other; two in one millisecond differ all the same."""
    replay(fills=[fill()])
    nonces = [int(call.headers["bfx-nonce"]) for call in server.calls]
    assert len(nonces) >= 4
    assert all(one < another for one, another in pairwise(nonces))


PAIRS = [["BTCUSD", "ETH:UST", "BTCF0:USTF0"]]


def test_prices_of_listed_pairs(server: ReplayServer) -> None:
    row = ["tBTCUSD", 10645, 73.93, 10647, 75.22, -37.5, -0.0035, 10645.5, 8901, 11000, 10000]
    funding = ["fUSD", 0.0003, 0.0002, 30, 1, 0.0002, 4, 1, 0.0001, 0.1, 0.0003, 1, 1, 1]
    server.answers |= {
        "/v2/conf/pub:list:pair:exchange": PAIRS,
        "/v2/tickers": [row, funding, ["tETH:UST"], ["tBTCF0:USTF0", *row[1:]]],
    }
    (found,) = gateway.fetch_tickers("bitfinex")
    assert (found.base_code, found.quote_code, found.last, found.open_24h) == (
        "BTC", "USD", D("10645.5"), D("10683.0"),
    )  # fmt: skip
    assert [listing.market for listing in gateway.fetch_markets("bitfinex")] == [
        "tBTCUSD", "tETH:UST",
    ]  # fmt: skip


def test_candles_tell_the_close_second(server: ReplayServer) -> None:
    start = datetime(2025, 1, 1, tzinfo=UTC)
    rows = [[ms(start + timedelta(days=n)), 1, 1000 + n, 5000, 0.5, 9] for n in range(400)]

    def candles(params: dict[str, str]) -> Any:
        since, until = int(params["start"]), int(params["end"])
        return json.dumps([row for row in rows if since <= row[0] <= until])

    server.answers |= {
        "/v2/conf/pub:list:pair:exchange": PAIRS, "/v2/candles/trade:1D:tETH:UST/hist": candles,
    }  # fmt: skip
    found = gateway.fetch_candles(
        "bitfinex", market="tETH:UST", interval="1d", since=start,
        until=start + timedelta(days=300),
    )  # fmt: skip
    assert [candle.close for candle in found] == [D(1000 + n) for n in range(300)]
    assert (found[0].high, found[0].low, found[0].volume) == (D(5000), D("0.5"), D(9))


def test_the_ledger_is_asked_no_further_back_than_it_is_kept(
    replay: Replay, server: ReplayServer
) -> None:
    replay()
    since = int(server.of(f"{AUTH}/ledgers/hist")[0]["start"])
    assert NOW - timedelta(days=6 * 365 + 1) < datetime.fromtimestamp(since / 1000, UTC)
