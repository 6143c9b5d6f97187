"""Shapes that several exchanges share: rows of a balance, a fill, a transfer with its status."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from exchanges.gateway import rows
from exchanges.gateway.dialects.base import Holding, Surroundings
from exchanges.gateway.markets import Markets
from exchanges.gateway.rows import BadRow, Row
from exchanges.reports import Direction, Ticker, Trade, TradeKind, Transfer, Wallet

ROW_FAULTS = (BadRow, KeyError, TypeError, IndexError, AttributeError, ValueError)
Meanings = Mapping[str, bool | None]  # status -> settled, pending (False) or failed (None)
Pair = tuple[str, str]


def held(
    found: Iterable[Any], around: Surroundings, read: Callable[[Any], Holding | None]
) -> Iterator[Holding]:
    """Holdings row by row, zeros left out; a row that cannot be read is noted as bad."""
    for row in found:
        try:
            holding = read(row)
        except ROW_FAULTS as problem:
            around.bad.append((str(problem), row))
            continue
        if holding and holding.quantity:
            yield holding


def settled(row: Row, meanings: Meanings, *fields: str) -> bool | None:
    """True when final, False while pending, None when it failed. Raises BadRow."""
    status = rows.text(row, *fields).lower()
    if status not in meanings:
        raise BadRow("status is unknown")
    return meanings[status]


def side(row: Row, field: str = "side") -> str:
    """``buy`` or ``sell``, from a word or the beginning of one. Raises BadRow."""
    word = rows.text(row, field).lower()
    found = next((known for known in ("buy", "sell") if word.startswith(known)), None)
    if found is None:
        raise BadRow(f"{field} is neither buy nor sell")
    return found


def fill(
    name: str, pair: Pair, way: str, *, amount: Decimal, price: Decimal, occurred_at: datetime,
    paid: Decimal | None = None, fee: tuple[str | None, Decimal | None] = (None, None),
    wallet: str = Wallet.SPOT, order_id: str = "", feed: str = "trades",
    kind: TradeKind = TradeKind.FILL,
) -> Trade:  # fmt: skip
    """A fill; ``paid`` is what the exchange says changed hands, else amount x price."""
    base, quote = pair
    paid = rows.product(amount, price) if paid is None else paid
    return Trade(
        feed=feed, exchange_id=name, kind=kind, symbol=f"{base}/{quote}", side=way,
        base_code=base, base_quantity=rows.positive(abs(amount), field="amount"),
        quote_code=quote, quote_quantity=abs(paid),
        price=price, fee_code=fee[0], fee_quantity=fee[1], wallet=wallet, order_id=order_id,
        occurred_at=occurred_at,
    )  # fmt: skip


def swap(
    name: str, sold: tuple[str, Decimal], bought: tuple[str, Decimal], *, occurred_at: datetime,
    feed: str, kind: TradeKind = TradeKind.CONVERSION,
    fee: tuple[str | None, Decimal | None] = (None, None), order_id: str = "",
) -> Trade:  # fmt: skip
    """One coin given for another outside of any order book."""
    given = rows.positive(abs(sold[1]), field="amount given")
    received = rows.positive(abs(bought[1]), field="amount received")
    return fill(
        name, (sold[0], bought[0]), "sell", amount=given, price=received / given, paid=received,
        fee=fee, occurred_at=occurred_at, feed=feed, kind=kind, order_id=order_id,
    )  # fmt: skip


def transfer(
    feed: str, name: str, way: Direction, code: str, quantity: Decimal, *, occurred_at: datetime,
    fee: Decimal = Decimal(), fee_code: str = "", done: bool = True, wallet: str = Wallet.SPOT,
    counter_wallet: str = "", txid: str = "", address: str = "", network: str = "",
) -> Transfer:  # fmt: skip
    """A transfer of ``quantity``, net; the fee is on top, in the same coin unless it is named."""
    charged_in, fee_quantity = rows.fee(fee_code or code, fee)
    return Transfer(
        feed=feed, exchange_id=name, direction=way, code=code,
        quantity=rows.positive(quantity, field="amount"), fee_code=charged_in,
        fee_quantity=fee_quantity, wallet=wallet, counter_wallet=counter_wallet, settled=done,
        txid=txid, address=address, network=network, occurred_at=occurred_at,
    )  # fmt: skip


def tickers(found: Iterable[Any], read: Callable[[Any], Ticker | None]) -> Iterator[Ticker]:
    """Tickers of listed spot markets; one that cannot be read is left out."""
    for row in found:
        try:
            ticker = read(row)
        except ROW_FAULTS:
            continue
        if ticker:
            yield ticker


def ticker(
    markets: Markets, market_id: str, last: Decimal, opened: Decimal | None, as_of: datetime
) -> Ticker | None:
    """A ticker of a listed market, else None. Raises BadRow when the price is not above 0."""
    market = markets.by_id.get(market_id)
    if market is None:
        return None
    last = rows.positive(last, field="last")
    return Ticker(market.base, market.quote, last, opened or None, as_of)
