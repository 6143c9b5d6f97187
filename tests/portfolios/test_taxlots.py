"""Cases with the gains that an independent tax engine computed: ours must equal them to the cent.

Each transaction becomes legs of the ledger as an exchange would report it, so that both the
booking and the matching of lots are compared. That engine calls the fee of a move MOVE, and the
fee of a sale belongs to the sale. Where it differs from ours on purpose: its HIFO and LOFO compare
the market's price that each row states, ours what was paid before fees (here we are told theirs);
what is lost counts as if sold, ours as worth nothing; the fee of a gift is taken off the gift, ours
is given up at its own value. Where it is wrong (rp2 1.7.2, found with random histories): what is
earned takes the lot that is first in order for HIFO and LOFO off its heap and does not put it back
when that lot is no larger, so later sales pass it over. Without anything earned all is equal.
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

from portfolios.cost import booking
from portfolios.cost.booking import Entry, FactBook, Note
from portfolios.cost.lots import Acquisition, Book, Event, Method
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
    """Legs of one asset's transactions, with what legs do not say, and each fact's type.

    ``spot`` is the market's price at an instant, ``ranks`` the price by which HIFO and LOFO of
    that engine compare what an entry brought in: the row's own.
    """

    legs: list[Entry] = field(default_factory=list)
    rewards: dict[UUID, str] = field(default_factory=dict)
    notes: dict[UUID, Note] = field(default_factory=dict)
    pairs: dict[UUID, UUID] = field(default_factory=dict)
    spot: dict[datetime, Decimal] = field(default_factory=dict)
    ranks: dict[UUID, Decimal] = field(default_factory=dict)
    types: dict[UUID, tuple[UUID, str]] = field(default_factory=dict)
    accounts: dict[tuple[str, str], UUID] = field(default_factory=dict)
    _next: int = 1000

    def new_id(self) -> UUID:
        self._next += 1
        return UUID(int=self._next)

    def account(self, exchange: str, holder: str) -> UUID:
        return self.accounts.setdefault((exchange, holder), self.new_id())

    def add(self, row: "Row", *legs: tuple[UUID, str, Decimal, UUID], spot: Decimal | None = None,
            **of: UUID) -> None:  # fmt: skip
        """Legs of one fact."""
        (fact,) = of.values()
        self.spot[row.at] = row.price if spot is None else spot
        for number, (asset, leg_kind, quantity, account) in enumerate(legs):
            if quantity:
                entry = Entry(
                    self.new_id(), row.at, asset, account, leg_kind, quantity, number, **of
                )
                self.types[entry.id] = (fact, row.kind)
                self.ranks[entry.id] = row.price
                self.legs.append(entry)

    def at(self, asset_id: UUID, instant: datetime) -> Any:
        assert asset_id == ASSET
        return SimpleNamespace(price=self.spot[instant], source="spot")


@dataclass(frozen=True)
class Row:
    """One transaction: its cells by heading, of which most may be left out."""

    cells: dict[str, Any]
    at: datetime

    def amount(self, *names: str) -> Decimal | None:
        """The first of these cells that has a number."""
        for name in names:
            if self.cells.get(name) not in (None, ""):
                return money(self.cells[name])
        return None

    def units(self, name: str) -> Decimal:
        return self.amount(name) or Decimal(0)

    @property
    def price(self) -> Decimal:
        return self.amount("Spot Price") or Decimal(0)

    @property
    def kind(self) -> str:
        return str(self.cells.get("Transaction Type") or "MOVE").upper()

    def account(self, ledger: Ledger, side: str = "") -> UUID:
        exchange = self.cells.get(f"{side}Exchange") or ""
        holder = self.cells.get(f"{side}Holder") or self.cells.get(f"{side}Owner") or ""
        return ledger.account(exchange, holder)


def ledger_of(transactions: dict[str, list[dict[str, Any]]]) -> Ledger:
    """At one instant that engine books what comes in, then what goes, then moves, each in order.

    Such rows are a microsecond apart here, since each has its own price.
    """
    ledger, taken = Ledger(), Counter[datetime]()
    for table, book in (("in", _come_in), ("out", _go_out), ("intra", _move)):
        for cells in transactions.get(table) or []:
            at = datetime.fromisoformat(cells["Timestamp"].replace("Z", "+00:00")).astimezone(UTC)
            book(ledger, Row(cells, at + timedelta(microseconds=taken[at])))
            taken[at] += 1
    return ledger


def _come_in(ledger: Ledger, row: Row) -> None:
    account, fact = row.account(ledger), ledger.new_id()
    units, crypto_fee = row.units("Crypto In"), row.units("Crypto Fee")
    value = row.amount("USD In (No Fee)") or units * row.price
    fee = row.amount("USD Fee") or crypto_fee * row.price
    whole = row.amount("USD In (With Fee)") or value + fee
    if row.kind in EARNED:  # that engine counts a fee as earned, too
        ledger.rewards[fact] = row.kind.lower()
        ledger.add(row, (ASSET, "reward", units, account), spot=whole / units, reward=fact)
    else:
        ledger.add(
            row, (ASSET, "trade", units, account), (DOLLAR, "trade", -value, account),
            (DOLLAR, "fee", value - whole, account), trade=fact,
        )  # fmt: skip
    if crypto_fee:  # a transaction of its own, at the same price
        paid = Row(row.cells | {"Transaction Type": "Fee"}, row.at + timedelta(milliseconds=1))
        ledger.add(paid, (ASSET, "fee", -crypto_fee, account), transfer=ledger.new_id())


def _go_out(ledger: Ledger, row: Row) -> None:
    """A fee on a gift is taken off its proceeds as off those of a sale, and so is it booked."""
    account, fact = row.account(ledger), ledger.new_id()
    units, fee = row.units("Crypto Out"), row.units("Crypto Fee")
    value = row.amount("USD Out (No Fee)") or units * row.price
    fee_leg = (ASSET, "fee", -fee, account)
    if row.kind == "FEE":
        worth = (row.amount("USD Fee") or fee * row.price) / fee
        ledger.add(row, fee_leg, spot=worth, transfer=fact)
    elif row.kind in MEANINGS and not fee:
        ledger.notes[fact] = Note(MEANINGS[row.kind])
        gone = (ASSET, "withdrawal", -units, account)
        ledger.add(row, gone, spot=value / units, transfer=fact)
    else:
        ledger.add(
            row, (ASSET, "trade", -units, account), (DOLLAR, "trade", value, account), fee_leg,
            trade=fact,
        )  # fmt: skip


def _move(ledger: Ledger, row: Row) -> None:
    source, target = row.account(ledger, "From "), row.account(ledger, "To ")
    sent, received = row.units("Crypto Sent"), row.units("Crypto Received")
    gone, come = ledger.new_id(), ledger.new_id()
    ledger.pairs[gone] = come
    ledger.add(
        row, (ASSET, "withdrawal", -received, source), (ASSET, "fee", received - sent, source),
        transfer=gone,
    )  # fmt: skip
    ledger.add(row, (ASSET, "deposit", received, target), transfer=come)


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
    booked = booking.events(
        ledger.legs, facts=facts, prices=ledger, base_asset_id=DOLLAR, currency="USD",
        fiat={DOLLAR},
    )  # fmt: skip
    for events in booked.events.values():
        events[:] = [_ranked(ledger, event) for event in events]
    return booked


def _ranked(ledger: Ledger, event: Event) -> Event:
    if isinstance(event, Acquisition):
        return event._replace(price=ledger.ranks[event.entry_id])
    return event


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
