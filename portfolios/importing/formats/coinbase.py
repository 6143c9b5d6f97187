"""Coinbase's transactions: some lines about the account, then one line for each transaction.

Amounts of money carry a sign of currency, and in newer files what goes has a minus. A purchase by
card or from a bank has its money come in with it, unless the file tells of deposits or
withdrawals of that money: then it lay in the account.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from exchanges.reports import Direction, Fact, Trade, TradeKind, Transfer, Wallet
from portfolios.importing import cells
from portfolios.importing.cells import RowRefused
from portfolios.importing.reading import (
    Format,
    Found,
    Frame,
    Line,
    Reading,
    reward,
    swap,
    transfer,
    with_remarks,
)

_BUYS = {"buy", "sell"}
_ADVANCED = {
    "advanced trade buy", "advanced trade sell", "advance trade buy", "advance trade sell",
    "advancedtradebuy", "advancedtradesell",
}  # fmt: skip
_COMING = {"receive", "deposit", "pro withdrawal", "exchange withdrawal", "prime withdrawal"}
_GOING = {"send", "withdrawal", "pro deposit", "exchange deposit", "prime deposit"}
_INCOME = {
    "rewards income": "reward", "staking income": "staking", "reward income": "reward",
    "inflation reward": "staking", "coinbase earn": "reward", "learning reward": "reward",
    "interest": "interest", "interest payout": "interest", "incentives rewards payout": "bonus",
    "subscription rebate": "bonus", "subscription rebates (24 hours)": "bonus",
    "airdrop": "airdrop", "fork": "airdrop", "subscription": "fee",
}  # fmt: skip
_EARN = {"retail staking transfer": True, "retail unstaking transfer": False,
         "staking transfer": True, "unstaking transfer": False}  # fmt: skip
# Money that Coinbase keeps for people; whatever else they pay with is a coin.
_MONEY = frozenset({
    "AUD", "BRL", "CAD", "CHF", "CZK", "DKK", "EUR", "GBP", "HUF", "JPY", "NOK", "NZD", "PLN",
    "SEK", "SGD", "TRY", "USD",
})  # fmt: skip
_CONVERTED = re.compile(r"converted ([\d.,]+) (\S+) to ([\d.,]+) (\S+)", re.I)


def read(lines: Sequence[Line], frame: Frame) -> Reading:
    """The facts of the file, a line each."""
    reading = Reading()
    held = {
        cells.text(line.cells, "asset").upper()
        for line in lines
        if cells.text(line.cells, "type").lower() in ("deposit", "withdrawal")
    } & _MONEY
    for line in lines:
        with_remarks(reading, [line], _found, line, frame, held)
    return reading


def _found(line: Line, frame: Frame, held: set[str]) -> Iterator[Found]:
    row = line.cells
    kind = " ".join(cells.text(row, "type").lower().split())
    at = cells.instant(cells.text(row, "time"), zone=frame.zone, now=frame.now)
    code, quantity = cells.code(row, "asset"), cells.some(cells.amount(row, "quantity"))
    fact: Fact
    if kind in _BUYS | _ADVANCED:
        fact = _trade(line, kind, at, (code, abs(quantity)), held)
    elif kind == "convert":
        fact = _conversion(line, at, code, abs(quantity))
    elif kind in _COMING | _GOING:
        way = Direction.DEPOSIT if kind in _COMING else Direction.WITHDRAWAL
        fact = transfer(way, at=at, code=code, quantity=abs(quantity))
    elif kind in _EARN:
        fact = _staked(at, code, quantity, into=_EARN[kind])
    elif kind in _INCOME:
        signed = -abs(quantity) if _INCOME[kind] == "fee" else quantity
        fact = reward(_INCOME[kind], at=at, code=code, quantity=signed)
    else:
        raise RowRefused("operation_unknown", "This type of transaction is not known here.")
    yield Found(fact, (line.number,), key=_key(line, fact))


def _key(line: Line, fact: Fact) -> str:
    name = cells.text(line.cells, "id")
    return f"{name}:{type(fact).__name__}" if name else ""


def _money(line: Line, column: str) -> Decimal | None:
    written = cells.without_currency(cells.text(line.cells, column))
    return abs(cells.number(written)) if written else None


def _trade(
    line: Line, kind: str, at: datetime, coins: tuple[str, Decimal], held: set[str]
) -> Trade:
    quote = cells.code(line.cells, "currency")
    fee, paid = _money(line, "fee") or Decimal(0), _money(line, "subtotal")
    total = _money(line, "total")
    buying = kind.endswith("buy")
    if paid is None and total is not None:
        paid = total - fee if buying else total + fee
    if paid is None:
        raise RowRefused("amount_missing", "The amount of money is missing.")
    in_wallet = kind in _ADVANCED or quote in held or quote not in _MONEY
    received, sent = coins, (quote, cells.some(paid))
    if not buying:
        received, sent = sent, received
    return swap(
        at=at, received=received, sent=sent, side="buy" if buying else "sell",
        kind=TradeKind.FILL if in_wallet else TradeKind.FIAT,
        fee=(quote, fee) if fee else (None, None),
    )  # fmt: skip


def _conversion(line: Line, at: datetime, code: str, quantity: Decimal) -> Trade:
    told = _CONVERTED.search(cells.text(line.cells, "note"))
    if not told:
        raise RowRefused("counterpart_missing", "The note does not say what it was converted to.")
    received = told[4].strip(".,").upper(), cells.some(cells.number(told[3].rstrip(".,")))
    return swap(
        at=at, received=received, sent=(code, quantity), kind=TradeKind.CONVERSION, side="sell"
    )


def _staked(at: datetime, code: str, quantity: Decimal, *, into: bool) -> Transfer:
    places = (Wallet.SPOT, Wallet.EARN) if into else (Wallet.EARN, Wallet.SPOT)
    return transfer(
        Direction.INTERNAL, at=at, code=code, quantity=abs(quantity), wallet=places[0],
        counter_wallet=places[1],
    )  # fmt: skip


FORMAT = Format(
    name="coinbase",
    title="Coinbase transactions",
    columns={
        "id": ("ID",), "time": ("Timestamp",), "type": ("Transaction Type",), "asset": ("Asset",),
        "quantity": ("Quantity Transacted",),
        "currency": ("Price Currency", "Spot Price Currency"),
        "subtotal": ("Subtotal",),
        "total": ("Total (inclusive of fees and/or spread)", "Total (inclusive of fees)"),
        "fee": ("Fees and/or Spread", "Fees"), "note": ("Notes",),
    },
    required=frozenset({"time", "type", "asset", "quantity", "currency"}),
    read=read,
    exchange="coinbase",
)  # fmt: skip
