"""Gate: answers in the shapes of its private endpoints, read as one account."""

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
CREDENTIAL = Credential("key-of-the-test", "secret-of-the-test")
AT = int((NOW - timedelta(days=20)).timestamp())
API = "/api/v4"


def refused(label: str, words: str = "no", status: int = 400) -> Status:
    return Status(status, {"label": label, "message": words})


def once(found: list[Any], stamp: int = AT) -> Callable[[dict[str, str]], Any]:
    """The rows in the window where they belong, nothing in every other."""
    return lambda p: found if int(p["from"]) <= stamp <= int(p["to"]) else []


def fill(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": str(2876130500 + number), "create_time": str(AT), "create_time_ms":
        f"{AT}777.399200", "currency_pair": "DOGE_USDT", "side": "sell", "role": "taker",
        "amount": "10.97", "price": "0.137384", "order_id": "125924049993", "fee":
        "0.00301420496", "fee_currency": "USDT", "point_fee": "0", "gt_fee": "0", "text": "-",
    } | more  # fmt: skip


def arrived(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"d{33361395 + number}", "currency": "USDT", "address": "TErdnxen", "amount": "100",
        "txid": "ae9374de", "timestamp": str(AT), "status": "DONE", "memo": "", "chain": "TRX",
    } | more  # fmt: skip


def sent(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"w{210496 + number}", "timestamp": str(AT), "withdraw_order_id": "", "currency":
        "USDT", "address": "1HkxtBAM", "txid": "12898892", "block_number": "41575382", "amount":
        "222.61", "fee": "0.01", "memo": "", "status": "DONE", "chain": "TRX",
    } | more  # fmt: skip


def entry(number: int, kind: str, change: str, **more: Any) -> dict[str, Any]:
    return {
        "id": str(123456 + number), "time": AT * 1000, "currency": "USDT", "change": change,
        "balance": "4.59316525194", "type": kind, "text": "",
    } | more  # fmt: skip


@pytest.fixture
def gate(server: ReplayServer) -> ReplayServer:
    """An account with nothing in it."""
    quiet = [
        "spot/accounts", "earn/uni/lends", "earn/staking/assets", "margin/accounts",
        "spot/my_trades", "wallet/deposits", "wallet/withdrawals", "flash_swap/orders",
        "wallet/small_balance_history", "spot/account_book", "earn/uni/interest_records",
    ]  # fmt: skip
    server.answers |= {f"{API}/{path}": [] for path in quiet}
    server.answers[f"{API}/unified/accounts"] = refused("USER_NOT_FOUND")
    server.answers[f"{API}/account/main_keys"] = refused("FORBIDDEN", status=403)
    return server


@pytest.fixture
def replay(gate: ReplayServer, read: Read) -> Read:
    def run(answers: dict[str, Any] | None = None, **visit: Any) -> AccountReport:
        gate.answers |= {f"{API}/{path}": found for path, found in (answers or {}).items()}
        return read("gate", credential=CREDENTIAL, **visit)

    return run


def test_every_wallet_is_read(replay: Read) -> None:
    report = replay({
        "spot/accounts": [
            {"currency": "BTC", "available": "1.500000000000000001", "locked": "0.5"},
            {"currency": "POINT", "available": "9999999999.017023138734", "locked": ""},
            {"currency": "ETH", "available": "0", "locked": "0"},
        ],
        "earn/uni/lends": lambda p: [
            {"currency": "USDT", "current_amount": "20.9", "amount": "20.999992", "lent_amount":
             "0", "frozen_amount": "0", "min_rate": "0.1", "interest_status": "interest_dividend",
             "reinvest_left_amount": 0, "create_time": AT * 1000, "update_time": AT * 1000},
        ] if p["page"] == "1" else [],
        "earn/staking/assets": [{"pid": 14, "mortgage_coin": "SOL", "mortgage_amount": "3",
                                "freeze_amount": "0"}],
        "margin/accounts": [
            {"currency_pair": "DOGE_USDT", "locked": False, "risk": "9999.99",
             "base": {"currency": "DOGE", "available": "0", "locked": "0", "borrowed": "0",
                      "interest": "0"},
             "quote": {"currency": "USDT", "available": "5", "locked": "1", "borrowed": "2",
                       "interest": "0.5"}},
        ],
    })  # fmt: skip
    assert set(report.balances) == {
        Balance("spot", "BTC", D("2.000000000000000001")),
        Balance("spot", "GATEPOINT", D("9999999999.017023138734")),
        Balance("earn", "USDT", D("20.999992")), Balance("earn", "SOL", D(3)),
        Balance("margin", "USDT", D("3.5")),
    }  # fmt: skip
    assert report.wallets == {"spot", "earn", "margin"}
    assert (report.failures, report.quarantined, report.complete_history) == ((), (), True)


