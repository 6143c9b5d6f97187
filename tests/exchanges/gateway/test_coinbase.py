"""Answers in Coinbase's shape: paged accounts and fills, gross amounts, conversions in halves."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exchanges.reports import AccountReport, Balance, Reward, Trade, Transfer
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
