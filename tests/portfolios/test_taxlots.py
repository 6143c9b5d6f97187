"""Cases with the gains that an independent tax engine computed: ours must equal them to the cent.

Each transaction becomes legs of the ledger as an exchange would report it, so that both the
booking and the matching of lots are compared. That engine calls the fee of a move MOVE, and the
fee of a sale belongs to the sale.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from portfolios import booking
from portfolios.booking import Entry, FactBook, Note
from portfolios.lots import Book, Method
from tests.conftest import SHARED_DATA

CASES = sorted((SHARED_DATA / "taxlots").glob("*.json")) or [SHARED_DATA / "taxlots"]
METHODS = [Method.FIFO, Method.LIFO, Method.HIFO, Method.LOFO]
DOLLAR, ASSET = UUID(int=1), UUID(int=2)
# What their engine calls an event that brought units in without a purchase.
EARNED = {"AIRDROP", "HARDFORK", "INCOME", "INTEREST", "MINING", "STAKING", "WAGES"}
MEANINGS = {"GIFT": "gift_given", "DONATE": "donation"}
CENT = Decimal("0.01")


def money(number: Any) -> Decimal:
    """Numbers of the files are written as shortest decimals; read so, they are exact."""
    return Decimal(str(number))


def to_the_cent(number: Decimal) -> Decimal:
    return number.quantize(CENT)


@dataclass
class Ledger:
    """Legs of one asset's transactions, with what legs do not say, and each fact's type."""

    legs: list[Entry] = field(default_factory=list)
    rewards: dict[UUID, str] = field(default_factory=dict)
    notes: dict[UUID, Note] = field(default_factory=dict)
    pairs: dict[UUID, UUID] = field(default_factory=dict)
    spot: dict[datetime, Decimal] = field(default_factory=dict)
    types: dict[UUID, tuple[UUID, str]] = field(default_factory=dict)
    accounts: dict[tuple[str, str], UUID] = field(default_factory=dict)
    _next: int = 1000

    def new_id(self) -> UUID:
        self._next += 1
        return UUID(int=self._next)

    def account(self, exchange: str, holder: str) -> UUID:
        return self.accounts.setdefault((exchange, holder), self.new_id())

    def add(self, row: dict[str, Any], kind: str, *legs: tuple[UUID, str, Decimal, UUID],
            **of: UUID) -> None:  # fmt: skip
        """Legs of one fact. Transactions of one instant are kept apart, for each has its price."""
        at = datetime.fromisoformat(row["Timestamp"].replace("Z", "+00:00")).astimezone(UTC)
        while at in self.spot and self.spot[at] != money(row.get("Spot Price") or 0):
            at += timedelta(microseconds=1)
        self.spot[at] = money(row.get("Spot Price") or 0)
        (fact,) = of.values()
        for number, (asset, leg_kind, quantity, account) in enumerate(legs):
            if quantity:
                entry = Entry(self.new_id(), at, asset, account, leg_kind, quantity, number, **of)
                self.types[entry.id] = (fact, kind)
                self.legs.append(entry)

    def at(self, asset_id: UUID, instant: datetime) -> Any:
        assert asset_id == ASSET
        return SimpleNamespace(price=self.spot[instant], source="spot")


def ledger_of(transactions: dict[str, list[dict[str, Any]]]) -> Ledger:
    ledger = Ledger()
    for row in transactions["in"]:
        _come_in(ledger, row)
    for row in transactions["out"]:
        _go_out(ledger, row)
    for row in transactions["intra"]:
        _move(ledger, row)
    return ledger


def _come_in(ledger: Ledger, row: dict[str, Any]) -> None:
    kind = row["Transaction Type"].upper()
    account, fact = ledger.account(row["Exchange"], row["Owner"]), ledger.new_id()
    units, fee = money(row["Crypto In"]), money(row.get("USD Fee") or 0)
    value = money(row.get("USD In (No Fee)") or units * money(row["Spot Price"]))
    crypto_fee = (ASSET, "fee", -money(row.get("Crypto Fee") or 0), account)
    if kind in EARNED:  # that engine counts a fee as earned, too
        ledger.rewards[fact] = kind.lower()
        earned = row | {"Spot Price": (value + fee) / units}
        ledger.add(earned, kind, (ASSET, "reward", units, account), reward=fact)
    else:
        ledger.add(
            row, kind, (ASSET, "trade", units, account), (DOLLAR, "trade", -value, account),
            (DOLLAR, "fee", -fee, account), crypto_fee, trade=fact,
        )  # fmt: skip


def _go_out(ledger: Ledger, row: dict[str, Any]) -> None:
    kind = row["Transaction Type"].upper()
    account = ledger.account(row["Exchange"], row["Holder"])
    units, fee = money(row["Crypto Out"]), money(row.get("Crypto Fee") or 0)
    fact, fee_leg = ledger.new_id(), (ASSET, "fee", -fee, account)
    if kind in MEANINGS:
        ledger.notes[fact] = Note(MEANINGS[kind])
        ledger.add(row, kind, (ASSET, "withdrawal", -units, account), fee_leg, transfer=fact)
    else:
        value = units * money(row["Spot Price"])
        ledger.add(
            row, kind, (ASSET, "trade", -units, account), (DOLLAR, "trade", value, account),
            fee_leg, trade=fact,
        )  # fmt: skip


def _move(ledger: Ledger, row: dict[str, Any]) -> None:
    source = ledger.account(row["From Exchange"], row["From Holder"])
    target = ledger.account(row["To Exchange"], row["To Holder"])
    sent, received = money(row["Crypto Sent"]), money(row["Crypto Received"])
    gone, come = ledger.new_id(), ledger.new_id()
    ledger.pairs[gone] = come
    ledger.add(
        row, "MOVE", (ASSET, "withdrawal", -received, source),
        (ASSET, "fee", received - sent, source), transfer=gone,
    )  # fmt: skip
    ledger.add(row, "MOVE", (ASSET, "deposit", received, target), transfer=come)


# --- ours in their words ------------------------------------------------------------------------
@dataclass(frozen=True)
class Gain:
    """What came of one transaction and one lot."""

    year: int
    type: str
    quantity: Decimal
    proceeds: Decimal
    cost: Decimal


def gains(ledger: Ledger, method: Method) -> Iterator[Gain]:
    booked = book_of(ledger)
    for receipt in booked.receipts:
        kind = ledger.types[receipt.entry_id][1]
        yield Gain(receipt.at.year, kind, receipt.quantity, receipt.value or Decimal(0), Decimal(0))
    book = Book(method=method)
    book.apply(booked.events.get(ASSET, []))
    by_lot: dict[tuple[UUID, UUID], list[Any]] = defaultdict(list)
    for piece in book.pieces:
        fact, _ = ledger.types[piece.disposition.entry_id]
        assert piece.lot
        by_lot[fact, piece.lot.key].append(piece)
    for pieces in by_lot.values():
        what = pieces[0].disposition
        yield Gain(
            what.at.year, ledger.types[what.entry_id][1], sum(piece.quantity for piece in pieces),
            sum(piece.proceeds for piece in pieces), sum(piece.cost for piece in pieces),
        )  # fmt: skip


def book_of(ledger: Ledger) -> booking.Booking:
    facts = FactBook(rewards=ledger.rewards, notes=ledger.notes, pairs=ledger.pairs)
    return booking.events(
        ledger.legs, facts=facts, prices=ledger, base_asset_id=DOLLAR, currency="USD",
        fiat={DOLLAR},
    )  # fmt: skip


def yearly(found: Iterable[Gain]) -> dict[tuple[int, str], tuple[Decimal, ...]]:
    sums: dict[tuple[int, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
    for gain in found:
        row = sums[gain.year, gain.type]
        sums[gain.year, gain.type] = [
            row[0] + gain.quantity, row[1] + gain.proceeds, row[2] + gain.cost
        ]  # fmt: skip
    return {
        key: (units.normalize(), to_the_cent(proceeds), to_the_cent(cost),
              to_the_cent(proceeds - cost))
        for key, (units, proceeds, cost) in sums.items()
    }  # fmt: skip


@pytest.mark.usefixtures("shared_data")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_gains_equal_those_of_an_independent_engine(case: Path, method: Method) -> None:
    content = json.loads(case.read_text())
    for asset, transactions in content["transactions"].items():
        expected = content["expected"][method][asset]
        found = list(gains(ledger_of(transactions), method))
        assert yearly(found) == {
            (row["year"], row["type"]): (
                money(row["quantity"]).normalize(), to_the_cent(money(row["proceeds"])),
                to_the_cent(money(row["cost_basis"])), to_the_cent(money(row["gain"])),
            )
            for row in expected["yearly"]
        }, asset  # fmt: skip
        assert Counter(
            (gain.quantity.normalize(), to_the_cent(gain.proceeds - gain.cost)) for gain in found
        ) == Counter(
            (money(row["quantity"]).normalize(), to_the_cent(money(row["gain"])))
            for row in expected["lots"]
        ), asset


@pytest.mark.usefixtures("shared_data")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_what_is_left_equals_the_balances(case: Path, method: Method) -> None:
    content = json.loads(case.read_text())
    for asset, transactions in content["transactions"].items():
        ledger = ledger_of(transactions)
        book = Book(method=method)
        book.apply(book_of(ledger).events.get(ASSET, []))
        balances = content["expected"][method][asset]["balances"]
        left = sum(lot.remaining for lot in book.open_lots())
        assert left == sum(money(row["balance"]) for row in balances), asset
        for row in balances:
            account = ledger.accounts[row["account"], row["holder"]]
            legs = [leg.quantity for leg in ledger.legs if leg[2:4] == (ASSET, account)]
            assert sum(legs) == money(row["balance"]), asset
