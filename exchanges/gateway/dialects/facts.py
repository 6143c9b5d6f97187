"""Facts and holdings, built from what the rows of most exchanges tell under other names.

A dialect says where a field lies; what a fact needs, how a bad row is noted and how a fee or a
debt is counted is the same everywhere and stands here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from exchanges.gateway import rows
from exchanges.gateway.dialects.base import Holding, Rows, Surroundings
from exchanges.gateway.markets import Market, Markets
from exchanges.gateway.rows import BadRow, Row
from exchanges.reports import (
    Direction,
    Privileges,
    Reward,
    Ticker,
    Trade,
    TradeKind,
    Transfer,
    Wallet,
)

Names = Mapping[str, str]  # an exchange's own code -> the code that is unique
Meanings = Mapping[str, bool | None]  # status -> settled, pending, or None: nothing moved
Quantity = Callable[[Row], Decimal]
Fee = tuple[str | None, Decimal]
PENDING, SETTLED = False, True
_NO_NAMES: Names = {}
_NO_FEE: Fee = (None, Decimal())
_IN_SECONDS = 100_000_000_000  # a smaller stamp counts seconds, a larger one milliseconds


# --- fields -------------------------------------------------------------------------------------


def coin(row: Row, *fields: str, names: Names = _NO_NAMES) -> str:
    """A coin's code, under the name that is unique. Raises BadRow."""
    code = rows.code(row, *fields)
    return names.get(code, code)


def pair(symbol: str, separator: str, *, names: Names = _NO_NAMES) -> tuple[str, str]:
    """Base and quote of a symbol that has a separator. Raises BadRow."""
    base, found, quote = symbol.partition(separator)
    if not found or separator in quote:
        raise BadRow("symbol is not a spot pair")
    parts = {"base": base, "quote": quote}
    return coin(parts, "base", names=names), coin(parts, "quote", names=names)


def side(row: Row, field: str = "side") -> str:
    """``buy`` or ``sell``. Raises BadRow."""
    found = rows.text(row, field).lower()
    if found not in ("buy", "sell"):
        raise BadRow(f"{field} is neither buy nor sell")
    return found


def outcome(row: Row, meanings: Meanings, field: str = "status") -> bool | None:
    """Whether a transfer is settled; None when nothing moved. Raises BadRow."""
    status = rows.text(row, field).lower()
    if status not in meanings:
        raise BadRow(f"{field} is unknown")
    return meanings[status]


def moment(row: Row, *fields: str) -> datetime:
    """The instant that one of ``fields`` gives in milliseconds or in seconds. Raises BadRow."""
    small = abs(rows.quantity(row, *fields)) < _IN_SECONDS
    return rows.seconds(row, *fields) if small else rows.milliseconds(row, *fields)


def first(*fields: str) -> Quantity:
    """The first of ``fields`` that is there."""
    return lambda row: rows.quantity(row, *fields)


def balance_of(*parts: str, less: tuple[str, ...] = ()) -> Quantity:
    """The sum of ``parts``, of which the first must be there, less what is owed."""

    def quantity(row: Row) -> Decimal:
        total = rows.quantity(row, parts[0])
        total += sum((rows.quantity_or_zero(row, part) for part in parts[1:]), Decimal())
        return total - sum((rows.quantity_or_zero(row, part) for part in less), Decimal())

    return quantity


def holdings(
    listed: Rows, code: str, quantity: Quantity, *, names: Names = _NO_NAMES
) -> Callable[[Any, Surroundings], Iterator[Holding]]:
    """Parses balances: one row per coin. A row that cannot be read is noted."""

    def parse(answer: Any, around: Surroundings) -> Iterator[Holding]:
        for row in listed(answer):
            try:
                held = Holding(coin(row, code, names=names), quantity(row))
            except (BadRow, AttributeError, TypeError) as problem:
                around.bad.append((str(problem), row))
                continue
            if held.quantity:
                yield held

    return parse


def earned(
    parse: Callable[[Any, Surroundings], Iterator[Holding]],
) -> Callable[[Any, Surroundings], Iterator[Holding]]:
    """The same balances; having one in earn is worth remembering."""

    def noting(answer: Any, around: Surroundings) -> Iterator[Holding]:
        for holding in parse(answer, around):
            around.earn_seen = True
            yield holding

    return noting


# --- facts --------------------------------------------------------------------------------------


def fill(
    name: str, *, of: tuple[str, str], side: str, amount: Decimal, price: Decimal,
    occurred_at: datetime, paid: Decimal | None = None, fee: Fee = _NO_FEE,
    wallet: str = Wallet.SPOT, order_id: str = "",
) -> Trade:  # fmt: skip
    """A fill; without ``paid`` it is amount x price. A fee below 0 is a rebate."""
    fee_code, fee_quantity = rows.fee(*fee)
    return Trade(
        feed="trades", exchange_id=name, kind=TradeKind.FILL, symbol=f"{of[0]}/{of[1]}", side=side,
        base_code=of[0], base_quantity=rows.positive(amount, field="amount"), quote_code=of[1],
        quote_quantity=paid if paid else price * amount, price=price, fee_code=fee_code,
        fee_quantity=fee_quantity, wallet=wallet, order_id=order_id, occurred_at=occurred_at,
    )  # fmt: skip


