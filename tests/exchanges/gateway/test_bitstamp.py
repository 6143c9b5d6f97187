"""Bitstamp's recorded balances and transactions."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from exchanges.reports import AccountReport, Balance, Trade, Transfer
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
