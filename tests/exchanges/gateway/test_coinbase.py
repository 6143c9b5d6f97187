"""Answers in Coinbase's shape: paged accounts and fills, gross amounts, conversions in halves."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exchanges import gateway
from exchanges.reports import AccountReport, Balance, Reward, Trade, Transfer
from tests.exchanges.gateway.ledger import net
from tests.exchanges.gateway.replay import ReplayServer

D = Decimal
RECORDINGS = Path(__file__).parents[2] / "recordings"


@pytest.fixture
def report(server: ReplayServer, read: Callable[..., AccountReport]) -> AccountReport:
    told: dict[str, Any] = json.loads((RECORDINGS / "coinbase" / "account.json").read_text())
    brokerage = "/api/v3/brokerage"
    server.answers |= {
        f"{brokerage}/accounts": lambda p: told["more_accounts" if "cursor" in p else "accounts"],
        f"{brokerage}/orders/historical/fills": lambda p: told[
            "more_fills" if "cursor" in p else "fills"
        ],
    }
    for account, found in told["transactions"].items():
        pagination = {"next_starting_after": None, "limit": 100}
        server.answers[f"/v2/accounts/{account}/transactions"] = {
            "pagination": pagination,
            "data": found,
        }
    return read("coinbase")


def test_balances_keep_every_digit(report: AccountReport) -> None:
    assert set(report.balances) == {
        Balance("spot", "BTC", D("0.22345678901234567890123456789")),
        Balance("spot", "USD", D("12.5")),
        Balance("spot", "ETH", D("2")),
    }


def test_fills(report: AccountReport) -> None:
    fills = {f.exchange_id: f for f in report.facts if f.feed == "trades" and isinstance(f, Trade)}
    assert set(fills) == {"e1", "e2"}
    assert (fills["e1"].side, fills["e1"].base_quantity, fills["e1"].quote_quantity) == (
        "buy", D("0.005"), D("100"),
    )  # fmt: skip
    assert (fills["e2"].base_quantity, fills["e2"].quote_quantity) == (D("0.05"), D("100"))
    assert (fills["e2"].fee_code, fills["e2"].fee_quantity) == ("USD", D("0.4"))


def test_a_withdrawal_is_gross_and_the_fee_is_inside(report: AccountReport) -> None:
    moves = {f.exchange_id: f for f in report.facts if isinstance(f, Transfer)}
    sent = moves["s1"]
    assert (sent.direction, sent.quantity, sent.fee_quantity) == (
        "withdrawal",
        D("0.01"),
        D("0.0001"),
    )
    assert (sent.txid, sent.address) == ("f00d", "bc1example")
    assert (moves["s2"].direction, moves["s2"].quantity) == ("deposit", D("0.5"))
    assert (moves["d1"].code, moves["d1"].settled) == ("USD", True)
    assert moves["w1"].settled is False
    assert set(moves) == {"s1", "s2", "d1", "w1"}


def test_halves_make_one_conversion(report: AccountReport) -> None:
    (found,) = (f for f in report.facts if f.feed == "conversions")
    assert isinstance(found, Trade)
    assert (found.symbol, found.base_quantity, found.quote_quantity) == (
        "BTC/ETH",
        D("0.01"),
        D("0.13"),
    )


def test_purchase_and_reward(report: AccountReport) -> None:
    facts = {f.exchange_id: f for f in report.facts}
    bought, reward = facts["b1"], facts["r1"]
    assert isinstance(bought, Trade)
    assert isinstance(reward, Reward)
    assert (bought.kind, bought.quote_quantity, bought.fee_quantity) == ("fiat", D("1500"), D("3"))
    assert reward.quantity == D("0.000123456789012345")


def test_a_bad_row_is_kept_and_the_rest_goes_on(report: AccountReport) -> None:
    """S39"""
    (kept,) = report.quarantined
    assert (kept.feed, kept.reason) == ("transactions", "amount is not a number")
    assert report.failures == ()


# --- kinds of transactions and fills beyond those of the recorded account ------------------------

BROKERAGE = "/api/v3/brokerage"


def transaction(name: str, kind: str, coin: str, amount: str, **more: Any) -> dict[str, Any]:
    return {
        "id": name, "type": kind, "status": "completed",
        "amount": {"amount": amount, "currency": coin},
        "native_amount": {"amount": "1.00", "currency": "USD"}, "description": None,
        "created_at": "2023-03-01T10:00:00Z", "updated_at": "2023-03-01T10:00:00Z",
        "resource": "transaction", "instant_exchange": False,
    } | more  # fmt: skip


@pytest.fixture
def replay(server: ReplayServer, read: Callable[..., AccountReport]) -> Any:
    def run(transactions: dict[str, list[Any]], fills: Any = ()) -> AccountReport:
        accounts = [
            {"uuid": f"a-{coin}", "currency": coin, "available_balance": {"value": "1"},
             "hold": None}
            for coin in transactions
        ]  # fmt: skip
        server.answers |= {
            f"{BROKERAGE}/accounts": {"accounts": accounts, "has_next": False, "cursor": ""},
            f"{BROKERAGE}/orders/historical/fills": {"fills": list(fills), "cursor": ""},
        }
        for coin, found in transactions.items():
            server.answers[f"/v2/accounts/a-{coin}/transactions"] = {
                "pagination": {"next_starting_after": None},
                "data": found,
            }
        return read("coinbase")

    return run


def test_staked_coins_move_to_earn_and_are_no_income(replay: Any) -> None:
    report = replay(
        {
            "ETH": [
                transaction("s1", "staking_transfer", "ETH", "-2"),
                transaction("s2", "staking_transfer", "ETH", "2"),  # the staked account's mirror
                transaction("u1", "unstaking_transfer", "ETH", "0.5"),
            ]
        }
    )
    assert net(report.facts) == {("spot", "ETH"): D("-1.5"), ("earn", "ETH"): D("1.5")}
    assert not any(isinstance(fact, Reward) for fact in report.facts)


def test_wrapping_is_a_conversion(replay: Any) -> None:
    report = replay(
        {
            "ETH": [transaction("w1", "wrap_asset", "ETH", "-1")],
            "CBETH": [
                transaction("w2", "wrap_asset", "CBETH", "0.95"),
                transaction("w3", "unwrap_asset", "CBETH", "-0.1"),
            ],
        }
    )
    conversion, alone = report.facts
    assert (conversion.symbol, conversion.base_quantity) == ("ETH/CBETH", D(1))
    assert conversion.quote_quantity == D("0.95")
    assert (alone.direction, alone.quantity) == ("withdrawal", D("0.1"))
    assert report.quarantined == ()


def test_charges_and_credits_without_counterpart(replay: Any) -> None:
    report = replay(
        {
            "USDC": [
                transaction("c1", "subscription", "USDC", "-14.99"),
                transaction("c2", "subscription_rebate", "USDC", "5"),
                transaction("c3", "retail_simple_dust", "USDC", "-0.005"),
                transaction("c4", "clawback", "USDC", "-1"),
                transaction("c5", "interest", "USDC", "0.000798"),
            ]
        }
    )
    assert {(f.exchange_id, f.kind, f.quantity) for f in report.facts} == {
        ("c1", "fee", D("-14.99")), ("c2", "subscription_rebate", D(5)),
        ("c3", "adjustment", D("-0.005")), ("c4", "clawback", D(-1)),
        ("c5", "interest", D("0.000798")),
    }  # fmt: skip


def test_fills_of_futures_move_no_coins_and_old_codes_are_mapped(replay: Any) -> None:
    fill = {
        "entry_id": "e1", "trade_id": "t1", "order_id": "o1", "trade_time": "2023-01-18T01:37:38Z",
        "trade_type": "FILL", "price": "2", "size": "3", "commission": "-0.01",
        "product_id": "CGLD-USD", "size_in_quote": False, "side": "BUY",
    }  # fmt: skip
    future = fill | {"entry_id": "e2", "product_id": "BIT-28JUL23-CDE"}
    report = replay({"CGLD": [transaction("d", "receive", "CGLD", "1")]}, fills=[fill, future])
    assert {balance.code for balance in report.balances} == {"CELO"}
    trade, came = report.facts
    assert (trade.symbol, trade.fee_code, trade.fee_quantity) == ("CELO/USD", "USD", D("-0.01"))
    assert (came.code, came.direction) == ("CELO", "deposit")


def test_a_size_in_quote_becomes_units_that_can_be_kept(replay: Any) -> None:
    fill = {
        "entry_id": "e1", "trade_id": "t1", "order_id": "o1", "trade_time": "2023-01-18T01:37:38Z",
        "trade_type": "FILL", "price": "21220.64", "size": "0.0046830664333996",
        "commission": "0.0000280983986004", "product_id": "BTC-USDT", "size_in_quote": True,
        "side": "BUY",
    }  # fmt: skip
    (trade,) = replay({"BTC": []}, fills=[fill]).facts
    assert (trade.base_quantity, trade.quote_quantity) == (
        D("0.000000220684504963"), D("0.0046830664333996"),
    )  # fmt: skip


PRODUCT = {
    "product_id": "BTC-USD", "price": "67060", "price_percentage_change_24h": "3.3",
    "base_increment": "0.00000001", "quote_increment": "0.01", "quote_min_size": "1",
    "quote_max_size": "150000000", "base_min_size": "0.00000001", "base_max_size": "3400",
    "base_name": "Bitcoin", "quote_name": "US Dollar", "status": "online", "product_type": "SPOT",
    "quote_currency_id": "USD", "base_currency_id": "BTC", "trading_disabled": False,
    "price_increment": "0.01", "display_name": "BTC-USD",
}  # fmt: skip


def test_candles(server: ReplayServer) -> None:
    """Newest first, 300 in one answer, times in seconds."""
    start = datetime(2024, 1, 1, tzinfo=UTC)

    def candles(params: dict[str, str]) -> Any:
        assert params["granularity"] == "ONE_HOUR"
        starts = range(int(params["start"]), int(params["end"]) + 1, 3600)
        rows = [
            {"start": str(n), "low": "1", "high": "9", "open": "2", "volume": "1",
             "close": f"{n}.12345678901234567"}
            for n in starts
        ]  # fmt: skip
        return {"candles": rows[:300][::-1]}

    server.answers |= {
        "/v2/currencies": {"data": []}, "/v2/currencies/crypto": {"data": []},
        "/v2/exchange-rates": {"data": {"currency": "USD", "rates": {}}},
        f"{BROKERAGE}/market/products": {"products": [PRODUCT], "num_products": 1},
        f"{BROKERAGE}/market/products/BTC-USD/candles": candles,
    }  # fmt: skip
    found = gateway.fetch_candles(
        "coinbase", market="BTC/USD", interval="1h", since=start, until=start + timedelta(hours=700)
    )
    assert [candle.start for candle in found] == [start + timedelta(hours=n) for n in range(700)]
    assert found[0].close == D(f"{int(start.timestamp())}.12345678901234567")
