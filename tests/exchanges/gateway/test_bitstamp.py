"""Bitstamp's recorded balances and transactions."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from exchanges import gateway
from exchanges.reports import AccountReport, Balance, Reward, Trade, Transfer
from tests.exchanges.gateway.ledger import net
from tests.exchanges.gateway.replay import ReplayServer

D = Decimal
Replay = Callable[..., AccountReport]


@pytest.fixture
def replay(
    server: ReplayServer, read: Callable[..., AccountReport], recorded: Callable[[str], Any]
) -> Replay:
    cases = recorded("bitstamp/recorded.json")

    def run(case: str = "", rows: Any = None) -> AccountReport:
        found = cases[case] if case else rows or []
        server.answers |= {
            "/v2/balance/": cases["test_query_balances_asset_balance"][0],
            "/v2/user_transactions/": found[0] if found and isinstance(found[0], list) else found,
        }
        server.answers |= {f"/api{path}": v for path, v in server.answers.items()}
        return read("bitstamp")

    return run


def test_balances_of_the_older_endpoint(replay: Replay) -> None:
    report = replay()
    assert set(report.balances) == {Balance("spot", "ETH", D(32)), Balance("spot", "LINK", D(1000))}


def test_trades_with_gaps_between(replay: Replay) -> None:
    report = replay("test_api_query_paginated_trades_pagination")
    found = [
        (t.symbol, t.side, t.base_quantity, t.quote_quantity, t.fee_code, t.fee_quantity)
        for t in report.facts
        if isinstance(t, Trade)
    ]
    assert found == [
        ("BTC/USD", "buy", D("0.5"), D(10000), "USD", D(20)),
        ("EUR/USD", "sell", D(1), D("1.22"), "USD", D("0.0061")),
        ("ETH/USDC", "buy", D(1), D(750), "USDC", D("3.75")),
    ]
    assert report.facts[1].occurred_at == datetime(2020, 12, 3, 11, 30, tzinfo=UTC)
    (covered,) = report.covered
    assert (covered.feed, covered.cursor) == ("transactions", "6")
    assert report.quarantined == ()


def test_a_withdrawal_names_many_coins_with_nothing(replay: Replay) -> None:
    (sent,) = replay("test_asset_movement_with_fee_works_correctly").facts
    assert isinstance(sent, Transfer)
    assert (sent.direction, sent.code, sent.quantity) == ("withdrawal", "EUR", D(500))
    assert (sent.fee_code, sent.fee_quantity) == ("EUR", D("0.1"))


def test_faulty_rows_are_kept_one_by_one(replay: Replay) -> None:
    """S39"""
    good = {
        "id": 2, "type": "2", "datetime": "2020-12-02 09:30:00", "btc": "0.5", "usd": "-10000",
        "btc_usd": "20000", "fee": "20.00000000", "order_id": 2,
    }  # fmt: skip
    bad = [good | {"id": 3, "datetime": "yesterday"}, good | {"id": 4, "usd": "NaN"}, "row", None]
    report = replay(rows=[good, *bad])
    assert [fact.exchange_id for fact in report.facts] == ["2"]
    assert len(report.quarantined) == 4


def moved(number: int, kind: str, **amounts: str) -> dict[str, Any]:
    """A row as it is told now: many coins with nothing, words beside the numbers."""
    return {
        "id": number, "type": kind, "datetime": "2024-05-01 09:30:00.123456", "fee": "0.00",
        "order_id": None, "market": "eth/usd", "side": None, "usd": "0.00", "btc": 0, "eur": 0,
        "btc_usd": 0, "self_trade": False, "self_trade_order_id": None,
    } | amounts  # fmt: skip


def test_staking_and_moves_between_own_accounts(replay: Replay) -> None:
    report = replay(
        rows=[
            moved(1, "26", eth="-2.5"), moved(2, "25", eth="1"), moved(3, "27", eth="0.001"),
            moved(4, "14", usd="-10.00"), moved(5, "33", usd="4.00"), moved(6, "32", btc="0.1"),
            moved(7, "99", usd="1.00"),
        ]
    )  # fmt: skip
    assert net(report.facts) == {
        ("spot", "ETH"): D("-1.499"), ("earn", "ETH"): D("1.5"), ("spot", "USD"): D(-6),
        ("spot", "BTC"): D("0.1"),
    }  # fmt: skip
    rewards = {f.kind for f in report.facts if isinstance(f, Reward)}
    assert rewards == {"staking", "referral"}
    assert [kept.reason for kept in report.quarantined] == ["the type of transaction is unknown"]


def test_balances_as_they_are_told_now(
    server: ReplayServer, read: Callable[..., AccountReport]
) -> None:
    rows = [
        {"currency": "btc", "total": "1.23456789", "available": "1.0", "reserved": "0.23456789"},
        {"currency": "eur", "total": "0.00", "available": "0.00", "reserved": "0.00"},
    ]
    server.answers |= {"/api/v2/account_balances/": rows, "/api/v2/user_transactions/": []}
    report = read("bitstamp")
    assert report.balances == (Balance("spot", "BTC", D("1.23456789")),)
    assert server.of("/api/v2/balance/") == []


def test_candles(server: ReplayServer) -> None:
    """A thousand in one answer, times in seconds."""
    start = datetime(2020, 1, 1, tzinfo=UTC)

    def ohlc(params: dict[str, str]) -> Any:
        assert params["step"] == "86400"
        starts = range(int(params["start"]), int(params["end"]) + 1, 86_400)
        rows = [
            {"timestamp": str(n), "open": "1", "high": "9", "low": "1",
             "close": f"{n}.12345678901234567", "volume": "18.49436608"}
            for n in starts
        ]  # fmt: skip
        return {"data": {"pair": "BTC/USD", "ohlc": rows[: int(params["limit"])]}}

    market = {
        "name": "BTC/USD", "market_symbol": "btcusd", "base_currency": "BTC", "base_decimals": 8,
        "counter_currency": "USD", "counter_decimals": 0, "minimum_order_value": "10",
        "trading": "Enabled", "instant_order_counter_decimals": 2,
        "instant_and_market_orders": "Enabled", "description": "Bitcoin / U.S. dollar",
        "market_type": "SPOT",
    }  # fmt: skip
    server.answers |= {
        "/api/v2/markets/": [market], "/api/v2/ohlc/btcusd/": ohlc,
    }  # fmt: skip
    found = gateway.fetch_candles(
        "bitstamp", market="BTC/USD", interval="1d", since=start,
        until=start + timedelta(days=1500),
    )  # fmt: skip
    assert [candle.start for candle in found] == [start + timedelta(days=n) for n in range(1500)]
    assert found[-1].close == D(f"{int(found[-1].start.timestamp())}.12345678901234567")
