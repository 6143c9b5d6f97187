"""Any other exchange, as far as ccxt's unified methods reach (``has``).

What an exchange lacks is not covered, and shows as such: no feed, no coverage.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from exchanges.gateway import errors, rows
from exchanges.gateway.budget import Pool
from exchanges.gateway.dialects.base import (
    CANDLE_INTERVALS,
    Call,
    CandleCall,
    Dialect,
    Feed,
    Forward,
    Holding,
    Paging,
    Surroundings,
    WalletCall,
    Windows,
    at,
    load_with_ccxt,
    the_list,
    unified_candles,
)
from exchanges.gateway.markets import Markets
from exchanges.gateway.rows import BadRow, Row
from exchanges.reports import (
    Direction,
    Fact,
    Ticker,
    Trade,
    TradeKind,
    Transfer,
    Wallet,
)

LIMIT = 100
OLDEST = at(2017)
_PENDING = ("pending", "open", "processing")
_DONE = ("ok", "closed", "completed", "success")


def balances(answer: Any, around: Surroundings) -> Iterator[Holding]:
    """The totals of a unified balance, else free and used."""
    totals = answer["total"]
    for code in totals:
        try:
            part = answer[code] if isinstance(answer.get(code), Mapping) else {}
            amount = _total(totals[code], part)
        except BadRow as problem:
            around.bad.append((str(problem), {code: answer.get(code)}))
            continue
        if amount:
            yield Holding(code, amount)


def _total(total: Any, part: Row) -> Decimal:
    if total is not None:
        return rows.number(total, field="total")
    if part.get("free") is None and part.get("used") is None:
        return Decimal()
    return rows.quantity_or_zero(part, "free") + rows.quantity_or_zero(part, "used")


def trade(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A unified trade. Several fees in several coins are not known to occur here."""
    base, quote = _pair(row)
    price = rows.quantity(row, "price")
    amount = rows.positive(rows.quantity(row, "amount"), field="amount")
    if row.get("side") not in ("buy", "sell"):
        raise BadRow("side is neither buy nor sell")
    fee_code, fee = _fee(row)
    yield Trade(
        feed="trades", exchange_id=f"{row['symbol']}:{name}", kind=TradeKind.FILL,
        symbol=f"{base}/{quote}", side=row["side"], base_code=base, base_quantity=amount,
        quote_code=quote,
        quote_quantity=rows.quantity(row, "cost") if row.get("cost") else price * amount,
        price=price, fee_code=fee_code, fee_quantity=fee, wallet=Wallet.SPOT,
        order_id=rows.text(row, "order"), occurred_at=rows.milliseconds(row, "timestamp"),
    )  # fmt: skip


def _pair(row: Row) -> tuple[str, str]:
    base, _, quote = rows.text(row, "symbol").partition("/")
    if ":" in quote:
        raise BadRow("symbol is not a spot pair")
    pair = {"base": base, "quote": quote}
    return rows.code(pair, "base"), rows.code(pair, "quote")


def _fee(row: Row) -> tuple[str | None, Decimal | None]:
    fee = row.get("fee")
    if not isinstance(fee, Mapping) or fee.get("cost") is None:
        return None, None
    return rows.fee(rows.text(fee, "currency"), rows.quantity(fee, "cost"))


