"""Koinly's universal format: what was sent, what was received, the fee on top; times in UTC.

Both sides make a trade, one alone a deposit or a withdrawal, unless the label says more.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from exchanges.reports import Direction, TradeKind
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
from portfolios.ledger.legs import Fact

Side = tuple[str, Decimal]
Fee = tuple[str | None, Decimal | None]
_INCOME = {
    "airdrop": "airdrop", "fork": "airdrop", "mining": "mining", "staking": "staking",
    "reward": "reward", "income": "income", "other income": "income", "salary": "income",
    "lending interest": "interest", "loan interest": "interest", "interest": "interest",
    "cashback": "bonus", "fee refund": "bonus", "realized gain": "reward",
}  # fmt: skip
_CHARGED = {"cost": "fee", "loan fee": "fee", "margin fee": "fee", "realized loss": "fee"}


def read(lines: Sequence[Line], frame: Frame) -> Reading:
    """The facts of the file, a line each."""
    return row_by_row(lines, frame, _found)


def _found(line: Line, frame: Frame) -> Iterator[Found]:
    row = line.cells
    at = cells.instant(cells.text(row, "time"), zone=frame.zone, now=frame.now)
    sent = _side(line, "sent_quantity", "sent_asset")
    received = _side(line, "received_quantity", "received_asset")
    fee = cells.fee(row, "fee_quantity", "fee_asset")
    label = " ".join(cells.text(row, "label").lower().replace("_", " ").split())
    if sent and received:
        kind = TradeKind.CONVERSION if label == "swap" else TradeKind.FILL
        yield Found(swap(at=at, received=received, sent=sent, fee=fee, kind=kind), (line.number,))
    elif received:
        yield from _with_fee(line, at, _received(line, at, received, fee, label), fee)
    elif sent:
        yield from _with_fee(line, at, _sent(line, at, sent, fee, label), fee)
    else:
        yield from _only_fee(line, at, fee)


def _side(line: Line, quantity: str, asset: str) -> Side | None:
    if not cells.optional(line.cells, quantity):
        return None
    return cells.code(line.cells, asset), cells.positive(line.cells, quantity)


def _received(line: Line, at: datetime, side: Side, fee: Fee, label: str) -> Fact:
    code, quantity = side
    if label in _INCOME:
        return reward(_INCOME[label], at=at, code=code, quantity=quantity)
    if label == "gift":
        return adjustment("gift", at=at, code=code, quantity=quantity, note=_note(line))
    return transfer(
        Direction.DEPOSIT, at=at, code=code, quantity=quantity, fee=fee, txid=_txid(line)
    )


def _sent(line: Line, at: datetime, side: Side, fee: Fee, label: str) -> Fact:
    code, quantity = side
    if label in _CHARGED:
        return reward(_CHARGED[label], at=at, code=code, quantity=-quantity)
    if label in ("gift", "lost"):
        return adjustment(label, at=at, code=code, quantity=-quantity, note=_note(line))
    return transfer(
        Direction.WITHDRAWAL, at=at, code=code, quantity=quantity, fee=fee, txid=_txid(line)
    )


def _with_fee(line: Line, at: datetime, fact: Fact, fee: Fee) -> Iterator[Found]:
    """What has no column for a fee has it beside it."""
    yield Found(fact, (line.number,))
    if fee[0] and fee[1] and not hasattr(fact, "fee_code"):
        yield Found(reward("fee", at=at, code=fee[0], quantity=-fee[1]), ())


def _only_fee(line: Line, at: datetime, fee: Fee) -> Iterator[Found]:
    if not fee[0] or not fee[1]:
        raise RowRefused("amount_missing", "Nothing was sent and nothing received.")
    yield Found(reward("fee", at=at, code=fee[0], quantity=-fee[1]), (line.number,))


def _txid(line: Line) -> str:
    return cells.text(line.cells, "txid")


def _note(line: Line) -> str:
    return cells.text(line.cells, "note")


FORMAT = Format(
    name="koinly",
    title="Koinly universal",
    columns={
        "time": ("Date", "Koinly Date", "Date (UTC)"), "sent_quantity": ("Sent Amount",),
        "sent_asset": ("Sent Currency",), "received_quantity": ("Received Amount",),
        "received_asset": ("Received Currency",), "fee_quantity": ("Fee Amount",),
        "fee_asset": ("Fee Currency",), "label": ("Label", "Tag"), "note": ("Description",),
        "txid": ("TxHash", "Transaction Hash"),
    },
    required=frozenset(
        {"time", "sent_quantity", "sent_asset", "received_quantity", "received_asset"}
    ),
    read=read,
)  # fmt: skip
