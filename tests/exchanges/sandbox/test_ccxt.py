"""ccxt's unmodified binance class reads everything, equal to the books to the last digit."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from exchanges.sandbox import config, testing
from tests.exchanges.sandbox import callers

DAY = 86_400_000
PAGE = 1000


def total(balance: dict[str, Any]) -> dict[str, Decimal]:
    return {code: Decimal(text) for code, text in balance["total"].items() if Decimal(text)}


def decimals(texts: dict[str, str]) -> dict[str, Decimal]:
    return {code: Decimal(text) for code, text in texts.items()}


def test_spot_balance_is_the_books_with_flexible_earn_as_ld_codes(sandbox):
    async def fetch():
        async with callers.binance(sandbox, account=1) as exchange:
            return await exchange.fetch_balance()

    expected = callers.books(sandbox, 1)
    flexible = {f"LD{code}": text for code, text in expected["flexible_earn"].items()}
    assert flexible
    assert "LDO" in expected["balances"]["spot"]
    assert total(asyncio.run(fetch())) == decimals(expected["balances"]["spot"] | flexible)


def test_an_open_order_holds_back_part_of_the_total(sandbox):
    async def fetch():
        async with callers.binance(sandbox, account=0) as exchange:
            return await exchange.fetch_balance()

    reserved = callers.books(sandbox, 0)["reserved"]["USDT"]
    assert Decimal(asyncio.run(fetch())["USDT"]["used"]) == Decimal(reserved)


def test_funding_balance_is_the_books(sandbox):
    async def fetch():
        async with callers.binance(sandbox, account=2) as exchange:
            return await exchange.fetch_balance({"type": "funding"})

    expected = callers.books(sandbox, 2)["balances"]["funding"]
    assert expected
    assert total(asyncio.run(fetch())) == decimals(expected)


@pytest.mark.parametrize(
    "params",
    [
        {"type": "margin"},
        {"marginMode": "isolated"},
        {"type": "swap", "subType": "linear"},
        {"type": "swap", "subType": "inverse"},
    ],
)
def test_margin_and_futures_wallets_are_empty(sandbox, params):
    async def fetch():
        async with callers.binance(sandbox) as exchange:
            return await exchange.fetch_balance(params)

    assert asyncio.run(fetch())["total"] == {}


async def all_trades(exchange: Any, symbol: str, limit: int) -> AsyncIterator[dict[str, Any]]:
    first = 0
    while page := await exchange.fetch_my_trades(symbol, None, limit, {"fromId": first}):
        for trade in page:
            yield trade
        first = int(page[-1]["id"]) + 1


def as_books_show(trade: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": trade["id"],
        "order_id": trade["order"],
        "occurred_at": trade["timestamp"],
        "side": trade["side"],
        "price": Decimal(trade["price"]),
        "quantity": Decimal(trade["amount"]),
        "quote_quantity": Decimal(trade["cost"]),
        "commission": Decimal(trade["fee"]["cost"]),
        "commission_asset": trade["fee"]["currency"],
        "maker": trade["takerOrMaker"] == "maker",
    }


def in_numbers(fact: dict[str, Any]) -> dict[str, Any]:
    numbers = ("price", "quantity", "quote_quantity", "commission")
    rest = {k: v for k, v in fact.items() if k not in ("feed", "base", "quote")}
    return rest | {name: Decimal(fact[name]) for name in numbers}


def test_trades_paged_by_id_are_the_books_to_the_last_digit(sandbox):
    async def fetch(symbols):
        async with callers.binance(sandbox, account=3) as exchange:
            return {
                symbol: [as_books_show(t) async for t in all_trades(exchange, symbol, limit=7)]
                for symbol in symbols
            }

    expected = defaultdict(list)
    for fact in callers.books(sandbox, 3)["facts"]["trades"]:
        expected[f"{fact['base']}/{fact['quote']}"].append(in_numbers(fact))
    assert sum(len(facts) for facts in expected.values()) == 150
    assert asyncio.run(fetch(expected)) == expected


def test_pages_of_a_thousand_lose_nothing():
    async def fetch(sandbox, symbols):
        async with callers.binance(sandbox) as exchange:
            return {
                symbol: [t["id"] async for t in all_trades(exchange, symbol, PAGE)]
                for symbol in symbols
            }

    settings = config.Config(accounts=1, assets=2, trades=3500, weight_limit=0)
    with testing.start(settings) as sandbox:
        expected = defaultdict(list)
        for fact in callers.books(sandbox, 0)["facts"]["trades"]:
            expected[f"{fact['base']}/{fact['quote']}"].append(fact["id"])
        assert max(len(ids) for ids in expected.values()) > PAGE
        assert asyncio.run(fetch(sandbox, expected)) == expected


def test_some_fills_share_a_millisecond_and_some_fees_are_in_bnb(sandbox):
    trades = callers.books(sandbox, 0)["facts"]["trades"]
    instants = Counter((trade["base"], trade["quote"], trade["occurred_at"]) for trade in trades)
    assert max(instants.values()) > 1
    fees_in_bnb = [t for t in trades if t["commission_asset"] not in (t["base"], t["quote"])]
    assert fees_in_bnb
    assert {trade["commission_asset"] for trade in fees_in_bnb} == {"BNB"}


def test_trades_of_a_day_are_found_by_its_window(sandbox):
    trade = callers.books(sandbox, 0)["facts"]["trades"][20]

    async def fetch():
        async with callers.binance(sandbox) as exchange:
            symbol = f"{trade['base']}/{trade['quote']}"
            start = trade["occurred_at"] - DAY // 2
            return await exchange.fetch_my_trades(symbol, start, params={"until": start + DAY})

    assert trade["id"] in {found["id"] for found in asyncio.run(fetch())}


def spans(end: int, length: int, days: int = 740) -> Iterator[tuple[int, int]]:
    start = end - days * DAY
    while start < end:
        yield start, start + length - 1
        start += length


def test_deposits_and_withdrawals_are_the_books(sandbox):
    async def fetch(end):
        async with callers.binance(sandbox, account=4) as exchange:
            await exchange.load_markets()
            deposits, withdrawals = [], []
            for start, until in spans(end, 90 * DAY):
                deposits += await exchange.fetch_deposits(None, start, None, {"until": until})
                params = {"endTime": until}
                withdrawals += await exchange.fetch_withdrawals(None, start, None, params)
            return deposits, withdrawals

    expected = callers.books(sandbox, 4)["facts"]
    now = callers.control(sandbox, "GET", "health").json["now"]
    deposits, withdrawals = asyncio.run(fetch(now))
    shown = [(d["currency"], d["amount"], d["timestamp"], d["txid"]) for d in deposits]
    assert sorted(shown) == sorted(
        (d["asset"], trimmed(d["quantity"]), d["occurred_at"], d["tx_id"])
        for d in expected["deposits"]
    )
    shown = [(w["id"], w["currency"], w["amount"], w["fee"]["cost"]) for w in withdrawals]
    assert sorted(shown) == sorted(
        (w["id"], w["asset"], trimmed(w["quantity"]), trimmed(w["fee"]))
        for w in expected["withdrawals"]
    )
    statuses = {"completed": "ok", "cancelled": "canceled"}
    assert {w["id"]: w["status"] for w in withdrawals} == {
        w["id"]: statuses[w["status"]] for w in expected["withdrawals"]
    }


def trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def test_markets_currencies_and_tickers_load(sandbox):
    async def fetch():
        async with callers.binance(sandbox) as exchange:
            await exchange.load_markets()
            return exchange, await exchange.fetch_tickers(), await exchange.fetch_last_prices()

    exchange, tickers, prices = asyncio.run(fetch())
    assert set(tickers) == set(exchange.symbols) == set(prices)
    assert exchange.markets["BTC/USDT"]["active"]
    assert exchange.currencies["LDO"]["name"] == "Lido DAO"
    assert all(Decimal(price["price"]) > 0 for price in prices.values())


def test_candles_follow_one_another(sandbox):
    async def fetch():
        async with callers.binance(sandbox) as exchange:
            return await exchange.fetch_ohlcv("ETH/BTC", "1h", limit=50)

    candles = asyncio.run(fetch())
    assert [b[0] - a[0] for a, b in pairwise(candles)] == [3_600_000] * 49
    for _, opened, high, low, closed, volume in candles:
        low, high = Decimal(low), Decimal(high)
        assert low <= Decimal(opened) <= high
        assert low <= Decimal(closed) <= high
        assert Decimal(volume) > 0


def test_status_is_ok(sandbox):
    async def fetch():
        async with callers.binance(sandbox) as exchange:
            return await exchange.fetch_status()

    assert asyncio.run(fetch())["status"] == "ok"


class Reader:
    """Every feed of an account, read as a caller has to, summed by wallet and asset."""

    def __init__(self, exchange: Any, end: int) -> None:
        self._exchange = exchange
        self._end = end
        self.sums: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)

    def move(self, wallet: str, asset: str, quantity: Decimal) -> None:
        self.sums[wallet, asset] += quantity

    async def read(self, symbols: set[str]) -> None:
        await self.trades(symbols)
        await self.capital()
        await self.fiat()
        await self.conversions()
        await self.dust()
        await self.dividends()
        await self.transfers()
        await self.earn()

    async def trades(self, symbols: set[str]) -> None:
        for symbol in symbols:
            params = {"symbol": symbol, "fromId": 0, "limit": PAGE}
            for row in await self._exchange.private_get_mytrades(params):
                base, quote = split(symbol)
                sign = 1 if row["isBuyer"] else -1
                self.move("spot", base, sign * Decimal(row["qty"]))
                self.move("spot", quote, -sign * Decimal(row["quoteQty"]))
                self.move("spot", row["commissionAsset"], -Decimal(row["commission"]))

    async def capital(self) -> None:
        for row in await self.windows(self._exchange.sapi_get_capital_deposit_hisrec, 90):
            if row["status"] in (1, "1"):
                self.move("spot", row["coin"], Decimal(row["amount"]))
        for row in await self.windows(self._exchange.sapi_get_capital_withdraw_history, 90):
            if row["status"] in (6, "6"):
                out = Decimal(row["amount"]) + Decimal(row["transactionFee"])
                self.move("spot", row["coin"], -out)

    async def windows(self, call: Any, days: int, **params: Any) -> list[dict[str, Any]]:
        rows = []
        for start, end in spans(self._end, days * DAY):
            answer = await call({"startTime": start, "endTime": end} | params)
            rows += answer if isinstance(answer, list) else answer.get("rows", answer.get("list"))
        return rows

    async def fiat(self) -> None:
        begin = {"beginTime": self._end - 740 * DAY, "endTime": self._end, "rows": 500}
        orders, payments = (
            self._exchange.sapi_get_fiat_orders,
            self._exchange.sapi_get_fiat_payments,
        )
        for row in (await orders(begin | {"transactionType": 0}))["data"]:
            if row["status"] == "Successful":
                self.move("spot", row["fiatCurrency"], Decimal(row["amount"]))
        for row in (await orders(begin | {"transactionType": 1}))["data"]:
            out = Decimal(row["amount"]) + Decimal(row["totalFee"])
            assert out == Decimal(row["indicatedAmount"])
            self.move("spot", row["fiatCurrency"], -out)
        for row in (await payments(begin | {"transactionType": 0}))["data"]:
            self.move("spot", row["cryptoCurrency"], Decimal(row["obtainAmount"]))

    async def conversions(self) -> None:
        call = self._exchange.sapi_get_convert_tradeflow
        for row in await self.windows(call, 30, limit=PAGE):
            self.move("spot", row["fromAsset"], -Decimal(row["fromAmount"]))
            self.move("spot", row["toAsset"], Decimal(row["toAmount"]))

    async def dust(self) -> None:
        answer = await self._exchange.sapi_get_asset_dribblet({})
        for batch in answer["userAssetDribblets"]:
            for row in batch["userAssetDribbletDetails"]:
                self.move("spot", row["fromAsset"], -Decimal(row["amount"]))
                received = Decimal(row["transferedAmount"]) - Decimal(row["serviceChargeAmount"])
                self.move("spot", "BNB", received)

    async def dividends(self) -> None:
        call = self._exchange.sapi_get_asset_assetdividend
        for row in await self.windows(call, 180, limit=500):
            self.move("spot", row["asset"], Decimal(row["amount"]))

    async def transfers(self) -> None:
        call = self._exchange.sapi_get_asset_transfer
        for row in await self.windows(call, 30, type="MAIN_FUNDING", size=100):
            self.between("spot", "funding", row)
        for row in await self.windows(call, 30, type="FUNDING_MAIN", size=100):
            self.between("funding", "spot", row)

    def between(self, source: str, target: str, row: dict[str, Any]) -> None:
        self.move(source, row["asset"], -Decimal(row["amount"]))
        self.move(target, row["asset"], Decimal(row["amount"]))

    async def earn(self) -> None:
        for product in ("flexible", "locked"):
            for row in await self.earn_rows(product, "subscription"):
                self.between("spot", "earn", row)
            for row in await self.earn_rows(product, "redemption"):
                self.between("earn", "spot", row)
        for row in await self.earn_rows("flexible", "rewards", type="ALL"):
            wallet = "earn" if row["type"] == "REALTIME" else "spot"
            self.move(wallet, row["asset"], Decimal(row["rewards"]))
        for row in await self.earn_rows("locked", "rewards"):
            self.move("spot", row["asset"], Decimal(row["amount"]))

    async def earn_rows(self, product: str, record: str, **params: Any) -> list[dict[str, Any]]:
        name = f"sapi_get_simple_earn_{product}_history_{record}record"
        return await self.windows(getattr(self._exchange, name), 30, size=100, **params)


def split(symbol: str) -> tuple[str, str]:
    quote = next(q for q in ("USDT", "BTC", "ETH", "BNB", "EUR") if symbol.endswith(q))
    return symbol.removesuffix(quote), quote


@pytest.mark.parametrize("account", [5, 6])
def test_the_feeds_alone_explain_every_balance(sandbox, account):
    """Nothing in the balances that no endpoint shows, and nothing shown that is not in them."""

    async def fetch(symbols, end):
        async with callers.binance(sandbox, account=account) as exchange:
            reader = Reader(exchange, end)
            await reader.read(symbols)
            return reader.sums

    expected = callers.books(sandbox, account)
    symbols = {f"{t['base']}{t['quote']}" for t in expected["facts"]["trades"]}
    now = callers.control(sandbox, "GET", "health").json["now"]
    sums = asyncio.run(fetch(symbols, now))
    assert {key: quantity for key, quantity in sums.items() if quantity} == {
        (wallet, code): Decimal(text)
        for wallet, held in expected["balances"].items()
        for code, text in held.items()
    }


def test_earn_positions_are_the_books(sandbox):
    async def fetch():
        async with callers.binance(sandbox, account=1) as exchange:
            flexible = await exchange.sapi_get_simple_earn_flexible_position({"size": 100})
            locked = await exchange.sapi_get_simple_earn_locked_position({"size": 100})
            return flexible["rows"], locked["rows"]

    expected = callers.books(sandbox, 1)
    flexible, locked = asyncio.run(fetch())
    assert {row["asset"]: row["totalAmount"] for row in flexible} == expected["flexible_earn"]
    assert [(str(row["positionId"]), row["asset"], row["amount"]) for row in locked] == [
        (row["position_id"], row["asset"], row["quantity"]) for row in expected["locked_earn"]
    ]
    assert locked


def test_earn_positions_come_in_pages(sandbox):
    async def fetch():
        async with callers.binance(sandbox, account=1) as exchange:
            call = exchange.sapi_get_simple_earn_flexible_position
            pages = [await call({"size": 1, "current": number}) for number in (1, 2)]
            return pages[0]["total"], [page["rows"][0]["asset"] for page in pages]

    held = list(callers.books(sandbox, 1)["flexible_earn"])
    count, shown = asyncio.run(fetch())
    assert int(count) == len(held)
    assert shown == held[:2]


@pytest.mark.parametrize(
    ("role", "reading", "trading", "withdrawing"),
    [
        ("read", True, False, False),
        ("trade", True, True, False),
        ("withdraw", True, False, True),
        ("restricted", False, False, False),
    ],
)
def test_a_key_says_what_it_may_do(sandbox, role, reading, trading, withdrawing):
    async def fetch():
        async with callers.binance(sandbox, role=role) as exchange:
            return await exchange.sapi_get_account_apirestrictions()

    found = asyncio.run(fetch())
    assert found["enableReading"] is reading
    assert found["enableSpotAndMarginTrading"] is trading
    assert found["enableWithdrawals"] is withdrawing