def transfer(feed: str, direction: Direction | None) -> Callable[..., Iterator[Fact]]:
    """A unified transaction; ``direction`` None means that the row tells. Amounts are net."""

    def parse(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
        settled = _settled(row)
        if settled is None:
            return
        code, way = rows.code(row, "currency"), direction or _direction(row)
        fee_code, fee = _fee(row) if way is Direction.WITHDRAWAL else (None, None)
        yield Transfer(
            feed=feed, exchange_id=name, direction=way, code=code,
            quantity=rows.positive(abs(rows.quantity(row, "amount")), field="amount"),
            fee_code=fee_code or (code if fee else None), fee_quantity=fee, wallet=Wallet.SPOT,
            counter_wallet="", settled=settled, txid=rows.text(row, "txid"),
            address=rows.text(row, "address"), network=rows.text(row, "network"),
            occurred_at=rows.milliseconds(row, "timestamp"),
        )  # fmt: skip

    return parse


def _settled(row: Row) -> bool | None:
    """Whether a transaction is final; None when it failed."""
    status = rows.text(row, "status").lower()
    if status in _PENDING:
        return False
    return True if status in _DONE or not status else None


def _direction(row: Row) -> Direction:
    kind = rows.text(row, "type")
    if kind not in ("deposit", "withdrawal"):
        raise BadRow("type is neither deposit nor withdrawal")
    return Direction(kind)


def tickers(answer: Any, markets: Markets, now: datetime) -> Iterator[Ticker]:
    """Unified tickers of spot pairs; one that cannot be read is left out."""
    for symbol, row in answer.items():
        market = markets.by_id.get(symbol)
        try:
            last = rows.positive(rows.quantity(row, "last", "close"), field="last")
            opened = rows.quantity_or_zero(row, "open")
            stamp = rows.milliseconds(row, "timestamp") if row.get("timestamp") else now
        except (BadRow, AttributeError, TypeError):
            continue
        if market:
            yield Ticker(market.base, market.quote, last, opened or None, stamp)


# --- building -----------------------------------------------------------------------------------


def dialect(exchange: str) -> Dialect:
    """The dialect that ccxt's description of an exchange allows."""
    described = _described(exchange)
    per_minute = max(60_000 / (described.rateLimit or 1000), 6)  # rateLimit: ms between calls
    pool = Pool("ip", per_minute)
    feeds = tuple(_feeds(described, pool))
    return Dialect(
        id=exchange,
        wallets=(
            WalletCall(wallet=Wallet.SPOT, call=Call("fetch_balance", 1, pool), parse=balances),
        ),
        feeds=feeds,
        needs_markets=True,
        load_markets=load_with_ccxt,
        markets_call=Call("load_markets", 1, pool),
        tickers_call=Call("fetch_tickers", 1, pool),
        tickers_args=(None,),
        read_tickers=tickers,
        candles=_candles(described, pool),
        major_quotes=frozenset(["USDT", "USDC", "USD", "EUR", "BTC", "ETH"]),
        symbols=True,
    )


def _described(exchange: str) -> Any:
    import ccxt.async_support as ccxt

    if exchange not in ccxt.exchanges:
        raise errors.UnknownExchange(details={"exchange": exchange})
    return getattr(ccxt, exchange)({"enableRateLimit": False})


def _feeds(described: Any, pool: Pool) -> Iterator[Feed]:
    has = described.has
    if has.get("fetchMyTrades") is True:
        yield _trades(described, pool)
    if has.get("fetchDeposits") is True:
        yield _transfers(described, pool, "deposits", "fetch_deposits", Direction.DEPOSIT)
    if has.get("fetchWithdrawals") is True:
        yield _transfers(described, pool, "withdrawals", "fetch_withdrawals", Direction.WITHDRAWAL)
    if has.get("fetchDeposits") is not True and has.get("fetchDepositsWithdrawals") is True:
        yield _transfers(described, pool, "transfers", "fetch_deposits_withdrawals", None)


def _candles(described: Any, pool: Pool) -> CandleCall | None:
    if described.has.get("fetchOHLCV") is not True:
        return None
    limit = _features(described, "fetchOHLCV").get("limit") or LIMIT
    call = Call("fetch_ohlcv", 1, pool)
    return CandleCall(
        call=call, limit=min(limit, 1000), asking=unified_candles, rows=the_list,
        intervals=CANDLE_INTERVALS & set(described.timeframes or CANDLE_INTERVALS),
    )  # fmt: skip


def _trades(described: Any, pool: Pool) -> Feed:
    features = _features(described, "fetchMyTrades")
    return Feed(
        name="trades", call=Call("fetch_my_trades", 1, pool, unified=True),
        paging=_paging(features), launched=OLDEST,
        rows=the_list, parse=trade, scoped=bool(features.get("symbolRequired")),
        horizon=_horizon(features), when=_when,
        stable=("timestamp", "symbol", "side", "price", "amount"),
    )  # fmt: skip


def _transfers(
    described: Any, pool: Pool, name: str, method: str, direction: Direction | None
) -> Feed:
    return Feed(
        name=name, call=Call(method, 1, pool, unified=True), paging=Forward(LIMIT),
        launched=OLDEST, rows=the_list,
        parse=transfer(name, direction), optional=True,
        stable=("timestamp", "currency", "amount", "txid", "type"), when=_when,
    )  # fmt: skip


def _features(described: Any, method: str) -> Mapping[str, Any]:
    spot = (described.features or {}).get("spot") or {}
    return spot.get(method) or {}


def _paging(features: Mapping[str, Any]) -> Paging:
    limit, days = features.get("limit") or LIMIT, features.get("untilDays")
    if days:
        return Windows(timedelta(days=days), limit, since="since", until="until")
    return Forward(limit)


def _horizon(features: Mapping[str, Any]) -> timedelta | None:
    days = features.get("daysBack")
    return timedelta(days=days) if days and days < 10_000 else None


def _when(row: Row) -> datetime:
    return rows.milliseconds(row, "timestamp")
