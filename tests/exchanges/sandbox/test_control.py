"""What the sandbox's own controls do."""

import asyncio
from decimal import Decimal

import pytest

from tests.exchanges.sandbox import callers

ACCOUNT = 20


def add(sandbox, fact, account=ACCOUNT):
    return callers.control(sandbox, "POST", f"accounts/{account}/facts", fact)


def held(sandbox, code, wallet="spot", account=ACCOUNT):
    return Decimal(callers.books(sandbox, account)["balances"][wallet].get(code, "0"))


def test_health_and_keys(sandbox):
    health = callers.control(sandbox, "GET", "health").json
    assert (health["status"], health["seed"], health["accounts"]) == ("ok", 1, 40)
    found = callers.control(sandbox, "GET", "accounts/0").json["keys"]
    assert set(found) == {"read", "trade", "withdraw", "restricted"}
    assert found["read"]["api_key"] == sandbox.api_key(0)
    assert found["trade"]["api_secret"] == sandbox.api_secret(0, "trade")


def test_a_deposit_moves_the_balance_and_shows_in_its_feed(sandbox):
    async def fetch():
        async with callers.binance(sandbox, account=ACCOUNT) as exchange:
            return await exchange.fetch_balance(), await exchange.fetch_deposits("BTC")

    asyncio.run(fetch())
    before = held(sandbox, "BTC")
    answer = add(sandbox, {"feed": "deposits", "asset": "BTC", "quantity": "0.12345678"}).json
    assert [(leg["asset"], leg["quantity"], leg["kind"]) for leg in answer["legs"]] == [
        ("BTC", "0.12345678", "deposit")
    ]
    balance, deposits = asyncio.run(fetch())
    assert Decimal(balance["total"]["BTC"]) == before + Decimal("0.12345678")
    assert deposits[-1]["txid"] == answer["fact"]["tx_id"]


def test_a_trade_gets_price_fee_and_the_next_id(sandbox):
    shown = callers.books(sandbox, ACCOUNT)["facts"]["trades"]
    trade = {"feed": "trades", "symbol": "ETHUSDT", "side": "buy", "quantity": "0.01"}
    added = [add(sandbox, trade).json["fact"] for _ in range(3)]
    ids = [int(fact["id"]) for fact in added]
    assert ids == sorted(set(ids))
    assert ids[0] > max(int(fact["id"]) for fact in shown)
    assert added[0]["commission_asset"] == "ETH"
    assert Decimal(added[0]["quote_quantity"]) == Decimal(added[0]["price"]) * Decimal("0.01")
    rows = callers.signed(
        sandbox, "/api/v3/myTrades", {"symbol": "ETHUSDT", "fromId": ids[0]}, account=ACCOUNT
    ).json
    assert [row["id"] for row in rows] == ids


@pytest.mark.parametrize(
    ("fact", "kinds"),
    [
        ({"feed": "withdrawals", "asset": "USDT", "quantity": "5"}, ["withdrawal", "fee"]),
        ({"feed": "fiat_orders", "direction": "deposit", "quantity": "50"}, ["deposit"]),
        (
            {"feed": "fiat_payments", "asset": "BTC", "source_quantity": "100", "fee": "2"},
            ["deposit", "trade", "fee", "trade"],
        ),
        (
            {
                "feed": "conversions",
                "from_asset": "USDT",
                "from_quantity": "9",
                "to_asset": "LTC",
            },
            ["conversion", "conversion"],
        ),
        (
            {"feed": "dust", "from_asset": "USDT", "from_quantity": "1"},
            ["conversion", "conversion", "fee"],
        ),
        ({"feed": "dividends", "asset": "LDO", "quantity": "1"}, ["reward"]),
        ({"feed": "earn_subscriptions", "asset": "USDT", "quantity": "3"}, ["transfer"] * 2),
        ({"feed": "earn_rewards", "asset": "USDT", "quantity": "0.5"}, ["reward"]),
        ({"feed": "earn_redemptions", "asset": "USDT", "quantity": "1"}, ["transfer"] * 2),
        (
            {"feed": "locked_subscriptions", "asset": "USDT", "quantity": "4"},
            ["transfer"] * 2,
        ),
        (
            {
                "feed": "transfers",
                "asset": "USDT",
                "quantity": "2",
                "from_wallet": "spot",
                "to_wallet": "funding",
            },
            ["transfer"] * 2,
        ),
    ],
)
def test_anything_can_be_made_to_happen(sandbox, fact, kinds):
    answer = add(sandbox, fact, account=21)
    assert answer.status == 200, answer.text
    assert [leg["kind"] for leg in answer.json["legs"]] == kinds
    shown = callers.books(sandbox, 21)["facts"][fact["feed"]]
    assert answer.json["fact"] in shown


def test_nothing_can_be_spent_that_is_not_there(sandbox):
    before = callers.books(sandbox, ACCOUNT)
    answer = add(sandbox, {"feed": "withdrawals", "asset": "BTC", "quantity": "100000"})
    assert (answer.status, answer.json) == (400, {"error": "not enough BTC in spot"})
    assert callers.books(sandbox, ACCOUNT) == before


@pytest.mark.parametrize("body", [[], "text", {"feed": "trades", "symbol": "NOSUCH"}, {}])
def test_unreadable_facts_are_refused(sandbox, body):
    assert add(sandbox, body).status == 400


def test_a_hidden_fact_leaves_its_feed_and_stays_in_the_balance(sandbox):
    before = callers.books(sandbox, 22)
    trade = before["facts"]["trades"][3]
    path = f"accounts/22/facts/trades/{trade['id']}"
    assert callers.control(sandbox, "DELETE", path).status == 200
    after = callers.books(sandbox, 22)
    assert trade not in after["facts"]["trades"]
    assert after["hidden"] == [trade]
    assert after["balances"] == before["balances"]
    assert after["ledger"] == before["ledger"]
    symbol = trade["base"] + trade["quote"]
    rows = callers.signed(sandbox, "/api/v3/myTrades", {"symbol": symbol}, account=22).json
    assert int(trade["id"]) not in {row["id"] for row in rows}
    assert callers.control(sandbox, "DELETE", path).status == 404


def test_unknown_accounts_are_not_found(sandbox):
    for path in ("accounts/40", "accounts/40/books"):
        assert callers.control(sandbox, "GET", path).status == 404