def further_fees(trade: Trade, fees: Iterable[Fee]) -> Iterator[Reward]:
    """What a fill cost beyond the one fee that a trade holds."""
    for place, (code, amount) in enumerate(fees, start=2):
        if code and amount:
            yield Reward(
                trade.feed, f"{trade.exchange_id}:fee{place}", "fee", code, -amount, trade.wallet,
                trade.occurred_at,
            )  # fmt: skip


def swap(
    name: str, *, feed: str, kind: TradeKind, sold: tuple[str, Decimal],
    bought: tuple[str, Decimal], occurred_at: datetime, fee: Fee = _NO_FEE,
    wallet: str = Wallet.SPOT,
) -> Trade:  # fmt: skip
    """One coin given (the base) for another, outside the order book."""
    amount = rows.positive(sold[1], field="amount given")
    received = rows.positive(bought[1], field="amount received")
    fee_code, fee_quantity = rows.fee(*fee)
    return Trade(
        feed=feed, exchange_id=name, kind=kind, symbol=f"{sold[0]}/{bought[0]}", side="sell",
        base_code=sold[0], base_quantity=amount, quote_code=bought[0], quote_quantity=received,
        price=received / amount, fee_code=fee_code, fee_quantity=fee_quantity, wallet=wallet,
        order_id=name, occurred_at=occurred_at,
    )  # fmt: skip


def transfer(
    name: str, direction: Direction, *, code: str, quantity: Decimal, settled: bool,
    occurred_at: datetime, wallet: str, feed: str = "", fee: Decimal = Decimal(),
    txid: str = "", address: str = "", network: str = "", counter_wallet: str = "",
) -> Transfer:  # fmt: skip
    """A deposit, a withdrawal (``quantity`` is what arrives there) or an internal move."""
    fee_code, fee_quantity = rows.fee(code, fee)
    return Transfer(
        feed=feed or f"{direction}s", exchange_id=name, direction=direction, code=code,
        quantity=rows.positive(quantity, field="amount"), fee_code=fee_code,
        fee_quantity=fee_quantity, wallet=wallet, counter_wallet=counter_wallet, settled=settled,
        txid=txid, address=address, network=network, occurred_at=occurred_at,
    )  # fmt: skip


def move(
    name: str, *, code: str, quantity: Decimal, source: str, target: str, occurred_at: datetime
) -> Transfer:
    """Coins that went from one wallet of the account to another."""
    return transfer(
        name, Direction.INTERNAL, code=code, quantity=quantity, settled=True, wallet=source,
        counter_wallet=target, occurred_at=occurred_at, feed="transfers",
    )  # fmt: skip


def moved_by(
    name: str, change: Decimal, *, code: str, here: str, there: str, occurred_at: datetime
) -> Transfer:
    """The same, as the ledger of one wallet (``here``) tells it: below 0, coins left it."""
    source, target = (here, there) if change < 0 else (there, here)
    return move(
        name, code=code, quantity=abs(change), source=source, target=target,
        occurred_at=occurred_at,
    )  # fmt: skip


def net_of(gross: Decimal, fee: Decimal) -> Decimal:
    """What arrives, where the exchange tells a withdrawal with its fee inside.

    An amount that is not above its fee cannot contain it.
    """
    return gross - fee if gross > fee else gross


# --- keys and prices ----------------------------------------------------------------------------


def by_words(allowed: str, *, trade: tuple[str, ...], withdraw: tuple[str, ...]) -> Privileges:
    """What a key may do, from the words that the exchange uses for it."""
    words = allowed.lower()
    if any(word in words for word in withdraw):
        return Privileges.WITHDRAW
    return Privileges.TRADE if any(word in words for word in trade) else Privileges.READ_ONLY


def bound(addresses: Any) -> bool | None:
    """Whether a key works from some addresses only: told as text, or as a list (``*`` for any)."""
    if not isinstance(addresses, (str, list)):
        return None
    return bool(addresses) and addresses not in ("*", ["*"], [""])


def markets(
    listed: Iterable[Row], *, name: str, base: str, quote: str, names: Names = _NO_NAMES
) -> Markets:
    """The spot list of an exchange; entries without a name or a coin are left out."""
    return Markets(
        Market(row[name], names.get(row[base], row[base]), names.get(row[quote], row[quote]))
        for row in listed
        if row.get(name) and row.get(base) and row.get(quote)
    )


def tickers(
    listed: Iterable[Row], found: Markets, now: datetime, *, name: str, last: str,
    opened: Callable[[Row, Decimal], Decimal], stamp: str = "",
) -> Iterator[Ticker]:  # fmt: skip
    """Spot prices; a row that cannot be read is left out. ``opened`` reads the price a day ago."""
    for row in listed:
        try:
            market = found.by_id[row[name]]
            price = rows.positive(rows.quantity(row, last), field=last)
            before = opened(row, price)
            at = rows.milliseconds(row, stamp) if stamp and row.get(stamp) else now
        except (BadRow, KeyError, TypeError, AttributeError, ArithmeticError):
            continue
        yield Ticker(market.base, market.quote, price, before if before > 0 else None, at)
