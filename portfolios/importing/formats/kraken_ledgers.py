"""Kraken's ledgers: one line for each change of a balance, in UTC.

The lines of an event share a ``refid``. A balance changes by ``amount - fee``. A line without a
``txid`` is a request that its settled line follows. One coin has a code for each wallet (``XXBT``,
``DOT28.S``); newer files also have a column for the wallet.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from exchanges.gateway.dialects import kraken
from exchanges.reports import Direction, TradeKind, Wallet
from portfolios.importing import cells
from portfolios.importing.cells import RowRefused, RowSkipped
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

_SWAPS = {"trade", "spend", "receive", "sale", "conversion"}
_INCOME = {"staking", "dividend", "reward", "airdrop", "nft_rebate", "invite bonus", "credit"}
# What comes back from futures is told where it arrives alone: the file has no wallet of futures.
_MOVES = kraken.MOVES | {"spotfromfutures": (Wallet.FUTURES, Wallet.SPOT)}
_TAKEN = {"rollover", "margin", "settled", "adjustment", "fee", "transfer"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line."""

    line: Line
    txid: str
    at: datetime
    kind: str
    detail: str
    code: str
    wallet: str
    amount: Decimal
    fee: Decimal


def read(lines: Sequence[Line], frame: Frame) -> Reading:
    """The facts of a ledger; an event with a line that cannot be read is refused whole."""
    reading = Reading()
    events: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        refid = cells.text(line.cells, "refid") or f"{line.number:09}"
        if cells.text(line.cells, "txid"):
            events[refid].append(line)
        else:
            reading.skip("pending", "A request: the line with its txid counts.", [line.number])
    for refid, group in events.items():
        with_remarks(reading, group, _event, refid, group, frame)
    return reading


def _event(refid: str, lines: list[Line], frame: Frame) -> Iterator[Found]:
    entries = [_entry(line, frame) for line in lines]
    swapped = [entry for entry in entries if entry.kind in _SWAPS]
    if swapped:
        yield from _swap(refid, swapped)
    outside = [entry for entry in entries if entry.kind in ("deposit", "withdrawal")]
    yield from (found for entry in outside for found in _outside(entry))
    rest = [entry for entry in entries if entry not in swapped and entry not in outside]
    yield from _inside(rest)


def _entry(line: Line, frame: Frame) -> Entry:
    row = line.cells
    code, wallet = kraken.split_asset(cells.code(row, "asset"))
    if named := cells.text(row, "wallet").lower():
        wallet = _wallet(named)
    return Entry(
        line, cells.text(row, "txid"),
        cells.instant(cells.text(row, "time"), zone=frame.zone, now=frame.now),
        cells.text(row, "type").lower(), re.sub("[^a-z]", "", cells.text(row, "subtype").lower()),
        code, wallet, cells.amount(row, "quantity"), cells.optional(row, "fee"),
    )  # fmt: skip


def _wallet(named: str) -> str:
    for word, wallet in (("earn", Wallet.EARN), ("futures", Wallet.FUTURES), ("margin",
                         Wallet.MARGIN)):  # fmt: skip
        if word in named:
            return wallet
    return Wallet.SPOT


# --- swaps --------------------------------------------------------------------------------------
def _swap(refid: str, entries: list[Entry]) -> Iterator[Found]:
    moved: dict[str, Decimal] = defaultdict(Decimal)
    for entry in entries:
        moved[entry.code] += entry.amount
    came = [(code, amount) for code, amount in moved.items() if amount > 0]
    went = [(code, -amount) for code, amount in moved.items() if amount < 0]
    if len(came) == 1 and len(went) > 1:  # small balances swept into one coin
        raise RowRefused(
            "trades_mixed",
            "Several coins were given for one here, and the file does not say what each brought.",
        )
    if len(came) != 1 or len(went) != 1:
        raise RowRefused("counterpart_missing", "The other side of this trade is not in the file.")
    fees = _fees(entries)
    kind = TradeKind.FILL if entries[0].kind == "trade" else TradeKind.CONVERSION
    trade = swap(
        at=min(entry.at for entry in entries), received=came[0], sent=went[0], kind=kind,
        fee=fees[0] if fees else (None, None), wallet=entries[0].wallet,
    )  # fmt: skip
    yield Found(trade, tuple(entry.line.number for entry in entries), key=f"{refid}")
    for code, amount in fees[1:]:
        at = entries[0].at
        fact = reward("fee", at=at, code=code, quantity=-amount, wallet=entries[0].wallet)
        yield Found(fact, (), key=f"{refid}:fee:{code}")


