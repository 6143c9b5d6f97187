"""MEXC: spot and futures wallets, fills by symbol, transfers, small balances turned into MX.

Its endpoints resemble Binance's; what differs is what it keeps: fills for 30 days, and only where
a symbol is named, transfers for 90 days in windows of 7. A withdrawal's amount is gross: the fee
is inside. Of dust, ``convert`` is what the coins were worth in MX, and the fee is taken from it.
What a key may do cannot be asked.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from exchanges.gateway import errors, rows
from exchanges.gateway.budget import Pool
from exchanges.gateway.dialects import shapes
from exchanges.gateway.dialects.base import (
    Call,
    CandleCall,
    Dialect,
    Feed,
    Holding,
    Surroundings,
    WalletCall,
    Windows,
    at,
    the_list,
    under,
)
from exchanges.gateway.markets import Market, Markets
from exchanges.gateway.rows import BadRow, Row
from exchanges.reports import Direction, Fact, Ticker, TradeKind, Wallet

OPENED = at(2018, 4)
DUST_OPENED = at(2022)
EDGE = timedelta(minutes=10)  # what lies closer to a horizon may be refused on arrival
FILLS_KEPT = timedelta(days=30) - EDGE
TRANSFERS_KEPT = timedelta(days=90) - EDGE
MOVES_KEPT = timedelta(days=180) - EDGE
PER_MINUTE = 3000  # weight by address and endpoint: 500 in ten seconds

# Codes that stand for another coin here than elsewhere.
CODES = {
    "BEYONDPROTOCOL": "BEYOND", "BIFI": "BIFIF", "BYN": "BEYONDFI", "COFI": "COFIX",
    "DFI": "DFISTARTER", "DFT": "DFUTURE", "EGC": "EGORASCREDIT", "FLUX1": "FLUX",
    "FLUX": "FLUX1", "FREE": "FREEROSSDAO", "GAS": "GASDAO", "GASNEO": "GAS",
    "GMT": "GMTTOKEN", "STEPN": "GMT", "HERO": "STEPHERO", "MIMO": "MIMOSA",
    "PROS": "PROSFINANCE", "SIN": "SINCITYTOKEN", "SOUL": "SOULSWAP",
}  # fmt: skip
_DEPOSITS: shapes.Meanings = {
    "1": None, "2": False, "3": False, "4": False, "5": True, "6": False, "7": None, "8": None,
    "9": False, "10": None, "11": False, "12": True,
}  # fmt: skip
_WITHDRAWALS: shapes.Meanings = {
    "1": False, "2": False, "3": False, "4": False, "5": False, "6": False, "7": True,
    "8": None, "9": None, "10": False,
}  # fmt: skip


def spot(method: str, weight: float, **fixed: Any) -> Call:
    """A call of a pool counted per endpoint and address."""
    return Call(method, weight, Pool(f"ip:{method}", PER_MINUTE), fixed=fixed)


def code(row: Row, field: str) -> str:
    """A coin's code; transfers name its network behind it (``USDC-TRX``)."""
    found = rows.code(row, field).partition("-")[0]
    return CODES.get(found, found)


def balances(answer: Any, around: Surroundings) -> Iterator[Holding]:
    """Free and locked."""
    return shapes.held(the_list(answer["balances"]), around, _held)


def _held(row: Row) -> Holding:
    total = rows.quantity(row, "free") + rows.quantity_or_zero(row, "locked")
    return Holding(code(row, "asset"), total)


def futures_balances(answer: Any, around: Surroundings) -> Iterator[Holding]:
    """Money in the futures account, without what open positions have won or lost."""
    return shapes.held(
        under("data")(answer), around,
        lambda row: Holding(code(row, "currency"), rows.quantity(row, "cashBalance")),
    )  # fmt: skip


