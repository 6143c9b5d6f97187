"""Bitstamp: one wallet, and one list of transactions of every kind, read by ascending id."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from exchanges.gateway import errors, rows
from exchanges.gateway.budget import Pool
from exchanges.gateway.dialects import generic
from exchanges.gateway.dialects.base import (
    Call,
    CandleCall,
    Dialect,
    Feed,
    Holding,
    Ids,
    Surroundings,
    WalletCall,
    at,
    load_with_ccxt,
    the_list,
    unified_candles,
)
from exchanges.gateway.rows import BadRow, Row
from exchanges.reports import Direction, Fact, Reward, Trade, TradeKind, Transfer, Wallet

IP = Pool("ip", 1000)
_NOT_COINS = {
    "id", "type", "datetime", "fee", "order_id", "status", "price", "self_trade", "market", "pair",
    "side",
}  # fmt: skip
_DEPOSIT, _WITHDRAWAL, _TRADE = "0", "1", "2"
_SUB_ACCOUNT, _SETTLEMENT, _BETWEEN = "14", "33", "35"
_UNSTAKED, _STAKED, _STAKING_REWARD, _REFERRAL = "25", "26", "27", "32"
_MOVES = (_DEPOSIT, _WITHDRAWAL, _SUB_ACCOUNT, _SETTLEMENT, _BETWEEN)
_CLOSE = Decimal("0.01")


def balances(answer: Any, around: Surroundings) -> Iterator[Holding]:
    """Totals, from ``account_balances`` (a list) or the older ``balance`` (``btc_balance`` …)."""
    for row in _listed(answer):
        try:
            code, total = rows.code(row, "currency").upper(), rows.quantity(row, "total")
        except (BadRow, AttributeError) as problem:
            around.bad.append((str(problem), row))
            continue
        if total:
            yield Holding(code, total)


def _listed(answer: Any) -> list[Any]:
    if isinstance(answer, list):
        return answer
    totals = ((name, total) for name, total in answer.items() if name.endswith("_balance"))
    return [{"currency": name.removesuffix("_balance"), "total": total} for name, total in totals]


def transaction(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """Whatever a row is: trade, deposit, withdrawal, move or reward."""
    kind, amounts = rows.text(row, "type"), _amounts(row)
    if kind == _TRADE:
        yield _trade(row, name, amounts)
    elif kind in _MOVES:
        yield _transfer(row, name, kind, amounts)
    elif kind in (_STAKED, _UNSTAKED):
        yield _staked(row, name, kind, amounts)
    elif kind in (_STAKING_REWARD, _REFERRAL):
        code, amount = _only(amounts)
        reason = "staking" if kind == _STAKING_REWARD else "referral"
        yield Reward("rewards", name, reason, code, amount, Wallet.SPOT, _when(row))
    elif amounts:
        raise BadRow("the type of transaction is unknown")


def _amounts(row: Row) -> dict[str, Decimal]:
    """Signed quantities by code; the row names every coin it knows, most of them with 0."""
    coins = [key for key in row if key not in _NOT_COINS and "_" not in key]
    found = {coin.upper(): rows.quantity_or_zero(row, coin) for coin in coins}
    return {code: amount for code, amount in found.items() if amount}


def _only(amounts: Mapping[str, Decimal]) -> tuple[str, Decimal]:
    if len(amounts) != 1:
        raise BadRow("not exactly one coin moved")
    return next(iter(amounts.items()))


def _when(row: Row) -> Any:
    return rows.moment(row, "datetime")


def _trade(row: Row, name: str, amounts: Mapping[str, Decimal]) -> Trade:
    base, quote = _pair(row, amounts)
    amount, paid = abs(amounts[base]), abs(amounts[quote])
    fee_code, fee = rows.fee(quote, rows.quantity_or_zero(row, "fee"))
    price = rows.quantity_or_zero(row, f"{base}_{quote}".lower())
    if abs(price * amount - paid) > _CLOSE * paid:
        price = paid / amount  # what changed hands is the truth
    return Trade(
        feed="trades", exchange_id=name, kind=TradeKind.FILL, symbol=f"{base}/{quote}",
        side="buy" if amounts[base] > 0 else "sell", base_code=base, base_quantity=amount,
        quote_code=quote, quote_quantity=paid, price=price, fee_code=fee_code, fee_quantity=fee,
        wallet=Wallet.SPOT, order_id=rows.text(row, "order_id"), occurred_at=_when(row),
    )  # fmt: skip


def _pair(row: Row, amounts: Mapping[str, Decimal]) -> tuple[str, str]:
    """Base and quote: the field named after both (``btc_usd``) holds the price."""
    for key in row:
        base, joined, quote = key.upper().partition("_")
        if joined and key not in _NOT_COINS and base in amounts and quote in amounts:
            return base, quote
    raise BadRow("the pair is missing")


def _transfer(row: Row, name: str, kind: str, amounts: Mapping[str, Decimal]) -> Transfer:
    code, amount = _only(amounts)
    leaving = kind == _WITHDRAWAL or (kind != _DEPOSIT and amount < 0)
    way = Direction.WITHDRAWAL if leaving else Direction.DEPOSIT
    return _move(row, name, way, code, abs(amount), rows.quantity_or_zero(row, "fee"))


def _staked(row: Row, name: str, kind: str, amounts: Mapping[str, Decimal]) -> Transfer:
    code, amount = _only(amounts)
    wallets = (Wallet.SPOT, Wallet.EARN) if kind == _STAKED else (Wallet.EARN, Wallet.SPOT)
    return _move(row, name, Direction.INTERNAL, code, abs(amount), Decimal(), wallets)


def _move(
    row: Row, name: str, way: Direction, code: str, amount: Decimal, fee: Decimal,
    wallets: tuple[str, str] = (Wallet.SPOT, ""),
) -> Transfer:  # fmt: skip
    fee_code, fee_quantity = rows.fee(code, fee)
    return Transfer(
        feed="transfers", exchange_id=name, direction=way, code=code, quantity=amount,
        fee_code=fee_code, fee_quantity=fee_quantity, wallet=wallets[0],
        counter_wallet=wallets[1], settled=True, txid="", address="", network="",
        occurred_at=_when(row),
    )  # fmt: skip


DIALECT = Dialect(
    id="bitstamp",
    wallets=(
        WalletCall(
            wallet=Wallet.SPOT, parse=balances,
            call=Call("privatePostAccountBalances", 1, IP),
            otherwise=Call("privatePostBalance", 1, IP),
        ),
    ),
    feeds=(
        Feed(
            name="transactions",
            call=Call("privatePostUserTransactions", 1, IP, fixed={"sort": "asc"}),
            paging=Ids(1000, param="since_id", first=1), launched=at(2011, 8), rows=the_list,
            parse=transaction,
        ),
    ),
    error_codes={
        "API0001": errors.WrongKey,
        "API0002": errors.AddressNotAllowed,
        "API0003": errors.MissingPermission,
        "API0004": errors.WrongClock,
        "API0005": errors.WrongKey,
        "API0006": errors.WrongKey,
        "API0011": errors.WrongKey,
        "API0017": errors.WrongClock,
        "API0018": errors.WrongClock,
    },
    load_markets=load_with_ccxt,
    tickers_args=(None,),
    read_tickers=generic.tickers,
    candles=CandleCall(
        call=Call("fetch_ohlcv", 1, IP), limit=1000, asking=unified_candles, rows=the_list
    ),
)  # fmt: skip
