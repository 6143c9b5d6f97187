"""ccxt's unmodified kraken class reads everything, equal to the books to the last digit."""

import asyncio
import time
from collections import defaultdict
from decimal import Decimal
from itertools import pairwise

import ccxt
import pytest

from exchanges.sandbox import config, testing
from exchanges.sandbox.kraken import names
from tests.exchanges.sandbox import callers, krakens


def run(coroutine):
    return asyncio.run(coroutine)


def test_balances_are_the_books_by_wallet(sandbox):
    async def fetch():
        async with krakens.kraken(sandbox, account=1) as exchange:
            return await exchange.fetch_balance()

    total = {c: Decimal(t) for c, t in run(fetch())["total"].items() if Decimal(t)}
    assert {c: q for c, q in total.items() if "." not in c} == krakens.held(sandbox, 1, "spot")
    earning = defaultdict(Decimal)
    for code, quantity in total.items():
        if "." in code:
            coin = code.partition(".")[0].rstrip("0123456789")
            earning[coin] += quantity
    assert earning == krakens.held(sandbox, 1, "earn")
    assert earning


def test_an_open_order_holds_back_part_of_the_total(sandbox):
    async def fetch():
        async with krakens.kraken(sandbox) as exchange:
            return await exchange.fetch_balance()

    reserved = krakens.books(sandbox, 0)["reserved"]["USD"]
    assert Decimal(run(fetch())["USD"]["used"]) == Decimal(reserved)


def test_both_balances_say_the_same(sandbox):
    plain = krakens.signed(sandbox, "Balance", account=2).json["result"]
    extended = krakens.signed(sandbox, "BalanceEx", account=2).json["result"]
    assert plain == {asset: row["balance"] for asset, row in extended.items()}
    assert {"XXBT", "ZUSD", "ZEUR"} <= set(plain)


def pages(sandbox, method, name, account=0, **params):
    """All rows of a history by id, page by page, with how many each page had."""
    rows, sizes, count = {}, [], 1
    while len(rows) < count:
        sent = params | ({"ofs": len(rows)} if rows else {})
        answer = krakens.signed(sandbox, method, sent, account=account).json["result"]
        assert not rows.keys() & answer[name].keys()
        rows |= answer[name]
        sizes.append(len(answer[name]))
        count = answer["count"]
    return rows, sizes


def test_trades_come_in_fifties_newest_first_and_are_the_books(sandbox):
    rows, sizes = pages(sandbox, "TradesHistory", "trades")
    assert sizes == [50, 50, 50]
    assert all(a["time"] >= b["time"] for a, b in pairwise(rows.values()))
    expected = sorted(
        (names.pair_id_of(t["base"], t["quote"]), t["side"], Decimal(t["quantity"]),
         Decimal(t["price"]), Decimal(t["quote_quantity"]))
        for t in krakens.books(sandbox, 0)["facts"]["trades"]
    )  # fmt: skip
    assert expected == sorted(
        (t["pair"], t["type"], Decimal(t["vol"]), Decimal(t["price"]), Decimal(t["cost"]))
        for t in rows.values()
    )


def test_the_ledger_alone_explains_every_balance(sandbox):
    rows, sizes = pages(sandbox, "Ledgers", "ledger", account=3)
    assert set(sizes[:-1]) == {50}
    sums, last = defaultdict(Decimal), {}
    for row in reversed(rows.values()):
        sums[row["asset"]] += Decimal(row["amount"]) - Decimal(row["fee"])
        last[row["asset"]] = Decimal(row["balance"])
    assert sums == last
    told = krakens.signed(sandbox, "Balance", account=3).json["result"]
    assert {asset: Decimal(text) for asset, text in told.items()} == dict(sums)


