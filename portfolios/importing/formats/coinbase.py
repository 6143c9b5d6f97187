"""Coinbase's transactions: some lines about the account, then one line for each transaction.

Amounts of money carry a sign of currency, and in newer files what goes has a minus: there a
withdrawal with a plus came back. A purchase by card or from a bank has its money come in with it,
unless the file tells of deposits or withdrawals of that money: then it lay in the account.
"""

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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
_PAIR = re.compile(r"(?:for ([\d.,]+) (\S+) )?on (\w+)-(\w+)\s*$", re.I)
_RENAMED = {"retail eth2 deprecation"}  # ETH2 was given for as much ETH, a line each


@dataclass(frozen=True, slots=True)
class Account:
    """What the whole file tells: money that lay in the account, and whether amounts have signs."""

    held: frozenset[str]
    signed: bool


def read(lines: Sequence[Line], frame: Frame) -> Reading:
    """The facts of the file, a line each; a renamed coin has two."""
    reading = Reading()
    account = _account(lines)
    renamed = []
    for line in lines:
        if _kind(line) in _RENAMED:
            renamed.append(line)
        else:
            with_remarks(reading, [line], _found, line, frame, account)
    for group in _halves(renamed):
        with_remarks(reading, group, _replaced, group, frame)
    return reading


def _kind(line: Line) -> str:
    return " ".join(cells.text(line.cells, "type").lower().split())


def _account(lines: Iterable[Line]) -> Account:
    held, signed = set(), False
    for line in lines:
        kind = _kind(line)
        if kind in ("deposit", "withdrawal"):
            held.add(cells.text(line.cells, "asset").upper())
        if kind in _GOING or kind.endswith("sell") or kind == "convert":
            signed = signed or cells.text(line.cells, "quantity").startswith(("-", "−"))
    return Account(frozenset(held & _MONEY), signed)


def _found(line: Line, frame: Frame, account: Account) -> Iterator[Found]:
    row, kind = line.cells, _kind(line)
    at = cells.instant(cells.text(row, "time"), zone=frame.zone, now=frame.now)
    code, quantity = cells.code(row, "asset"), cells.some(cells.amount(row, "quantity"))
    fact: Fact
    if kind in _BUYS | _ADVANCED:
        if quantity < 0 and kind.endswith("buy"):
            raise RowRefused("sign_unexpected", "A purchase below zero cannot be understood.")
        fact = _trade(line, kind, at, (code, abs(quantity)), account.held)
    elif kind == "convert":
        fact = _conversion(line, at, code, abs(quantity))
    elif kind in _COMING | _GOING:
        way = _way(kind, quantity, account)
        fact = transfer(way, at=at, code=code, quantity=abs(quantity))
    elif kind in _EARN:
        fact = _staked(at, code, quantity, into=_EARN[kind])
    elif kind in _INCOME:
        signed = -abs(quantity) if _INCOME[kind] == "fee" else quantity
        fact = reward(_INCOME[kind], at=at, code=code, quantity=signed)
    else:
        raise RowRefused("operation_unknown", "This type of transaction is not known here.")
    yield Found(fact, (line.number,), key=_key(line, fact))


def _way(kind: str, quantity: Decimal, account: Account) -> Direction:
    """By the sign in files that have signs: what came back goes the other way."""
    if account.signed:
        return Direction.DEPOSIT if quantity > 0 else Direction.WITHDRAWAL
    if quantity < 0:
        raise RowRefused(
            "sign_unexpected", "A minus here, and none where units went, can mean two things."
        )
    return Direction.DEPOSIT if kind in _COMING else Direction.WITHDRAWAL