def _fees(entries: list[Entry]) -> list[tuple[str, Decimal]]:
    charged: dict[str, Decimal] = defaultdict(Decimal)
    for entry in entries:
        charged[entry.code] += entry.fee
    return [(code, amount) for code, amount in charged.items() if amount]


# --- deposits, withdrawals ----------------------------------------------------------------------
def _outside(entry: Entry) -> Iterator[Found]:
    """One that came back has the other sign, and is booked the other way."""
    leaving = entry.amount < 0
    returned = leaving is not (entry.kind == "withdrawal")
    quantity = cells.some(abs(entry.amount) - (entry.fee if returned else 0))
    fee = (entry.code, entry.fee) if entry.fee and not returned else (None, None)
    fact = transfer(
        Direction.WITHDRAWAL if leaving else Direction.DEPOSIT, at=entry.at, code=entry.code,
        quantity=quantity, fee=fee, wallet=entry.wallet,
    )  # fmt: skip
    yield Found(fact, (entry.line.number,), key=entry.txid)


# --- inside the account -------------------------------------------------------------------------
def _inside(entries: list[Entry]) -> Iterator[Found]:
    """Moves between wallets, rewards, charges."""
    left = [entry for entry in entries if entry.amount < 0]
    arrived = [entry for entry in entries if entry.amount > 0]
    if len(left) == len(arrived) == 1 and _is_move(left[0], arrived[0]):
        lines = tuple(sorted(entry.line.number for entry in entries))
        yield _moved(left[0], left[0].wallet, arrived[0].wallet, lines)
        return
    for entry in entries:
        yield from _single(entry)


def _is_move(left: Entry, arrived: Entry) -> bool:
    same = left.code == arrived.code and left.amount == -arrived.amount
    return same and left.wallet != arrived.wallet


def _single(entry: Entry) -> Iterator[Found]:
    lines = (entry.line.number,)
    if entry.detail in _MOVES:
        yield _moved(entry, *_MOVES[entry.detail], lines)
    elif entry.detail in kraken.MIRRORS:
        raise RowSkipped("mirror", "The other half of a move, which its first line tells.")
    elif entry.kind == "earn" and "allocation" in entry.detail:
        spot_to_earn = (entry.amount < 0) is (entry.wallet == Wallet.SPOT)
        places = (Wallet.SPOT, Wallet.EARN) if spot_to_earn else (Wallet.EARN, Wallet.SPOT)
        yield _moved(entry, *places, lines)
    else:
        yield from _credit(entry, lines)


def _moved(entry: Entry, source: str, target: str, lines: tuple[int, ...]) -> Found:
    fact = transfer(
        Direction.INTERNAL, at=entry.at, code=entry.code, quantity=abs(cells.some(entry.amount)),
        wallet=source, counter_wallet=target,
    )  # fmt: skip
    return Found(fact, lines, key=entry.txid)


def _credit(entry: Entry, lines: tuple[int, ...]) -> Iterator[Found]:
    kind = "reward" if entry.kind == "earn" else entry.kind
    if kind not in _INCOME | _TAKEN:
        raise RowRefused("operation_unknown", "This type of entry is not known here.")
    quantity = cells.some(entry.amount - entry.fee)
    kind = "adjustment" if kind == "transfer" else kind
    fact = reward(kind, at=entry.at, code=entry.code, quantity=quantity, wallet=entry.wallet)
    yield Found(fact, lines, key=entry.txid)


FORMAT = Format(
    name="kraken_ledgers",
    title="Kraken ledgers",
    columns={
        "txid": ("txid",), "refid": ("refid",), "time": ("time",), "type": ("type",),
        "subtype": ("subtype",), "asset": ("asset",), "wallet": ("wallet",),
        "quantity": ("amount",), "fee": ("fee",),
    },
    required=frozenset({"txid", "refid", "time", "type", "asset", "quantity", "fee"}),
    read=read,
    exchange="kraken",
)  # fmt: skip
