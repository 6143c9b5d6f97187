"""Payloads out of the quarantine, read again by dialects whose ways differ: no account is asked."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from exchanges import gateway
from exchanges.gateway.errors import GatewayError
from exchanges.reports import AccountReport, Form, Kept, Reread, Trade, Transfer
from tests.exchanges.gateway.conftest import NOW
from tests.exchanges.gateway.replay import ReplayServer, Status

DEPOSIT = {
    "id": "d1", "amount": "1.5", "coin": "BTC", "network": "BTC", "status": 1, "address": "a",
    "txId": "t", "insertTime": 1700000000000, "walletType": 0,
}  # fmt: skip
FILL = {
    "symbol": "BTCTRY", "id": 7, "orderId": 1, "price": "2", "qty": "3", "quoteQty": "6",
    "commission": "0", "commissionAsset": "BNB", "time": 1700000000000, "isBuyer": True,
}  # fmt: skip


@pytest.fixture
def markets(server: ReplayServer) -> ReplayServer:
    """Binance answers for its list of markets, and for nothing else."""
    listed = {"symbol": "BTCTRY", "baseAsset": "BTC", "quoteAsset": "TRY"}
    server.answers["/api/v3/exchangeInfo"] = {"symbols": [listed]}
    return server


def kept(row: Any, *, form: Form = Form.ROW, name: str = "") -> Kept:
    return Kept(uuid4(), form, name, row if isinstance(row, str) else json.dumps(row))


def replay(feed: str, *payloads: Kept, exchange: str = "binance", scope: str = "") -> Reread:
    return gateway.replay(exchange, feed=feed, scope=scope, rows=payloads, now=NOW)


def test_only_the_list_of_markets_is_asked_for(markets: ReplayServer) -> None:
    found = replay("deposits", kept(DEPOSIT, name="d1"))
    (fact,) = found.facts
    assert isinstance(fact, Transfer)
    assert (fact.exchange_id, fact.code, str(fact.quantity)) == ("d1", "BTC", "1.5")
    assert len(found.understood) == 1
    assert {call.path for call in markets.calls} <= {"/api/v3/exchangeInfo"}
    assert not any("signature" in call.params for call in markets.calls)


def test_without_markets_no_symbol_is_guessed(server: ReplayServer) -> None:
    server.answers["*"] = Status(503, "away")
    with pytest.raises(GatewayError):
        replay("trades", kept(FILL, name="7"), scope="BTCTRY")


def test_a_symbol_is_taken_apart_by_the_list(markets: ReplayServer) -> None:
    (fact,) = replay("trades", kept(FILL, name="7"), scope="BTCTRY").facts
    assert isinstance(fact, Trade)
    assert (fact.exchange_id, fact.symbol) == ("BTCTRY:7", "BTC/TRY")


@pytest.mark.parametrize(
    "payload",
    [
        kept(DEPOSIT | {"status": 99}, name="d1"),
        kept(DEPOSIT | {"coin": "…"}, name="d1"),
        kept(DEPOSIT | {"insertTime": 32503680000000}, name="d1"),
        kept("not JSON"),
        kept("<html>", form=Form.PAGE),
        kept([{"rows": 3}], form=Form.PAGE),
        kept("Transfer(…)", form=Form.NUMBER),
        kept([], form=Form.GAP),
        kept(["a list"]),
    ],
    ids=["unknown", "blotted", "future", "text", "page", "shape", "number", "gap", "list"],
)
def test_what_is_not_understood_stays_whole(markets: ReplayServer, payload: Kept) -> None:
    assert replay("deposits", payload) == Reread()


def test_a_page_gives_its_good_rows_and_keeps_its_bad_ones(markets: ReplayServer) -> None:
    page = kept([[DEPOSIT, DEPOSIT | {"id": "d2", "amount": "?"}, 5]], form=Form.PAGE)
    found = replay("deposits", page)
    assert [fact.exchange_id for fact in found.facts] == ["d1"]
    assert found.understood == {page.key}
    assert [(row.name, row.reason, row.form) for row in found.left] == [
        ("d2", "amount is not a number", Form.ROW), ("", "the row is not an object", Form.ROW),
    ]  # fmt: skip


def test_a_name_made_of_what_was_blotted_out_is_refused(markets: ReplayServer) -> None:
    nameless = {key: value for key, value in DEPOSIT.items() if key != "id"}
    assert replay("deposits", kept(nameless | {"address": "…"})) == Reread()
    named = replay("deposits", kept(nameless, name="h1-1"))
    assert [fact.exchange_id for fact in named.facts] == ["h1-1"]


def test_a_feed_that_is_no_longer_read_is_left_alone(markets: ReplayServer) -> None:
    assert replay("forgotten", kept(DEPOSIT)) == Reread()


# --- facts of several rows ----------------------------------------------------------------------
def entry(event: str, asset: str, amount: str, **more: Any) -> dict[str, Any]:
    return {
        "refid": event, "time": 1700000000.5, "type": "trade", "asset": asset, "amount": amount,
        "fee": "0",
    } | more  # fmt: skip


def test_entries_of_one_event_meet_again(server: ReplayServer) -> None:
    together = [
        kept(entry("T1", "XXBT", "1"), name="L1"), kept(entry("T1", "ZEUR", "-100"), name="L2"),
        kept(entry("T2", "XXBT", "?"), name="L3"), kept(entry("T2", "ZEUR", "-50"), name="L4"),
    ]  # fmt: skip
    found = replay("ledger", *together, exchange="kraken")
    (trade,) = found.facts
    assert isinstance(trade, Trade)
    assert (trade.exchange_id, trade.symbol, str(trade.base_quantity)) == ("T1", "BTC/EUR", "1")
    assert found.understood == {together[0].key, together[1].key}
    assert found.left == ()
    assert server.calls == []


def half(name: str, account: str, amount: str, code: str) -> dict[str, Any]:
    return {
        "id": name, "type": "trade", "status": "completed", "created_at": "2025-01-02T03:04:05Z",
        "amount": {"amount": amount, "currency": code}, "trade": {"id": "c1"}, "account": account,
    }  # fmt: skip


def test_halves_of_a_conversion_meet_however_they_were_kept(server: ReplayServer) -> None:
    sold, bought = half("h1", "a", "-1", "BTC"), half("h2", "b", "15", "ETH")
    apart = replay("transactions", kept(sold, name="h1"), kept(bought), exchange="coinbase")
    as_one = replay("transactions", kept([sold, bought]), exchange="coinbase")
    assert apart.facts == as_one.facts
    assert [fact.exchange_id for fact in apart.facts] == ["c1"]
    alone = kept(sold, name="h1")
    assert replay("transactions", alone, exchange="coinbase") == Reread()


# --- what a visit keeps for it ------------------------------------------------------------------
def test_a_visit_and_a_replay_call_a_row_the_same(
    markets: ReplayServer, read: Callable[..., AccountReport]
) -> None:
    """S40: read again by a visit, a fact that was replayed is not new."""
    nameless = {key: value for key, value in DEPOSIT.items() if key != "id"}
    nested = nameless | {"more": {"b": 1, "a": [2]}}
    markets.answers |= {"/api/v3/account": {"balances": []}, "/api/v3/myTrades": []}
    path = "/sapi/v1/capital/deposit/hisrec"
    markets.answers[path] = [nested | {"status": 99}, nested | {"status": 99}]
    visited = read()
    rows = [row for row in visited.quarantined if row.feed == "deposits"]
    assert len({row.name for row in rows}) == 2  # twins of one page
    assert all(row.is_whole for row in rows)
    again = replay("deposits", *(kept(row.payload) for row in rows[:1]))
    assert again == Reread()
    understood = [row.payload.replace('"status": 99', '"status": 1') for row in rows]
    named = [
        kept(text, name=row.name) for text, row in zip(understood, rows, strict=True)
    ]  # fmt: skip
    assert {fact.exchange_id for fact in replay("deposits", *named).facts} == {
        row.name for row in rows
    }


def test_a_page_too_large_says_so(
    markets: ReplayServer, read: Callable[..., AccountReport]
) -> None:
    markets.answers |= {"/api/v3/account": {"balances": []}, "/api/v3/myTrades": []}
    markets.answers["/sapi/v1/capital/deposit/hisrec"] = {"rows": ["x" * 50] * 1000}
    kept_pages = [row for row in read().quarantined if row.feed == "deposits"]
    assert [(row.form, row.is_whole) for row in kept_pages] == [(Form.PAGE, False)]


def test_how_long_ago_a_row_was_kept_does_not_matter(markets: ReplayServer) -> None:
    late = gateway.replay(
        "binance", feed="deposits", scope="", rows=[kept(DEPOSIT, name="d1")],
        now=NOW + timedelta(days=900),
    )  # fmt: skip
    assert len(late.facts) == 1