def test_a_unified_account_takes_the_place_of_spot(replay: Read) -> None:
    report = replay({
        "spot/accounts": refused("INVALID_PROTOCOL"),
        "unified/accounts": {"user_id": 10001, "locked": False, "total": "230.9", "balances": {
            "ETH": {"available": "2", "freeze": "1", "borrowed": "0.5", "negative_liab": "0",
                    "futures_pos_liab": "0", "equity": "2.5", "total_freeze": "0"},
            "USDT": {"available": "0.00000062023", "freeze": "0", "borrowed": "0", "equity": "1"},
        }},
    })  # fmt: skip
    assert set(report.balances) == {
        Balance("spot", "ETH", D("2.5")), Balance("spot", "USDT", D("0.00000062023")),
    }  # fmt: skip


def test_a_coin_that_cannot_be_read_makes_its_wallet_unknown(replay: Read) -> None:
    """S39"""
    report = replay({"spot/accounts": [
        {"currency": "BTC", "available": "1", "locked": "0"},
        {"currency": "ETH", "available": "Infinity", "locked": "0"}, None,
        {"currency": "XRP", "available": "1", "locked": "0"},
    ], "earn/uni/lends": [{"currency": "USDT", "amount": "1"}]})  # fmt: skip
    assert set(report.balances) == {Balance("earn", "USDT", D(1))}
    assert [(f.feed, f.scope) for f in report.failures] == [("balances", "spot")]
    assert len(report.quarantined) == 2


def test_fills_are_charged_in_up_to_three_ways(replay: Read) -> None:
    report = replay({"spot/my_trades": once([
        fill(1), fill(2, side="buy", fee="0.01097", fee_currency="DOGE"),
        fill(3, fee="0", gt_fee="0.0002"), fill(4, gt_fee="0.0002", point_fee="1.1"),
        fill(5, fee="", fee_currency="", point_fee="", gt_fee=""),
        fill(6, fee="-0.001"), fill(7, currency_pair="DOGEUSDT"),
        fill(8, create_time_ms="", create_time="later"),
    ])})  # fmt: skip
    trades = {t.exchange_id[-1]: t for t in report.facts if isinstance(t, Trade)}
    assert {n: (t.side, t.fee_code, t.fee_quantity) for n, t in trades.items()} == {
        "1": ("sell", "USDT", D("0.00301420496")), "2": ("buy", "DOGE", D("0.01097")),
        "3": ("sell", "GT", D("0.0002")), "4": ("sell", "USDT", D("0.00301420496")),
        "5": ("sell", None, None), "6": ("sell", "USDT", D("-0.001")),
    }  # fmt: skip
    first = trades["1"]
    assert (first.symbol, first.base_quantity) == ("DOGE/USDT", D("10.97"))
    assert first.quote_quantity == D("10.97") * D("0.137384")
    assert first.occurred_at == datetime.fromtimestamp(AT, UTC) + timedelta(microseconds=777399)
    further = {(r.kind, r.code, r.quantity) for r in report.facts if isinstance(r, Reward)}
    assert further == {("fee", "GT", D("-0.0002")), ("fee", "GATEPOINT", D("-1.1"))}
    assert {kept.reason for kept in report.quarantined} == {
        "symbol is not a spot pair", "create_time is not a number",
    }  # fmt: skip


