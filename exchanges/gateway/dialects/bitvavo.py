"""Bitvavo: one wallet, fills by market, transfers, and a list of all transactions.

Fills are shown to keys that may trade only; a key that may but read finds its purchases and sales
in the list of transactions, which is asked for them instead. Otherwise that list tells what no
other does: staking, referrals, rebates, corrections. A withdrawal's amount is net, its fee is on
top. Deposits and withdrawals have no numbers. What a key may do cannot be asked.
"""

from collections.abc import Callable, Iterator
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
from exchanges.reports import Direction, Fact, Reward, Ticker, Wallet

OPENED = at(2018, 5)
KEY = Pool("key", 1000)  # weight by minute and key
IP = Pool("ip", 1000)
CODES = {"MIOTA": "IOTA"}
_PAGES = Windows(timedelta(days=20 * 365), 1000, since="start", until="end")
_LIST_PAGES = Windows(
    timedelta(days=20 * 365), 100, since="fromDate", until="toDate", size="maxItems"
)
_DEPOSITS: shapes.Meanings = {
    "completed": True, "canceled": None, "cancelled": None, "rejected": None, "failed": None,
    "pending": False, "processing": False, "awaiting_processing": False, "confirming": False,
    "awaiting_bitvavo_inspection": False, "in_mempool": False,
}  # fmt: skip
_WITHDRAWALS: shapes.Meanings = {
    "completed": True, "canceled": None, "cancelled": None, "rejected": None, "failed": None,
    "awaiting_processing": False, "awaiting_email_confirmation": False,
    "awaiting_bitvavo_inspection": False, "approved": False, "sending": False,
    "in_mempool": False, "processed": False, "pending": False,
}  # fmt: skip
_REWARDS = {
    "staking": "staking", "fixed_staking": "staking", "affiliate": "referral",
    "rebate": "rebate", "distribution": "airdrop", "loan": "interest",
}  # fmt: skip
_CORRECTIONS = {"manually_assigned", "manually_assigned_bitvavo"}
_MOVES = {"internal_transfer", "external_transferred_funds"}
_ELSEWHERE = {"deposit", "withdrawal", "withdrawal_cancelled"}  # in the lists of transfers
_TRADES = {"buy", "sell"}


def private(method: str, weight: float) -> Call:
    """A private call; Bitvavo counts its weight by key."""
    return Call(method, weight, KEY, per_account=True)


def code(row: Row, field: str) -> str:
    """A coin's code."""
    found = rows.code(row, field)
    return CODES.get(found, found)


def balances(answer: Any, around: Surroundings) -> Iterator[Holding]:
    """What is free, and what is in orders."""
    return shapes.held(the_list(answer), around, _held)


def _held(row: Row) -> Holding:
    total = rows.quantity(row, "available") + rows.quantity_or_zero(row, "inOrder")
    return Holding(code(row, "symbol"), total)