def fill(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A fill; the fee may be in MX."""
    if not isinstance(row.get("isBuyer"), bool):
        raise BadRow("isBuyer is not true or false")
    market = around.markets.by_id.get(rows.code(row, "symbol"))
    if market is None:
        raise BadRow("symbol is unknown")
    charged = rows.quantity_or_zero(row, "commission")
    fee_code = code(row, "commissionAsset") if charged else None
    yield shapes.fill(
        name, (market.base, market.quote), "buy" if row["isBuyer"] else "sell",
        amount=rows.quantity(row, "qty"), price=rows.quantity(row, "price"),
        paid=rows.quantity(row, "quoteQty") if row.get("quoteQty") else None,
        fee=rows.fee(fee_code, charged), order_id=rows.text(row, "orderId"),
        occurred_at=rows.milliseconds(row, "time"),
    )  # fmt: skip


def deposit(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Coins that arrived; a refused deposit, or one that was too small, is no fact."""
    done = shapes.settled(row, _DEPOSITS, "status")
    if done is not None:
        yield _transfer(
            row, name, Direction.DEPOSIT, rows.quantity(row, "amount"), Decimal(), done,
            rows.milliseconds(row, "insertTime"),
        )  # fmt: skip


def withdrawal(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Coins sent; the amount includes the fee."""
    done = shapes.settled(row, _WITHDRAWALS, "status")
    if done is not None:
        fee = rows.quantity_or_zero(row, "transactionFee")
        yield _transfer(
            row, name, Direction.WITHDRAWAL, rows.quantity(row, "amount") - fee, fee, done,
            rows.milliseconds(row, "applyTime"),
        )  # fmt: skip


def _transfer(
    row: Row, name: str, way: Direction, quantity: Decimal, fee: Decimal, done: bool,
    occurred_at: datetime,
) -> Fact:  # fmt: skip
    return shapes.transfer(
        f"{way}s", name, way, code(row, "coin"), quantity, fee=fee, done=done,
        occurred_at=occurred_at, txid=rows.text(row, "transHash", "txId"),
        address=rows.text(row, "address"), network=rows.text(row, "network", "netWork"),
    )  # fmt: skip


def dust_rows(answer: Any) -> list[Any]:
    """The coins of every sweep."""
    return [part for sweep in under("data")(answer) for part in sweep["convertDetails"]]


def dust(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A small balance turned into MX."""
    yield shapes.swap(
        name, (code(row, "asset"), rows.quantity(row, "amount")),
        ("MX", rows.quantity(row, "convert")), feed="dust", kind=TradeKind.DUST,
        fee=rows.fee("MX", rows.quantity_or_zero(row, "fee")),
        occurred_at=rows.milliseconds(row, "time"),
    )  # fmt: skip


def _moves(name: str, source: str, target: str, kinds: tuple[str, str]) -> Feed:
    def parse(row: Row, exchange_id: str, around: Surroundings) -> Iterator[Fact]:
        other_way = rows.text(row, "fromAccountType") not in ("", kinds[0])
        if other_way or rows.text(row, "status").upper() != "SUCCESS":
            return
        yield shapes.transfer(
            name, exchange_id, Direction.INTERNAL, code(row, "asset"),
            rows.quantity(row, "amount"), wallet=source, counter_wallet=target,
            occurred_at=rows.milliseconds(row, "timestamp"),
        )  # fmt: skip

    return Feed(
        name=name, parse=parse, rows=under("rows"), id_field="tranId", optional=True,
        call=spot(
            "spotPrivateGetCapitalTransfer", 1, fromAccountType=kinds[0], toAccountType=kinds[1]
        ),
        paging=Windows(timedelta(days=7), 100, size="size"), launched=OPENED, horizon=MOVES_KEPT,
    )  # fmt: skip


# --- the rest -----------------------------------------------------------------------------------


async def load_markets(client: Any) -> Markets:
    """The spot list alone, straight from ``exchangeInfo``."""
    answer = await client.spotPublicGetExchangeInfo()
    return Markets(
        Market(row["symbol"], code(row, "baseAsset"), code(row, "quoteAsset"))
        for row in answer["symbols"]
    )


def tickers(answer: Any, markets: Markets, now: datetime) -> Iterator[Ticker]:
    """``ticker/24hr`` of all spot symbols."""

    def read(row: Row) -> Ticker | None:
        opened = rows.quantity_or_zero(row, "openPrice")
        stamp = rows.milliseconds(row, "closeTime") if row.get("closeTime") else now
        return shapes.ticker(markets, row["symbol"], rows.quantity(row, "lastPrice"), opened, stamp)

    return shapes.tickers(the_list(answer), read)


def candles(
    market: str, interval: str, since: int, until: int, limit: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How ``klines`` is asked: an hour is called by its minutes, the end is not included."""
    times = {"startTime": since, "endTime": until}
    named = {"1h": "60m"}.get(interval, interval)
    return (), {"symbol": market, "interval": named, "limit": limit} | times


DIALECT = Dialect(
    id="mexc",
    wallets=(
        WalletCall(
            wallet=Wallet.SPOT, call=spot("spotPrivateGetAccount", 10), parse=balances
        ),
        WalletCall(
            wallet=Wallet.FUTURES, parse=futures_balances, optional=True, rarely=True,
            call=Call("contractPrivateGetAccountAssets", 1, Pool("futures", 600)),
        ),
    ),
    feeds=(
        Feed(
            name="deposits", call=spot("spotPrivateGetCapitalDepositHisrec", 10),
            paging=Windows(timedelta(days=7), 1000), launched=OPENED, horizon=TRANSFERS_KEPT,
            rows=the_list, parse=deposit,
            stable=("coin", "amount", "address", "txId", "insertTime"),
        ),
        Feed(
            name="withdrawals", call=spot("spotPrivateGetCapitalWithdrawHistory", 1),
            paging=Windows(timedelta(days=7), 1000), launched=OPENED, horizon=TRANSFERS_KEPT,
            rows=the_list, parse=withdrawal,
        ),
        Feed(
            name="dust", call=spot("spotPrivateGetCapitalConvert", 1),
            paging=Windows(timedelta(days=90), 1000), launched=DUST_OPENED, rows=dust_rows,
            parse=dust, optional=True,
        ),
        _moves("transfers_to_futures", Wallet.SPOT, Wallet.FUTURES, ("SPOT", "FUTURES")),
        _moves("transfers_from_futures", Wallet.FUTURES, Wallet.SPOT, ("FUTURES", "SPOT")),
        Feed(  # last: the others reveal which symbols to ask for
            name="trades", call=spot("spotPrivateGetMyTrades", 10),
            paging=Windows(timedelta(days=30), 100), launched=OPENED, horizon=FILLS_KEPT,
            rows=the_list, parse=fill, scoped=True,
        ),
    ),
    error_codes={
        "401": errors.WrongKey,
        "402": errors.WrongKey,
        "602": errors.WrongKey,
        "10072": errors.WrongKey,
        "700001": errors.WrongKey,
        "700002": errors.WrongKey,
        "406": errors.AddressNotAllowed,
        "700006": errors.AddressNotAllowed,
        "701": errors.MissingPermission,
        "703": errors.MissingPermission,
        "700007": errors.MissingPermission,
        "10073": errors.WrongClock,
        "700003": errors.WrongClock,
        "429": errors.RateLimited,
        "510": errors.RateLimited,
        "-1121": errors.SymbolUnknown,
        "10007": errors.SymbolUnknown,
        "30014": errors.SymbolUnknown,
        "730001": errors.SymbolUnknown,
        "501": errors.Unreachable,
        "503": errors.Unreachable,
        "504": errors.TimedOut,
        "604": errors.OnMaintenance,
        "801": errors.OnMaintenance,
    },
    needs_markets=True,
    markets_optional=True,
    load_markets=load_markets,
    markets_call=spot("spotPublicGetExchangeInfo", 25),
    tickers_call=spot("spotPublicGetTicker24hr", 25),
    read_tickers=tickers,
    candles=CandleCall(
        call=spot("spotPublicGetKlines", 1), limit=500, asking=candles, rows=the_list
    ),
    major_quotes=frozenset({"USDT", "USDC", "BTC", "ETH", "MX", "EUR"}),
    symbols=True,
)  # fmt: skip