def test_a_window_is_open_at_its_start_and_closed_at_its_end(sandbox):
    rows, _ = pages(sandbox, "Ledgers", "ledger", account=4)
    instants = sorted({Decimal(str(row["time"])) // 1 for row in rows.values()})
    start, end = instants[10], instants[20]
    found, _ = pages(sandbox, "Ledgers", "ledger", account=4, start=start, end=end)
    expected = {n for n, row in rows.items() if start < Decimal(str(row["time"])) // 1 <= end}
    assert set(found) == expected
    newest, oldest = list(rows)[3], list(rows)[30]
    by_id, _ = pages(sandbox, "Ledgers", "ledger", account=4, start=oldest, end=newest)
    assert newest in by_id
    assert oldest not in by_id


def test_ledgers_are_found_by_type_asset_and_id(sandbox):
    rows, _ = pages(sandbox, "Ledgers", "ledger", account=5)
    deposits, _ = pages(sandbox, "Ledgers", "ledger", account=5, type="deposit")
    assert deposits == {n: row for n, row in rows.items() if row["type"] == "deposit"}
    bitcoin, _ = pages(sandbox, "Ledgers", "ledger", account=5, asset="XXBT")
    assert {row["asset"] for row in bitcoin.values()} >= {"XXBT"}
    name = next(iter(rows))
    assert krakens.signed(sandbox, "QueryLedgers", {"id": name}, account=5).json["result"] == {
        name: rows[name]
    }


def test_deposits_and_withdrawals_are_the_books(sandbox):
    async def fetch():
        async with krakens.kraken(sandbox, account=6) as exchange:
            return await exchange.fetch_deposits(), await exchange.fetch_withdrawals()

    expected = krakens.books(sandbox, 6)["facts"]
    deposits, withdrawals = run(fetch())
    on_chain = [d for d in deposits if d["address"]]
    assert sorted((d["currency"], Decimal(d["amount"]), d["txid"]) for d in on_chain) == sorted(
        (d["asset"], Decimal(d["quantity"]), d["tx_id"]) for d in expected["deposits"]
    )
    sent = [w for w in withdrawals if w["address"]]
    told = sorted((w["currency"], Decimal(w["amount"]), Decimal(w["fee"]["cost"])) for w in sent)
    assert told == sorted(
        (w["asset"], Decimal(w["quantity"]), Decimal(w["fee"])) for w in expected["withdrawals"]
    )
    assert len(deposits) > len(on_chain)


def test_markets_currencies_tickers_and_candles_load(sandbox):
    async def fetch():
        async with krakens.kraken(sandbox) as exchange:
            await exchange.load_markets()
            candles = await exchange.fetch_ohlcv("ETH/BTC", "1h")
            return exchange, await exchange.fetch_tickers(), candles

    exchange, tickers, candles = run(fetch())
    assert set(tickers) == set(exchange.symbols)
    assert exchange.markets["BTC/EUR"]["id"] == "XXBTZEUR"
    assert exchange.markets["SOL/USD"]["id"] == "SOLUSD"
    assert exchange.currencies["DOGE"]["id"] == "XXDG"
    assert len(candles) == 720
    assert [b[0] - a[0] for a, b in pairwise(candles)] == [3_600_000] * 719


def test_candles_go_back_720_of_them_whatever_is_asked_for(sandbox):
    told = krakens.public(sandbox, "OHLC", "pair=XBTEUR&interval=1440&since=1000000000")
    assert len(told["result"]["XXBTZEUR"]) == 720
    after = told["result"]["XXBTZEUR"][-3][0]
    found = krakens.public(sandbox, "OHLC", f"pair=XBT/EUR&interval=1440&since={after}")
    assert [row[0] for row in found["result"]["XXBTZEUR"]] == [after + 86_400, after + 172_800]


def test_the_price_of_a_coin_is_the_same_at_both_houses(sandbox):
    kraken = krakens.public(sandbox, "Ticker", "pair=ETHUSDT")["result"]["ETHUSDT"]["c"][0]
    told = callers.send("GET", f"{sandbox.url}/api/v3/ticker/price?symbol=ETHUSDT").json["price"]
    assert abs(Decimal(kraken) / Decimal(told) - 1) < Decimal("0.02")


def test_time_and_status(sandbox):
    assert krakens.public(sandbox, "SystemStatus")["result"]["status"] == "online"
    assert abs(krakens.public(sandbox, "Time")["result"]["unixtime"] - time.time()) < 60


@pytest.mark.parametrize(
    ("role", "words"),
    [
        ("read", {"query-funds", "query-ledger", "query-open-trades", "query-closed-trades"}),
        ("trade", {"modify-trades", "close-trades"}),
        ("withdraw", {"withdraw-funds"}),
        ("restricted", {"query-open-trades"}),
    ],
)
def test_a_key_says_what_it_may_do(sandbox, role, words):
    told = krakens.signed(sandbox, "GetApiKeyInfo", role=role).json["result"]
    assert words <= set(told["permissions"])
    assert ("query-funds" in told["permissions"]) is (role != "restricted")


# --- what is made to happen -------------------------------------------------------------------


def test_a_fact_can_be_added_and_hidden(sandbox):
    path, before = "kraken/accounts/20", krakens.held(sandbox, 20, "spot")["BTC"]
    fact = {"feed": "deposits", "asset": "BTC", "quantity": "0.5"}
    added = callers.control(sandbox, "POST", f"{path}/facts", fact).json["fact"]
    rows, _ = pages(sandbox, "Ledgers", "ledger", account=20, type="deposit")
    assert Decimal(next(iter(rows.values()))["amount"]) == Decimal("0.5")
    callers.control(sandbox, "DELETE", f"{path}/facts/deposits/{added['id']}")
    hidden, _ = pages(sandbox, "Ledgers", "ledger", account=20, type="deposit")
    assert len(hidden) == len(rows) - 1
    told = krakens.signed(sandbox, "Balance", account=20).json["result"]
    assert Decimal(told["XXBT"]) == before + Decimal("0.5")


@pytest.mark.parametrize(
    ("house", "fact"),
    [
        ("kraken", {"feed": "dust", "from_asset": "USD", "from_quantity": "1"}),
        ("binance", {"feed": "charges", "asset": "USDT", "quantity": "1"}),
    ],
)
def test_a_house_refuses_what_it_does_not_have(sandbox, house, fact):
    answer = callers.control(sandbox, "POST", f"{house}/accounts/21/facts", fact)
    assert answer.status == 400
    assert answer.json["error"] == f"{house} has no {fact['feed']}"


def test_both_houses_come_back_the_same_after_a_restart(tmp_path):
    small = config.Config(
        accounts=2, trades=40, assets=6, weight_limit=0, state=tmp_path / "sandbox.json"
    )
    with testing.start(small) as first:
        fact = {"feed": "deposits", "asset": "ETH", "quantity": "3.5"}
        callers.control(first, "POST", "kraken/accounts/1/facts", fact)
        callers.control(first, "POST", "accounts/1/facts", fact)
        before = krakens.books(first, 1), callers.books(first, 1)
    with testing.start(small) as second:
        assert (krakens.books(second, 1), callers.books(second, 1)) == before


# --- what Kraken refuses ----------------------------------------------------------------------


def counted(sandbox, kind):
    return callers.control(sandbox, "GET", "violations").json["by_kind"].get(kind, 0)


@pytest.mark.parametrize(
    ("spoilt", "error", "kind"),
    [
        ({"key": "a" * 56}, "EAPI:Invalid key", "bad_key"),
        ({"secret": "Zm9yZ2Vk"}, "EAPI:Invalid signature", "bad_signature"),
        ({"nonce": 1}, "EAPI:Invalid nonce", "invalid_nonce"),
        ({"nonce": "soon"}, "EAPI:Invalid nonce", "invalid_nonce"),
        ({"role": "restricted"}, "EGeneral:Permission denied", "no_permission"),
    ],
)
def test_unsound_requests(sandbox, spoilt, error, kind):
    krakens.signed(sandbox, "Balance")
    before = counted(sandbox, kind)
    assert krakens.signed(sandbox, "Balance", **spoilt).json == {"error": [error]}
    assert counted(sandbox, kind) == before + 1


def test_a_nonce_is_used_once_and_counts_for_its_key_alone(sandbox):
    nonce = int(time.time() * 1000) + 10_000_000
    assert krakens.signed(sandbox, "Balance", account=30, nonce=nonce).json["error"] == []
    again = krakens.signed(sandbox, "Balance", account=30, nonce=nonce)
    assert again.json == {"error": ["EAPI:Invalid nonce"]}
    assert krakens.signed(sandbox, "Balance", account=31, nonce=nonce).json["error"] == []


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("OHLC?pair=NOSUCH", "EQuery:Unknown asset pair"),
        ("OHLC?pair=XBTEUR&interval=7", "EGeneral:Invalid arguments:interval"),
        ("OHLC", "EGeneral:Invalid arguments:pair"),
        ("Ticker?pair=XBTEUR,NOSUCH", "EQuery:Unknown asset pair"),
        ("Nowhere", "EGeneral:Unknown method"),
    ],
)
def test_illegal_parameters_are_refused(sandbox, path, error):
    method, _, query = path.partition("?")
    assert krakens.public(sandbox, method, query) == {"error": [error]}


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"apiKey": "a" * 56}, ccxt.AuthenticationError),
        ({"role": "restricted"}, ccxt.PermissionDenied),
    ],
)
def test_ccxt_knows_the_errors(sandbox, settings, error):
    async def fetch():
        async with krakens.kraken(sandbox, **settings) as exchange:
            return await exchange.private_post_balance()

    with pytest.raises(error):
        run(fetch())