def fill(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A fill; a fee below 0 is a rebate."""
    base, dash, quote = rows.code(row, "market").partition("-")
    if not (base and dash and quote):
        raise BadRow("market is unknown")
    charged = rows.quantity_or_zero(row, "fee")
    yield shapes.fill(
        name, (CODES.get(base, base), CODES.get(quote, quote)), shapes.side(row),
        amount=rows.quantity(row, "amount"), price=rows.quantity(row, "price"),
        fee=rows.fee(code(row, "feeCurrency") if charged else None, charged),
        order_id=rows.text(row, "orderId"), occurred_at=rows.milliseconds(row, "timestamp"),
    )  # fmt: skip


def transfer(
    way: Direction, meanings: shapes.Meanings
) -> Callable[[Row, str, Surroundings], Iterator[Fact]]:
    """A deposit or withdrawal; the amount is net."""

    def parse(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
        done = shapes.settled(row, meanings, "status")
        if done is not None:
            yield shapes.transfer(
                f"{way}s", name, way, code(row, "symbol"), rows.quantity(row, "amount"),
                fee=abs(rows.quantity_or_zero(row, "fee")), done=done,
                occurred_at=rows.milliseconds(row, "timestamp"), txid=rows.text(row, "txId"),
                address=rows.text(row, "address"),
            )  # fmt: skip

    return parse


# --- the list of all transactions ---------------------------------------------------------------


def transaction(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """What neither fills nor transfers tell; and which coins were traded."""
    kind = rows.text(row, "type").lower()
    if kind in _TRADES:
        around.seen |= {code(row, "sentCurrency"), code(row, "receivedCurrency")}
    elif kind in _REWARDS or kind in _CORRECTIONS:
        coin, amount = _moved(row)
        word = _REWARDS.get(kind, "adjustment")
        yield Reward("rewards", name, word, coin, amount, Wallet.SPOT, _when(row))
    elif kind in _MOVES:
        coin, amount = _moved(row)
        way = Direction.DEPOSIT if amount > 0 else Direction.WITHDRAWAL
        yield shapes.transfer(
            "transfers", name, way, coin, abs(amount), occurred_at=_when(row),
            address=rows.text(row, "address"),
        )  # fmt: skip
    elif kind not in _ELSEWHERE:
        raise BadRow("type is unknown")


def _moved(row: Row) -> tuple[str, Decimal]:
    """Coin and amount, below 0 where it was sent."""
    if row.get("receivedAmount") not in (None, ""):
        return code(row, "receivedCurrency"), rows.quantity(row, "receivedAmount")
    return code(row, "sentCurrency"), -rows.quantity(row, "sentAmount")


def _when(row: Row) -> datetime:
    return rows.moment(row, "executedAt")


def purchase(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A purchase or sale as the list tells it; what was sent and received is without the fee."""
    kind = rows.text(row, "type").lower()
    if kind not in _TRADES:
        return
    ends = [
        (code(row, f"{end}Currency"), rows.quantity(row, f"{end}Amount"))
        for end in (("received", "sent") if kind == "buy" else ("sent", "received"))
    ]
    (base, amount), (quote, paid) = ends
    amount, charged = (
        rows.positive(amount, field="amount"),
        rows.quantity_or_zero(row, "feesAmount"),
    )
    price = rows.quantity(row, "priceAmount") if row.get("priceAmount") else paid / amount
    yield shapes.fill(
        name, (base, quote), kind, amount=amount, price=price, paid=paid,
        fee=rows.fee(code(row, "feesCurrency") if charged else None, charged),
        occurred_at=_when(row),
    )  # fmt: skip


# --- the rest -----------------------------------------------------------------------------------


async def load_markets(client: Any) -> Markets:
    """All markets, straight from the plain list."""
    answer = await client.publicGetMarkets()
    return Markets(
        Market(row["market"], code(row, "base"), code(row, "quote")) for row in the_list(answer)
    )


def tickers(answer: Any, markets: Markets, now: datetime) -> Iterator[Ticker]:
    """``ticker/24h`` of all markets."""

    def read(row: Row) -> Ticker | None:
        opened = rows.quantity_or_zero(row, "open")
        stamp = rows.milliseconds(row, "timestamp") if row.get("timestamp") else now
        return shapes.ticker(markets, row["market"], rows.quantity(row, "last"), opened, stamp)

    return shapes.tickers(the_list(answer), read)


def candles(
    market: str, interval: str, since: int, until: int, limit: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How ``candles`` is asked."""
    times = {"start": since, "end": until - 1}
    return (), {"market": market, "interval": interval, "limit": limit} | times


def _transfers(name: str, method: str, parse: Any) -> Feed:
    return Feed(
        name=name, parse=parse, rows=the_list, launched=OPENED, call=private(method, 5),
        paging=_PAGES, stable=("timestamp", "symbol", "amount", "address"),
    )  # fmt: skip


def _listed(name: str, parse: Any, **more: Any) -> Feed:
    return Feed(
        name=name, parse=parse, rows=under("items"), launched=OPENED, id_field="transactionId",
        call=private("privateGetAccountHistory", 1), paging=_LIST_PAGES, **more,
    )  # fmt: skip


DIALECT = Dialect(
    id="bitvavo",
    wallets=(
        WalletCall(wallet=Wallet.SPOT, parse=balances, call=private("privateGetBalance", 5)),
    ),
    feeds=(
        _transfers(
            "deposits", "privateGetDepositHistory", transfer(Direction.DEPOSIT, _DEPOSITS)
        ),
        _transfers(
            "withdrawals", "privateGetWithdrawalHistory",
            transfer(Direction.WITHDRAWAL, _WITHDRAWALS),
        ),
        _listed("transactions", transaction),
        Feed(  # after the others: they reveal which markets to ask for
            name="trades", parse=fill, rows=the_list, launched=OPENED, paging=_PAGES,
            call=private("privateGetTrades", 5), scoped=True, scope_param="market",
            optional=True,
        ),
        _listed("purchases", purchase, instead_of="trades"),
    ),
    error_codes={
        "103": errors.RateLimited,
        "104": errors.RateLimited,
        "105": errors.RateLimited,
        "107": errors.Unreachable,
        "108": errors.Unreachable,
        "109": errors.TimedOut,
        "300": errors.WrongKey,
        "301": errors.WrongKey,
        "305": errors.WrongKey,
        "306": errors.WrongKey,
        "308": errors.WrongKey,
        "309": errors.WrongKey,
        "302": errors.WrongClock,
        "304": errors.WrongClock,
        "307": errors.AddressNotAllowed,
        "310": errors.MissingPermission,
        "311": errors.MissingPermission,
        "312": errors.MissingPermission,
        "317": errors.WrongKey,
        "market parameter is invalid": errors.SymbolUnknown,
    },
    limits_by_key=True,
    needs_markets=True,
    markets_optional=True,
    load_markets=load_markets,
    markets_call=Call("publicGetMarkets", 1, IP),
    tickers_call=Call("publicGetTicker24h", 25, IP),
    read_tickers=tickers,
    candles=CandleCall(
        call=Call("publicGetMarketCandles", 1, IP), limit=1440, asking=candles, rows=the_list
    ),
    major_quotes=frozenset({"EUR", "USDC", "BTC"}),
    symbols=True,
)  # fmt: skip