def test_months_are_read_page_by_page(gate: ReplayServer, replay: Read) -> None:
    """S40"""
    told = [fill(n) for n in range(2500)]

    def trades(params: dict[str, str]) -> Any:
        first = (int(params.get("page", 1)) - 1) * int(params["limit"])
        inside = int(params["from"]) <= AT <= int(params["to"])
        return told[max(first - 1, 0) : first + int(params["limit"])] if inside else []

    def deposits(params: dict[str, str]) -> Any:
        first, size = int(params.get("offset", 0)), int(params["limit"])
        inside = int(params["from"]) <= AT <= int(params["to"])
        return [arrived(n) for n in range(1200)][first : first + size] if inside else []

    report = replay({"spot/my_trades": trades, "wallet/deposits": deposits})
    assert len([f for f in report.facts if isinstance(f, Trade)]) == 2500
    assert len([f for f in report.facts if isinstance(f, Transfer)]) == 1200
    spans = [(int(p["from"]), int(p["to"])) for p in gate.of(f"{API}/spot/my_trades")]
    assert max(end - start for start, end in spans) == 30 * 86_400
    assert all("currency_pair" not in p for p in gate.of(f"{API}/spot/my_trades"))


def test_deposits_and_withdrawals_whose_amount_includes_the_fee(replay: Read) -> None:
    report = replay({
        "wallet/deposits": once([
            arrived(1), arrived(2, currency="USDT_TRX"), arrived(3, status="PEND"),
            arrived(4, status="CANCEL"), arrived(5, status="INVALID"), arrived(6, status="EATEN"),
        ]),
        "wallet/withdrawals": once([
            sent(1), sent(2, status="REQUEST", txid=""), sent(3, status="FAIL"),
            sent(4, fee="", amount="50"), sent(5, currency="BTC", fee="0.0001", amount="0.5"),
            sent(6, id="b9", amount="-7", fee="0", status="BCODE"),
        ]),
    })  # fmt: skip
    moves = [f for f in report.facts if isinstance(f, Transfer)]
    assert [(m.direction, m.code, m.quantity, m.fee_quantity, m.settled) for m in moves] == [
        ("deposit", "USDT", D(100), None, True), ("deposit", "USDT", D(100), None, True),
        ("deposit", "USDT", D(100), None, False),
        ("withdrawal", "USDT", D("222.60"), D("0.01"), True),
        ("withdrawal", "USDT", D("222.60"), D("0.01"), False),
        ("withdrawal", "USDT", D(50), None, True),
        ("withdrawal", "BTC", D("0.4999"), D("0.0001"), True),
        ("withdrawal", "USDT", D(7), None, True),
    ]  # fmt: skip
    assert net(report.facts) == {("spot", "USDT"): D("-79.61"), ("spot", "BTC"): D("-0.5")}
    assert (moves[0].txid, moves[0].address, moves[0].network) == ("ae9374de", "TErdnxen", "TRX")
    assert [kept.reason for kept in report.quarantined] == ["status is unknown"]


def test_conversions_and_dust(replay: Read) -> None:
    swapped = {
        "id": 54646, "create_time": AT * 1000, "user_id": 11135567, "sell_currency": "BTC",
        "sell_amount": "0.01", "buy_currency": "USDT", "buy_amount": "10", "price": "1000",
        "status": 1,
    }  # fmt: skip
    swept = {"id": "44", "currency": "FLOKI", "amount": "0.5", "gt_amount": "0.0000117",
             "create_time": str(AT)}  # fmt: skip
    report = replay({
        "flash_swap/orders": [swapped, swapped | {"id": 2, "status": 2}],
        "wallet/small_balance_history": [swept],
    })  # fmt: skip
    traded, dust = (f for f in report.facts if isinstance(f, Trade))
    assert (traded.kind, traded.symbol, traded.quote_quantity) == ("conversion", "BTC/USDT", D(10))
    assert (dust.kind, dust.symbol, dust.quote_quantity) == ("dust", "FLOKI/GT", D("0.0000117"))
    assert traded.occurred_at == dust.occurred_at == datetime.fromtimestamp(AT, UTC)


