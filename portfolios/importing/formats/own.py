"""Our own format: one line for each fact, as ``GET /ledger/export`` writes it.

It is also what any other file is read as, once a person has said which of its columns is which.
Only ``time`` and one of ``received_…`` and ``sent_…`` are needed; the type is told by them. Files
with one signed amount have it as ``quantity`` of ``asset``: above zero came in.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from exchanges.reports import Direction, TradeKind, Wallet
from portfolios.importing import cells
from portfolios.importing.cells import RowRefused
from portfolios.importing.reading import (
    Format,
    Found,
    Frame,
    Line,
    Reading,
    adjustment,
    reward,
    row_by_row,
    swap,
    transfer,
)
from portfolios.ledger.legs import Adjustment, Fact
from tracker import money

Side = tuple[str, Decimal]
COLUMNS = (
    "id", "time", "type", "received_quantity", "received_asset", "sent_quantity", "sent_asset",
    "fee_quantity", "fee_asset", "wallet", "to_wallet", "side", "detail", "cost_quantity",
    "cost_asset", "txid", "note", "account",
)  # fmt: skip
REASONS = ("opening", "correction", "fork", "airdrop", "gift", "lost")
_TRADES: Mapping[str, TradeKind] = {
    "trade": TradeKind.FILL, "buy": TradeKind.FILL, "sell": TradeKind.FILL,
    "fill": TradeKind.FILL, "exchange": TradeKind.FILL, "conversion": TradeKind.CONVERSION,
    "convert": TradeKind.CONVERSION, "swap": TradeKind.CONVERSION, "dust": TradeKind.DUST,
    "fiat": TradeKind.FIAT,
}  # fmt: skip
_TRANSFERS: Mapping[str, Direction] = {
    "deposit": Direction.DEPOSIT, "receive": Direction.DEPOSIT,
    "withdrawal": Direction.WITHDRAWAL, "withdraw": Direction.WITHDRAWAL,
    "send": Direction.WITHDRAWAL, "internal": Direction.INTERNAL,
}  # fmt: skip
_WALLETS = frozenset(Wallet)
_REWARDS = {"reward", "income", "interest", "staking", "airdrop", "mining"}


def read(lines: Sequence[Line], frame: Frame) -> Reading:
    """The facts of the file, a line each."""
    return row_by_row(lines, frame, _found)


def _found(line: Line, frame: Frame) -> Iterator[Found]:
    row = line.cells
    at = cells.instant(_plain(line, "time"), zone=frame.zone, now=frame.now)
    received, sent = _sides(line)
    kind = _plain(line, "type").lower() or _told_by(received, sent)
    fact = _fact(line, kind, at, received, sent)
    yield Found(fact, (line.number,), key=_plain(line, "id"))
    charged = cells.fee(row, "fee_quantity", "fee_asset")
    if charged[0] and charged[1] and not hasattr(fact, "fee_code"):
        beside = reward("fee", at=at, code=charged[0], quantity=-charged[1])
        key = f"{_plain(line, 'id')}:fee" if _plain(line, "id") else ""
        yield Found(beside, (), key=key)


def _fact(line: Line, kind: str, at: datetime, received: Side | None, sent: Side | None) -> Fact:
    if kind in _TRADES:
        return _trade(line, kind, at, received, sent)
    if kind in _TRANSFERS:
        return _transfer(line, _TRANSFERS[kind], at, received, sent)
    one = _only(received, sent)
    if kind == "adjustment":
        return _adjustment(line, at, one)
    if kind in _REWARDS:
        named = _plain(line, "detail") or kind
        return reward(named, at=at, code=one[0], quantity=one[1], wallet=_wallet(line, "wallet"))
    raise RowRefused("operation_unknown", "This type of entry is not known here.")


def _told_by(received: Side | None, sent: Side | None) -> str:
    if received and sent:
        return "trade"
    return "deposit" if received else "withdrawal"


def _trade(line: Line, kind: str, at: datetime, received: Side | None, sent: Side | None) -> Fact:
    if not received or not sent:
        raise RowRefused("counterpart_missing", "A trade needs what came and what went.")
    side = _plain(line, "side").lower() or (kind if kind in ("buy", "sell") else "")
    if side not in ("", "buy", "sell"):
        raise RowRefused("side_unknown", "The side is neither buy nor sell.")
    return swap(
        at=at, received=received, sent=sent, kind=_TRADES[kind], side=side or None,
        fee=cells.fee(line.cells, "fee_quantity", "fee_asset"), wallet=_wallet(line, "wallet"),
    )  # fmt: skip


def _transfer(
    line: Line, way: Direction, at: datetime, received: Side | None, sent: Side | None
) -> Fact:
    one = received if way == Direction.DEPOSIT else sent or received
    if not one:
        raise RowRefused("amount_missing", "The amount is missing.")
    wallet, other = _wallet(line, "wallet"), ""
    if way == Direction.INTERNAL:
        other = _wallet(line, "to_wallet")
        if other == wallet:
            raise RowRefused("wallet_same", "A move needs two different wallets.")
    return transfer(
        way, at=at, code=one[0], quantity=one[1], wallet=wallet, counter_wallet=other,
        fee=cells.fee(line.cells, "fee_quantity", "fee_asset"), txid=_plain(line, "txid"),
    )  # fmt: skip


def _adjustment(line: Line, at: datetime, one: Side) -> Adjustment:
    reason = _plain(line, "detail").lower() or "correction"
    if reason not in REASONS:
        raise RowRefused("reason_unknown", f"The detail is none of {', '.join(REASONS)}.")
    cost = cells.fee(line.cells, "cost_quantity", "cost_asset")
    fact = adjustment(reason, at=at, code=one[0], quantity=one[1], note=_plain(line, "note"))
    return replace(fact, cost_code=cost[0], cost_quantity=cost[1], wallet=_wallet(line, "wallet"))


def _only(received: Side | None, sent: Side | None) -> Side:
    """Units that came, or, below zero, went."""
    if received and sent:
        raise RowRefused("two_sides", "Only a trade has two sides.")
    if received:
        return received
    if sent:
        return sent[0], -sent[1]
    raise RowRefused("amount_missing", "The amount is missing.")


def _sides(line: Line) -> tuple[Side | None, Side | None]:
    if not cells.text(line.cells, "quantity"):
        received = _side(line, "received_quantity", "received_asset")
        return received, _side(line, "sent_quantity", "sent_asset")
    one = cells.code(line.cells, "asset"), cells.some(cells.amount(line.cells, "quantity"))
    return (one, None) if one[1] > 0 else (None, (one[0], -one[1]))


def _side(line: Line, quantity: str, asset: str) -> Side | None:
    """Nothing where both cells are empty; a zero is refused, as everywhere."""
    if not cells.text(line.cells, quantity):
        return None
    return cells.code(line.cells, asset), cells.positive(line.cells, quantity)


def _wallet(line: Line, column: str) -> str:
    named = _plain(line, column).lower() or Wallet.SPOT
    if named not in _WALLETS:
        raise RowRefused("wallet_unknown", f"The wallet is none of {', '.join(Wallet)}.")
    return named


def _plain(line: Line, column: str) -> str:
    """Text without the apostrophe that keeps spreadsheets from running it."""
    written = cells.text(line.cells, column)
    return written[1:].strip() if written[:1] == "'" and is_formula(written[1:]) else written


# --- writing ------------------------------------------------------------------------------------
# What a spreadsheet takes for a formula at the beginning of a text (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")


def is_formula(written: str) -> bool:
    """Whether a spreadsheet would run this text (or has it begin with our apostrophe)."""
    return written.lstrip(" ").startswith(_FORMULA)


def harmless(written: str) -> str:
    """Text that no spreadsheet runs, and that ``read`` takes for what it was."""
    return f"'{written}" if is_formula(written) else written


def amount(number: Decimal | None) -> str:
    """A number without an exponent; nothing for none."""
    return "" if number is None else money.to_text(number)


FORMAT = Format(
    name="own",
    title="Our own",
    columns={
        name: (name, *names)
        for name, names in {
            **dict.fromkeys(COLUMNS, ()),
            "time": ("Date", "Timestamp", "Datetime", "Date UTC"),
            "received_quantity": ("Received Amount", "Amount Received"),
            "received_asset": ("Received Currency",),
            "sent_quantity": ("Sent Amount", "Amount Sent"),
            "sent_asset": ("Sent Currency",),
            "fee_quantity": ("Fee", "Fee Amount"),
            "fee_asset": ("Fee Currency",),
            "quantity": ("Amount",),
            "asset": ("Currency", "Coin", "Symbol"),
        }.items()
        if name != "account"
    },
    required=frozenset({"time"}),
    read=read,
    distinctive=frozenset(
        {"time", "received_quantity", "received_asset", "sent_quantity", "sent_asset"}
    ),
)  # fmt: skip
