"""Where an exchange's report and our books differ, and since when: pure, no Django.

The reports of a place (an asset in a wallet) are walked in order and compared with the running sum
of its entries. The difference appeared between the last report that agreed and the first after it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

_ZERO = Decimal(0)

# An entry this shortly after a report may already be in it: balances are read first, then history.
READING_TIME = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Report:
    """What was reported of a place at an instant."""

    at: datetime
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Movement:
    """An entry of a place."""

    at: datetime
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Place:
    """An asset in one wallet of an account."""

    wallet: str
    asset: UUID


@dataclass(frozen=True, slots=True)
class Difference:
    """Reported less booked, of one place, when the two differ.

    ``agreed_at`` is the last report that still agreed (None: none did), ``appeared_at`` the first
    that did not. ``below_zero_at`` is when the books first gave more than they had, if ever:
    something that came in is missing from before then.
    """

    place: Place
    reported: Decimal
    ledger: Decimal
    reported_at: datetime
    agreed_at: datetime | None
    appeared_at: datetime
    below_zero_at: datetime | None = None

    @property
    def units(self) -> Decimal:
        """Above zero: the exchange has more than the books."""
        return self.reported - self.ledger


def difference(
    place: Place, reports: Sequence[Report], movements: Sequence[Movement]
) -> Difference | None:
    """How a place stands at its last report, or None when books and report agree.

    Both sequences are in order of time; there is at least one report.
    """
    agreed_at = appeared_at = None
    ledger = _ZERO
    for report, earlier, later in _sums(reports, movements):
        ledger = earlier
        if report.quantity in (earlier, later):
            agreed_at, appeared_at = report.at, None
        else:
            appeared_at = appeared_at or report.at
    if appeared_at is None:
        return None
    last = reports[-1]
    return Difference(
        place, last.quantity, ledger, last.at, agreed_at, appeared_at, below_zero(movements)
    )


def shortage(place: Place, movements: Sequence[Movement]) -> Difference | None:
    """How an account kept by hand stands: its books may not owe what nobody lent.

    It holds what its entries add up to, and nothing when that is below zero; then something that
    came in was never entered, since the entry that took too much.
    """
    total, agreed_at, appeared_at = _ZERO, None, None
    for movement in movements:
        total += movement.quantity
        if total >= 0:
            agreed_at, appeared_at = movement.at, None
        else:
            appeared_at = appeared_at or movement.at
    if appeared_at is None:
        return None
    return Difference(
        place, _ZERO, total, movements[-1].at, agreed_at, appeared_at, below_zero(movements)
    )


def _sums(
    reports: Sequence[Report], movements: Sequence[Movement]
) -> Iterator[tuple[Report, Decimal, Decimal]]:
    """Each report with the books at its instant, and a reading time later."""
    earlier = later = _ZERO
    first = second = 0
    for report in reports:
        while first < len(movements) and movements[first].at <= report.at:
            earlier += movements[first].quantity
            first += 1
        while second < len(movements) and movements[second].at <= report.at + READING_TIME:
            later += movements[second].quantity
            second += 1
        yield report, earlier, later


def below_zero(movements: Iterable[Movement]) -> datetime | None:
    """When entries in order of time first gave more than they had; None when they never did."""
    total = _ZERO
    instants: dict[datetime, Decimal] = {}
    for movement in movements:  # legs of one instant count together, whatever their order
        instants[movement.at] = instants.get(movement.at, _ZERO) + movement.quantity
    for at, quantity in instants.items():
        total += quantity
        if total < 0:
            return at
    return None
