"""Kraken's recorded ledgers and trades."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from exchanges import gateway
from exchanges.gateway.dialects import kraken
from exchanges.reports import AccountReport, Balance, Credential, Reward, Trade, Transfer, Visit
from tests.exchanges.gateway.conftest import NOW
from tests.exchanges.gateway.replay import ReplayServer

D = Decimal
Replay = Callable[..., AccountReport]
NO_TRADES: dict[str, Any] = {"trades": {}, "count": 0}
NO_LEDGER: dict[str, Any] = {"ledger": {}, "count": 0}
SECRET = "c2VjcmV0LW9mLXRoZS10ZXN0"  # Kraken's secrets are base64


@pytest.fixture
def replay(
    server: ReplayServer, read: Callable[..., AccountReport], recorded: Callable[[str], Any]
) -> Replay:
    """Reads an account whose ledger and trades are recorded cases."""
    cases = recorded("kraken/recorded.json")

    def run(ledger: str = "", trades: str = "", balance: Any = None, **visit: Any) -> AccountReport:
        told = {"Ledgers": NO_LEDGER, "TradesHistory": NO_TRADES, "BalanceEx": balance or {}}
        told |= {"Ledgers": _result(cases[ledger][0])} if ledger else {}
        told |= {"TradesHistory": _result(cases[trades][0])} if trades else {}
        server.answers |= {f"/0/private/{k}": {"error": [], "result": v} for k, v in told.items()}
        visit.setdefault("credential", Credential("key-of-the-test", SECRET))
        return read("kraken", **visit)

    return run


def _result(case: Any) -> Any:
    return case.get("result", case)


def net(report: AccountReport) -> dict[str, D]:
    """What all facts together moved, by code."""
    moved: dict[str, D] = {}

    def add(code: str | None, amount: D | None) -> None:
        if code and amount:
            moved[code] = moved.get(code, D()) + amount

    for fact in report.facts:
        if isinstance(fact, Trade):
            sign = 1 if fact.side == "buy" else -1
            add(fact.base_code, sign * fact.base_quantity)
            add(fact.quote_code, -sign * fact.quote_quantity)
            add(fact.fee_code, -(fact.fee_quantity or D()))
        elif isinstance(fact, Transfer):
            sign = {"deposit": 1, "withdrawal": -1, "internal": 0}[fact.direction]
            add(fact.code, sign * fact.quantity)
            add(fact.fee_code, -(fact.fee_quantity or D()))
        else:
            add(fact.code, fact.quantity)
    return moved


@pytest.mark.parametrize(
    ("asset", "expected"),
    [
        ("XXBT", ("BTC", "spot")), ("XBT.F", ("BTC", "earn")), ("BTC.F", ("BTC", "earn")),
        ("ETH2.S", ("ETH", "earn")), ("ETH2", ("ETH", "earn")), ("SOL03.S", ("SOL", "earn")),
        ("DOT28.S", ("DOT", "earn")), ("ZEUR", ("EUR", "spot")), ("EUR.HOLD", ("EUR", "spot")),
        ("USD.M", ("USD", "earn")), ("ADA.S", ("ADA", "earn")), ("BTC.B", ("BTC", "earn")),
        ("LUNA", ("LUNC", "spot")), ("LUNA2", ("LUNA", "spot")), ("UST", ("USTC", "spot")),
        ("YYYYYYYYYYYY", ("YYYYYYYYYYYY", "spot")), ("XTZ", ("XTZ", "spot")),
    ],
)  # fmt: skip
def test_assets_become_code_and_wallet(asset: str, expected: tuple[str, str]) -> None:
    assert kraken.split_asset(asset) == expected


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("XXBTZEUR", ("BTC", "EUR")), ("XETHXXBT", ("ETH", "BTC")), ("USDCUSDT", ("USDC", "USDT")),
        ("IDONTEXISTZEUR", ("IDONTEXIST", "EUR")), ("XETHIDONTEXISTTOO", ("ETH", "IDONTEXISTTOO")),
        ("XTZXBT", ("XTZ", "BTC")), ("XBTPYUSD", ("BTC", "PYUSD")), ("LINKUSD", ("LINK", "USD")),
    ],
)  # fmt: skip
def test_pairs_are_split(pair: str, expected: tuple[str, str]) -> None:
    assert kraken.split_pair(pair) == expected


def test_balances_in_both_shapes(replay: Replay) -> None:
    report = replay(
        balance={
            "XXBT": {"balance": "1.2435", "hold_trade": "0.8423"},
            "BTC.F": "0.5",
            "SOL03.S": {"balance": "12345678901234567890.123456789012"},
            "ZUSD": {"balance": "0.0000"},
        }
    )
    assert set(report.balances) == {
        Balance("spot", "BTC", D("1.2435")),
        Balance("earn", "BTC", D("0.5")),
        Balance("earn", "SOL", D("12345678901234567890.123456789012")),
    }
    assert report.failures == ()


def test_an_emptied_earn_wallet_is_known_to_be_empty(replay: Replay) -> None:
    report = replay(balance={"XXBT": {"balance": "1"}}, held={("earn", "BTC"): D("0.5")})
    assert report.wallets == {"spot", "earn"}
    assert set(report.balances) == {Balance("spot", "BTC", D(1))}


def test_fills_take_fees_from_the_ledger(replay: Replay) -> None:
    report = replay("test_querying_rate_limit_exhaustion")
    (trade,) = (f for f in report.facts if isinstance(f, Trade))
    assert (trade.symbol, trade.side, trade.base_quantity) == ("ETH/EUR", "sell", D("0.1"))
    assert (trade.quote_quantity, trade.fee_code, trade.fee_quantity) == (D(50), "EUR", D("0.4429"))
    assert net(report) == {"ETH": D("-0.1"), "EUR": D("49.5571"), "KFEE": D("-1.145")}


def test_a_fill_in_both_sources_is_booked_once(replay: Replay) -> None:
    """S40"""
    report = replay(
        "test_trade_from_kraken_unexpected_data", "KRAKEN_SPECIFIC_TRADES_HISTORY_RESPONSE"
    )
    trades = {f.exchange_id: f for f in report.facts if isinstance(f, Trade)}
    assert {name: t.symbol for name, t in trades.items()} == {
        "1": "BTC/EUR", "2": "ETH/EUR", "3": "IDONTEXIST/EUR", "4": "ETH/IDONTEXISTTOO",
    }  # fmt: skip
    first = trades["1"]
    assert (first.side, first.base_quantity, first.quote_quantity) == ("buy", D(1), D(100))
    assert (first.price, first.fee_code, first.fee_quantity) == (D(100), "EUR", D("0.1"))
    (kept,) = report.quarantined
    assert kept.reason == "pair is unknown"


def test_two_fees_in_two_coins(replay: Replay) -> None:
    report = replay("test_kraken_trade_with_spend_receive")
    assert net(report) == {"ETH": D("0.999877"), "EUR": D("-100.45")}
    assert {f.kind for f in report.facts} == {"conversion", "fee"}


def test_amounts_that_pass_through_cancel(replay: Replay) -> None:
    report = replay("test_kraken_tokenized_asset_trade")
    (trade,) = report.facts
    assert isinstance(trade, Trade)
    assert (trade.symbol, trade.base_quantity, trade.quote_quantity) == (
        "BTC/EUR", D("3.71"), D("285.5964"),
    )  # fmt: skip


def test_deposits_and_withdrawals_of_unknown_assets_survive(replay: Replay) -> None:
    report = replay("test_kraken_query_deposit_withdrawals_unknown_asset")
    found = {
        (f.direction, f.code, f.quantity, f.fee_quantity)
        for f in report.facts
        if isinstance(f, Transfer)
    }
    assert found == {
        ("withdrawal", "ETH", D(1), D("0.0035")),
        ("deposit", "EUR", D(4000000), D("1.75")),
        ("deposit", "YYYYYYYYYYYY", D(4000000), D("1.75")),
    }


@pytest.mark.parametrize(
    ("case", "direction", "expected"),
    [
        ("KRAKEN_SPECIFIC_DEPOSITS_RESPONSE", "deposit", {
            ("BTC", D(5), D("0.1")), ("ETH", D(10), D("0.11")), ("IDONTEXIST", D(10), D("0.11")),
        }),
        ("KRAKEN_SPECIFIC_WITHDRAWALS_RESPONSE", "withdrawal", {
            ("BTC", D(5), D("0.1")), ("ETH", D(10), D("0.11")),
            ("IDONTEXISTEITHER", D(10), D("0.11")),
        }),
    ],
)  # fmt: skip
def test_transfers(replay: Replay, case: str, direction: str, expected: set[Any]) -> None:
    report = replay(case)
    found = [f for f in report.facts if isinstance(f, Transfer)]
    assert {(f.code, f.quantity, f.fee_quantity) for f in found} == expected
    assert {f.direction for f in found} == {direction}


def test_a_failed_withdrawal_is_no_fact(replay: Replay) -> None:
    assert replay("test_kraken_failed_withdrawals").facts == ()


def test_a_withdrawal_that_fails_after_it_was_recorded_comes_back(replay: Replay) -> None:
    first = replay("test_kraken_failed_withdrawals")
    sent = datetime(2021, 11, 9, tzinfo=UTC)  # between the withdrawal and its return
    known = {(c.feed, c.scope): type(c)(c.feed, c.scope, c.since, sent) for c in first.covered}
    report = replay("test_kraken_failed_withdrawals", known=known)
    assert {(f.direction, f.quantity) for f in report.facts if isinstance(f, Transfer)} == {
        ("withdrawal", D("1000.0")), ("deposit", D(1001)),
    }  # fmt: skip
    assert net(report) == {"EUR": D("0.0")}


def test_staking(replay: Replay) -> None:
    report = replay("test_kraken_staking")
    rewards = {(f.code, f.wallet, f.quantity) for f in report.facts if isinstance(f, Reward)}
    assert rewards == {
        ("XTZ", "spot", D("0.00001")), ("ETH", "earn", D("0.000053862")), ("ETH", "earn", D(12)),
    }  # fmt: skip
    (moved,) = (f for f in report.facts if isinstance(f, Transfer) and f.direction == "internal")
    assert (moved.code, moved.wallet, moved.counter_wallet, moved.quantity) == (
        "ETH", "spot", "earn", D("0.06"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("test_kraken_trade_with_adjustment", {"DAO": D("-0.00088548"), "ETH": D("0.0000088548")}),
        ("test_kraken_adjustment", {"SYRUP": D("283.796")}),
        ("test_kraken_trade_no_counterpart", {"ETH": D("-0.000001"), "BTC": D("0.0000001")}),
        ("test_kraken_trade_with_same_spend_receive_amount", {"ETH": D(100), "USD": D("-100.25")}),
        ("test_margin_trading_events", {"EUR": D("0.929"), "ETH": D("-0.19439876")}),
    ],
)
def test_what_events_move_adds_up(replay: Replay, case: str, expected: dict[str, D]) -> None:
    assert net(replay(case)) == expected


def test_the_general_ledger(replay: Replay) -> None:
    report = replay("KRAKEN_GENERAL_LEDGER_RESPONSE", "KRAKEN_SPECIFIC_TRADES_HISTORY_RESPONSE")
    assert len([f for f in report.facts if isinstance(f, Transfer)]) == 8
    assert {f.exchange_id for f in report.facts if isinstance(f, Trade)} == {
        "AOEXXV-61T63-AKPSJ0", "1", "2", "3", "4",
    }  # fmt: skip
    assert {(c.feed, c.until) for c in report.covered} == {("trades", NOW), ("ledger", NOW)}


def test_faulty_entries_spoil_their_event_only(server: ReplayServer, replay: Replay) -> None:
    """S39"""
    replay("KRAKEN_GENERAL_LEDGER_RESPONSE")
    told = server.answers["/0/private/Ledgers"]["result"]
    told["ledger"]["L2"]["amount"] = "fifty"
    told["ledger"]["L12382343926"]["time"] = None
    report = replay_again(server, replay, Credential("key-of-the-test", SECRET))
    assert "AOEXXV-61T63-AKPSJ0" not in {f.exchange_id for f in report.facts}
    assert {q.reason for q in report.quarantined} == {"amount is not a number", "time is missing"}
    assert len(report.quarantined) == 4
    assert {"L12382343925", "1"} <= {f.exchange_id for f in report.facts}


def replay_again(server: ReplayServer, replay: Replay, credential: Any) -> AccountReport:
    """The same answers as they stand now."""
    visit = Visit(uuid4(), "kraken", credential, NOW, {}, {}, frozenset(), everything=True)
    (report,) = gateway.visit_accounts([visit], deadline_seconds=60)
    assert isinstance(report, AccountReport)
    return report


def test_more_than_ten_pages(server: ReplayServer, replay: Replay) -> None:
    entries = {
        f"L{n:04}": {
            "refid": f"R{n:04}", "time": f"{1600000000 + n}.5", "type": "deposit", "asset": "XXBT",
            "amount": "0.00000001", "fee": "0",
        }
        for n in range(1020)
    }  # fmt: skip
    replay()

    def page(params: dict[str, str]) -> Any:
        start = int(params.get("ofs", 0))
        chosen = dict(list(reversed(entries.items()))[start : start + 50])
        return {"error": [], "result": {"ledger": chosen, "count": len(entries)}}

    server.answers["/0/private/Ledgers"] = page
    report = replay_again(server, replay, Credential("key-of-the-test", SECRET))
    assert net(report) == {"BTC": D("0.0000102")}
    assert len(server.of("/0/private/Ledgers")) >= 21
