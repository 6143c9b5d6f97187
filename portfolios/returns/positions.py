"""Units over time: what the ledger says, corrected by what exchanges report. Pure, no Django.

Every entry of the ledger is a `Movement` of one asset in one account. Where a report differs from
the movements up to its instant, a movement of the part ``correction`` makes up for it, so that
units from the last report on are what the exchange says. The part tells what a movement means:

- ``deposit`` and ``withdrawal``: units that came from outside or went there,
- ``paired``: one half of a move between own accounts, a flow of each account and of nothing else,
- ``trade``: a leg of a trade or a conversion, ``fee``, ``income``,
- ``lost``: units that nobody got, lost or stolen,
- ``inside``: between wallets of one account, where nothing changes,
- ``correction``: what no entry explains.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, Protocol
from uuid import UUID

DEPOSIT, WITHDRAWAL, PAIRED, LOST = "deposit", "withdrawal", "paired", "lost"
TRADE, FEE, INCOME, INSIDE, CORRECTION = "trade", "fee", "income", "inside", "correction"
# An exchange may show an entry in its balances this much later.
SETTLES = timedelta(days=1)
_ZERO = Decimal(0)


class Prices(Protocol):
    """What one unit of an asset was worth at an instant, in the base currency; None: unknown."""

    def at(self, asset: UUID, instant: datetime) -> Decimal | None: ...


class Movement(NamedTuple):
    """Units that came (+) or went (−). ``value`` is what they were worth, None where unpriced.

    ``account`` is None for units on their way between two own accounts.
    """

    at: datetime
    account: UUID | None
    asset: UUID
    quantity: Decimal
    part: str
    value: Decimal | None = None
    wallet: str = ""


class Reported(NamedTuple):
    """One place of an account, as an exchange reported it: since ``at`` it holds ``quantity``."""

    at: datetime
    account: UUID
    asset: UUID
    place: Hashable
    quantity: Decimal


class Pair(NamedTuple):
    """A withdrawal and the deposit that it arrived as."""

    withdrawn_at: datetime
    withdrawn: Decimal
    arrived_at: datetime
    arrived: Decimal
    asset: UUID
    value_withdrawn: Decimal | None = None
    value_arrived: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Reports:
    """What an account's exchange reported: totals by asset in order of time, and its ends.

    At ``first_at`` and ``last_at`` the whole account was read: an asset without a report held
    nothing then. ``read_at`` are the instants at which anything in it was reported, in order.
    """

    first_at: datetime
    last_at: datetime
    totals: Mapping[UUID, Sequence[tuple[datetime, Decimal]]]
    read_at: Sequence[datetime] = ()


def reports(
    changes: Iterable[Reported], *, confirmed: Mapping[UUID, datetime]
) -> dict[UUID, Reports]:
    """Reported totals by account. ``confirmed``: when each account was read for the last time.

    ``changes`` are rows of one place each; an account's total is the sum of its places.
    """
    places: dict[tuple[UUID, UUID], dict[Hashable, Decimal]] = {}
    found: dict[UUID, dict[UUID, list[tuple[datetime, Decimal]]]] = {}
    ends: dict[UUID, list[datetime]] = {key: [at] for key, at in confirmed.items()}
    for change in sorted(changes, key=lambda item: (item.at, str(item.place))):
        here = places.setdefault((change.account, change.asset), {})
        here[change.place] = change.quantity
        totals = found.setdefault(change.account, {}).setdefault(change.asset, [])
        _put(totals, change.at, sum(here.values(), _ZERO))
        ends.setdefault(change.account, []).append(change.at)
    return {
        key: Reports(min(at), max(at), found.get(key, {}), sorted(set(at)))
        for key, at in ends.items()
    }


def _put(totals: list[tuple[datetime, Decimal]], at: datetime, quantity: Decimal) -> None:
    if totals and totals[-1][0] == at:
        totals.pop()
    totals.append((at, quantity))


def corrections(
    movements: Iterable[Movement],
    *,
    reports: Mapping[UUID, Reports],
    without_reports: Iterable[UUID],
    cash: Collection[UUID] = (),
) -> list[Movement]:
    """Movements that make units what was reported, in the order of time.

    Units that nothing explains at an account's very first report were there before: they count
    from the account's first known instant. Units that are missing then, and every later
    difference, count from the report at which they showed. An entry that no later report shows is
    made good a day after it. In an account that nobody reports (``without_reports``: kept by hand)
    no wallet ever holds less than nothing: what an entry takes beyond what is there comes with it,
    so that later entries change nothing before them. Of money (``cash``) that is a deposit, and a
    withdrawal where it is taken off again.
    """
    units: dict[tuple[UUID, UUID], list[Movement]] = {}
    opened: dict[UUID, datetime] = {}
    for item in movements:
        if item.account is not None:
            units.setdefault((item.account, item.asset), []).append(item)
            opened[item.account] = min(opened.get(item.account, item.at), item.at)
    found = list(_lacking(units, set(without_reports), cash))
    for account, told in reports.items():
        since = min(opened.get(account, told.first_at), told.first_at)
        assets = {asset for key, asset in units if key == account} | set(told.totals)
        for asset in sorted(assets, key=str):
            found += _unexplained(account, asset, units.get((account, asset), []), told, since)
    return sorted(found, key=lambda item: item.at)


def _lacking(
    units: Mapping[tuple[UUID, UUID], list[Movement]], accounts: set[UUID], cash: Collection[UUID]
) -> Iterator[Movement]:
    wallets: dict[tuple[UUID, UUID, str], list[tuple[datetime, Decimal]]] = {}
    for (account, asset), items in units.items():
        if account in accounts:
            for item in items:
                key = (account, asset, item.wallet)
                wallets.setdefault(key, []).append((item.at, item.quantity))
    for (account, asset, wallet), moved in wallets.items():
        for at, step in shortages(moved):
            part = CORRECTION
            if asset in cash:
                part = DEPOSIT if step > 0 else WITHDRAWAL
            yield Movement(at, account, asset, step, part, None, wallet)


def shortages(moved: Iterable[tuple[datetime, Decimal]]) -> Iterator[tuple[datetime, Decimal]]:
    """What must be added at which instants so that units are never below zero.

    What happens at one instant counts together. Units that were lacking and come in later are
    taken off again: what there is at any instant is what moved until then adds up to, or nothing.
    """
    total = added = _ZERO
    for at, items in groupby(sorted(moved, key=itemgetter(0)), key=itemgetter(0)):
        total += sum((quantity for _, quantity in items), _ZERO)
        lacks = max(-total, _ZERO)
        if lacks != added:
            yield at, lacks - added
            added = lacks


def _unexplained(
    account: UUID, asset: UUID, items: list[Movement], told: Reports, since: datetime
) -> Iterator[Movement]:
    """The steps of reported − moved, at the account's ends, at each report of the asset, and when
    each entry should have shown in a report."""
    totals = told.totals.get(asset, ())
    before = _ZERO
    for at, moved in _sums_at(items, _instants(items, told, totals)):
        place = bisect_right(totals, at, key=itemgetter(0))
        reported = totals[place - 1][1] if place else _ZERO
        step = reported - moved - before
        if step:
            opening = at == told.first_at and step > 0
            yield Movement(since if opening else at, account, asset, step, CORRECTION)
        before += step


def _instants(
    items: Iterable[Movement], told: Reports, totals: Sequence[tuple[datetime, Decimal]]
) -> list[datetime]:
    """When reported and moved units are compared, in order.

    Of reads without a change nothing is kept. So an entry that no report of its asset follows is
    compared a day after it: the exchange said the same before it and at the last read. Where one
    follows, it counts, or an earlier report of another asset, for then the account was read.
    """
    found = {told.first_at, told.last_at, *(at for at, _ in totals)}
    last = totals[-1][0] if totals else told.first_at
    for item in items:
        due = item.at + SETTLES
        if told.first_at < item.at and due <= told.last_at:
            place = bisect_left(told.read_at, due)
            if item.at > last:
                found.add(due)
            elif place < len(told.read_at):
                found.add(told.read_at[place])
    return sorted(found)


def _sums_at(
    items: list[Movement], instants: Sequence[datetime]
) -> Iterator[tuple[datetime, Decimal]]:
    """The sum of the movements up to each instant; both in order of time."""
    ordered = sorted(items, key=lambda item: item.at)
    total, place = _ZERO, 0
    for at in instants:
        while place < len(ordered) and ordered[place].at <= at:
            total += ordered[place].quantity
            place += 1
        yield at, total


def on_their_way(pair: Pair) -> list[Movement]:
    """What arrived, held by no account from the withdrawal to the deposit.

    Its value when it leaves is its share of what was withdrawn, so that over both accounts only
    the network's fee is lost. Nothing when the withdrawal was of nothing.
    """
    if not pair.withdrawn:
        return []
    leaves = pair.value_withdrawn
    if leaves is not None:
        leaves = leaves * pair.arrived / pair.withdrawn
    arrives = None if pair.value_arrived is None else -pair.value_arrived
    return [
        Movement(pair.withdrawn_at, None, pair.asset, pair.arrived, PAIRED, leaves),
        Movement(pair.arrived_at, None, pair.asset, -pair.arrived, PAIRED, arrives),
    ]