def test_the_ledger_tells_rewards_and_moves_and_nothing_twice(replay: Read) -> None:
    """S40"""
    lent = {"status": 1, "currency": "USDT", "actual_rate": "0.0005", "interest": "0.05",
            "interest_status": "interest_reinvest", "create_time": AT * 1000}  # fmt: skip
    report = replay({
        "spot/account_book": once([
            entry(1, "deposit", "100"), entry(2, "order_fill", "-1"), entry(3, "new_order", "-5"),
            entry(4, "referral_fee", "0.25"), entry(5, "margin_in", "-4"),
            entry(6, "margin_out", "1"), entry(7, "futures_in", "-2"), entry(8, "lend", "-10"),
            entry(9, "redeem", "3"), entry(10, "interest", "0.01"), entry(11, "airdrop", ""),
        ]),
        "earn/uni/interest_records": once([
            lent, lent | {"interest_status": "interest_dividend", "interest": "0.01"},
        ]),
    })  # fmt: skip
    assert net(report.facts) == {
        ("spot", "USDT"): D("-11.74"), ("margin", "USDT"): D(3), ("futures", "USDT"): D(2),
        ("earn", "USDT"): D("7.05"),
    }  # fmt: skip


def perms(*writing: str, reading: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    return [{"name": name, "read_only": False} for name in writing] + [
        {"name": name, "read_only": True} for name in reading
    ]


@pytest.mark.parametrize(
    ("told", "outcome"),
    [
        ([{"perms": perms(reading=("spot", "wallet"))}], "read_only"),
        ([{"perms": perms("spot", reading=("wallet",))}], errors.KeyTooPowerful),
        ({"perms": perms("wallet")}, errors.KeyTooPowerful),
        ([{"perms": perms("spot")}, {"perms": perms(reading=("spot",))}], "unverified"),
        (refused("FORBIDDEN", status=403), "unverified"),
    ],
)  # fmt: skip
def test_what_a_key_may_do(gate: ReplayServer, told: Any, outcome: Any) -> None:
    """S27. Gate lists the keys of the account, not the one that asks."""
    gate.answers[f"{API}/account/main_keys"] = told
    if isinstance(outcome, str):
        assert gateway.check_key("gate", CREDENTIAL) == outcome
    else:
        with pytest.raises(outcome):
            gateway.check_key("gate", CREDENTIAL)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("INVALID_KEY", errors.WrongKey), ("INVALID_SIGNATURE", errors.WrongKey),
        ("REQUEST_EXPIRED", errors.WrongClock), ("IP_FORBIDDEN", errors.AddressNotAllowed),
        ("TOO_MANY_REQUESTS", errors.RateLimited),
    ],
)  # fmt: skip
def test_refusals(gate: ReplayServer, label: str, expected: Any) -> None:
    """S26"""
    told = refused(label, f"refused {CREDENTIAL.api_key}", status=401)
    gate.answers[f"{API}/account/main_keys"] = told
    with pytest.raises(expected) as problem:
        gateway.check_key("gate", CREDENTIAL)
    assert CREDENTIAL.api_key not in repr(problem.value) + str(problem.value)


def test_prices_and_candles(gate: ReplayServer) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    first = int(start.timestamp())
    bars = [[str(first + n * 3600), "9", str(n + 1), "7", "0.5", "1", "8", "true"]
            for n in range(3)]  # fmt: skip
    gate.answers |= {
        f"{API}/spot/currency_pairs": [
            {"id": "BTC_USDT", "base": "BTC", "quote": "USDT", "trade_status": "tradable"},
        ],
        f"{API}/spot/tickers": [
            {"currency_pair": "BTC_USDT", "last": "110", "change_percentage": "10"},
            {"currency_pair": "OTHER_USDT", "last": "1", "change_percentage": ""},
        ],
        f"{API}/spot/candlesticks": lambda p: [
            bar for bar in bars if int(p["from"]) <= int(bar[0]) <= int(p["to"])
        ],
    }  # fmt: skip
    (ticker,) = gateway.fetch_tickers("gate")
    assert (ticker.base_code, ticker.last, ticker.open_24h) == ("BTC", D(110), D(100))
    found = gateway.fetch_candles(
        "gate", market="BTC_USDT", interval="1h", since=start, until=start + timedelta(hours=3)
    )
    assert [candle.close for candle in found] == [D(1), D(2), D(3)]
