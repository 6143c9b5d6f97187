"""CoinTracking's table of transactions and its generic import.

A fee in the coin of one side is part of that side's amount there (100 USD sold with a fee of 2 USD
are 98 and 2); a fee in a third coin is on top.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from exchanges.reports import Direction, Reward
from exchanges.reports import Fact as Told
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
from portfolios.ledger.legs import Adjustment

Side = tuple[str, Decimal]
Fee = tuple[str | None, Decimal | None]
_INCOME = {
    "income": "income", "mining": "mining", "mining (commercial)": "mining", "staking": "staking",
    "airdrop": "airdrop", "airdrop (non taxable)": "airdrop", "interest income": "interest",
    "lending income": "interest", "reward / bonus": "bonus", "reward/bonus": "bonus",
    "masternode": "staking", "minting": "staking", "dividends income": "reward",
    "other income": "income", "income (non taxable)": "income", "hard fork": "airdrop",
    "lp rewards": "reward", "gift/tip": "", "gift": "",
}  # fmt: skip
_GIVEN = {"gift": "gift", "lost": "lost", "stolen": "lost"}
_CHARGED = {"other fee", "borrowing fee", "settlement fee", "margin fee", "other expense"}
_LEAVING = {"withdrawal", "spend", "donation", "expense (non taxable)"}


def read(lines: Sequence[Line], frame: Frame) -> Reading:
    """The facts of the file, a line each."""
    return row_by_row(lines, frame, _found)


def _found(line: Line, frame: Frame) -> Iterator[Found]:
    row = line.cells
    kind = " ".join(cells.text(row, "type").lower().split())
    at = cells.instant(cells.text(row, "time"), zone=frame.zone, now=frame.now)
    bought = _side(line, "bought_quantity", "bought_asset")
    sold = _side(line, "sold_quantity", "sold_asset")
    fee = cells.fee(row, "fee_quantity", "fee_asset")
    yield from _facts(line, kind, at, bought, sold, fee)


def _side(line: Line, quantity: str, asset: str) -> Side | None:
    if not cells.optional(line.cells, quantity):
        return None
    return cells.code(line.cells, asset), cells.positive(line.cells, quantity)


def _facts(
    line: Line, kind: str, at: datetime, bought: Side | None, sold: Side | None, fee: Fee
) -> Iterator[Found]:
    lines = (line.number,)
    if bought and sold:
        received, sent = _gross(bought, fee), _net(sold, fee)
        yield Found(swap(at=at, received=received, sent=sent, fee=fee), lines)
    elif bought:
        yield from _with_fee(line, at, _came(line, kind, at, bought, fee), fee)
    elif sold:
        yield from _with_fee(line, at, _went(line, kind, at, sold, fee), fee)
    else:
        raise RowRefused("amount_missing", "Nothing was bought and nothing sold.")


def _with_fee(line: Line, at: datetime, fact: Told | Adjustment, fee: Fee) -> Iterator[Found]:
    """What has no column for a fee has one in a third coin beside it; one in its own coin is in
    its amount."""
    yield Found(fact, (line.number,))
    kept_apart = isinstance(fact, Reward | Adjustment) and fee[0] != fact.code
    if fee[0] and fee[1] and kept_apart:
        yield Found(reward("fee", at=at, code=fee[0], quantity=-fee[1]), ())


def _gross(side: Side, fee: Fee) -> Side:
    """What came before the fee was taken from it."""
    return side[0], side[1] + (fee[1] or 0) if fee[0] == side[0] else side[1]


def _net(side: Side, fee: Fee) -> Side:
    """What went without the fee."""
    left = side[1] - (fee[1] or 0) if fee[0] == side[0] else side[1]
    if left <= 0:
        raise RowRefused("fee_too_large", "The fee is not less than the amount.")
    return side[0], left


def _came(line: Line, kind: str, at: datetime, side: Side, fee: Fee) -> Told | Adjustment:
    code, quantity = side
    if kind == "deposit":
        came = _gross(side, fee)[1]
        return transfer(
            Direction.DEPOSIT, at=at, code=code, quantity=came, fee=fee, txid=_txid(line)
        )
    if kind in ("gift/tip", "gift"):
        return adjustment("gift", at=at, code=code, quantity=quantity, note=_note(line))
    if _INCOME.get(kind):
        return reward(_INCOME[kind], at=at, code=code, quantity=quantity)
    raise RowRefused("operation_unknown", "This type of transaction is not known here.")


def _went(line: Line, kind: str, at: datetime, side: Side, fee: Fee) -> Told | Adjustment:
    code, quantity = side
    if kind in _LEAVING:
        left = _net(side, fee)[1]
        return transfer(
            Direction.WITHDRAWAL, at=at, code=code, quantity=left, fee=fee, txid=_txid(line)
        )
    if kind in _GIVEN:
        return adjustment(_GIVEN[kind], at=at, code=code, quantity=-quantity, note=_note(line))
    if kind in _CHARGED:
        return reward("fee", at=at, code=code, quantity=-quantity)
    raise RowRefused("operation_unknown", "This type of transaction is not known here.")


def _txid(line: Line) -> str:
    return cells.text(line.cells, "txid")


def _note(line: Line) -> str:
    return cells.text(line.cells, "note")


FORMAT = Format(
    name="cointracking",
    title="CoinTracking",
    columns={
        "type": ("Type",), "bought_quantity": ("Buy", "Buy Amount"),
        "bought_asset": ("Cur.", "Buy Currency", "Buy Cur."),
        "sold_quantity": ("Sell", "Sell Amount"),
        "sold_asset": ("Cur. 2", "Sell Currency", "Sell Cur."),
        "fee_quantity": ("Fee", "Fee Amount"), "fee_asset": ("Cur. 3", "Fee Currency", "Fee Cur."),
        "note": ("Comment",), "time": ("Date", "Trade Date"), "txid": ("Tx-ID", "Tx ID"),
    },
    required=frozenset(
        {"type", "bought_quantity", "bought_asset", "sold_quantity", "sold_asset", "time"}
    ),
    read=read,
)  # fmt: skip