def _halves(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """What went with as much that came, in the order of the file; what has no other half alone."""
    waiting: dict[tuple[str, bool], deque[Line]] = defaultdict(deque)
    for line in lines:
        written = cells.text(line.cells, "quantity")
        size, went = written.lstrip("+-−"), written.startswith(("-", "−"))
        if waiting[size, not went]:
            yield [waiting[size, not went].popleft(), line]
        else:
            waiting[size, went].append(line)
    yield from ([line] for queue in waiting.values() for line in queue)


def _replaced(group: Sequence[Line], frame: Frame) -> Iterator[Found]:
    """A coin that was given for as many units of its successor."""
    if len(group) < 2:
        raise RowRefused("counterpart_missing", "The other half of this is not in the file.")
    at = cells.instant(cells.text(group[0].cells, "time"), zone=frame.zone, now=frame.now)
    sides = [(cells.code(x.cells, "asset"), cells.amount(x.cells, "quantity")) for x in group]
    went, came = sorted(sides, key=lambda side: side[1])
    fact = swap(
        at=at, received=(came[0], cells.some(came[1])), sent=(went[0], -cells.some(went[1])),
        kind=TradeKind.CONVERSION, side="sell",
    )  # fmt: skip
    lines = tuple(sorted(line.number for line in group))
    yield Found(fact, lines, key=_key(min(group, key=lambda line: line.number), fact))


def _key(line: Line, fact: Fact) -> str:
    name = cells.text(line.cells, "id")
    return f"{name}:{type(fact).__name__}" if name else ""


def _money(line: Line, column: str) -> Decimal | None:
    written = cells.without_currency(cells.text(line.cells, column))
    return abs(cells.number(written)) if written else None


def _trade(
    line: Line, kind: str, at: datetime, coins: tuple[str, Decimal], held: frozenset[str]
) -> Trade:
    quote = cells.code(line.cells, "currency")
    fee, paid = _money(line, "fee") or Decimal(0), _money(line, "subtotal")
    total = _money(line, "total")
    buying = kind.endswith("buy")
    if paid is None and total is not None:
        paid = total - fee if buying else total + fee
    if paid is None:
        raise RowRefused("amount_missing", "The amount of money is missing.")
    if kind in _ADVANCED:
        quote, paid, fee = _in_its_pair(line, quote, paid, fee, total)
    in_wallet = kind in _ADVANCED or quote in held or quote not in _MONEY
    received, sent = coins, (quote, cells.some(paid))
    if not buying:
        received, sent = sent, received
    return swap(
        at=at, received=received, sent=sent, side="buy" if buying else "sell",
        kind=TradeKind.FILL if in_wallet else TradeKind.FIAT,
        fee=(quote, fee) if fee else (None, None),
    )  # fmt: skip


def _in_its_pair(
    line: Line, quote: str, paid: Decimal, fee: Decimal, total: Decimal | None
) -> tuple[str, Decimal, Decimal]:
    """What was paid in the coin that the note names (``on SOL-USDC``); the columns are in the
    person's own money. Coinbase counts a USDC as a dollar, so there the figures are the same;
    elsewhere the note has the total, with the fee in it."""
    told = _PAIR.search(cells.text(line.cells, "note").rstrip("."))
    if not told or told[4].upper() == quote:
        return quote, paid, fee
    actual = told[4].upper()
    named = bool(told[1]) and told[2].upper() == actual
    noted = cells.number(cells.ungrouped(told[1])) if named else None
    if {quote, actual} == {"USD", "USDC"} and noted in (None, total):
        return actual, paid, fee
    if noted is None:
        raise RowRefused("amount_missing", f"The file does not say how much {actual} this was.")
    return actual, cells.some(noted), Decimal(0)


def _conversion(line: Line, at: datetime, code: str, quantity: Decimal) -> Trade:
    told = _CONVERTED.search(cells.text(line.cells, "note"))
    if not told:
        raise RowRefused("counterpart_missing", "The note does not say what it was converted to.")
    units = cells.some(_noted(told[3].rstrip(".,"), beside=told[1], means=quantity))
    received = told[4].strip(".,").upper(), units
    return swap(
        at=at, received=received, sent=(code, quantity), kind=TradeKind.CONVERSION, side="sell"
    )


def _noted(written: str, *, beside: str, means: Decimal) -> Decimal:
    """An amount of a note, whose commas group thousands, unless the amount beside it, which a
    column repeats, shows that decimals follow them."""
    one_comma = "," in beside and "." not in beside
    if one_comma and cells.number(beside.replace(",", ".")) == means:
        return cells.number(written.replace(".", "").replace(",", "."))
    return cells.number(cells.ungrouped(written))


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
