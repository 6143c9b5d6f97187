"""Units over time: what the ledger says, corrected by what exchanges report. Pure, no Django.

Every entry of the ledger is a `Movement` of one asset in one account. Where a report differs from
the movements up to its instant, a movement of the part ``correction`` makes up for it, so that
units from the last report on are what the exchange says. The part tells what a movement means:

- ``deposit`` and ``withdrawal``: units that came from outside or went there,
- ``paired``: one half of a move between own accounts, a flow of each account and of nothing else,
- ``trade``: a leg of a trade or a conversion, ``fee``, ``income``,
- ``inside``: between wallets of one account, where nothing changes,
- ``correction``: what no entry explains.
"""

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

DEPOSIT, WITHDRAWAL, PAIRED = "deposit", "withdrawal", "paired"
TRADE, FEE, INCOME, INSIDE, CORRECTION = "trade", "fee", "income", "inside", "correction"
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
    nothing then.
    """

    first_at: datetime
    last_at: datetime
    totals: Mapping[UUID, Sequence[tuple[datetime, Decimal]]]


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
    return {key: Reports(min(ends[key]), max(ends[key]), found.get(key, {})) for key in ends}


def _put(totals: list[tuple[datetime, Decimal]], at: datetime, quantity: Decimal) -> None:
    if totals and totals[-1][0] == at:
        totals.pop()
    totals.append((at, quantity))


def corrections(
    movements: Iterable[Movement],
    *,
    reports: Mapping[UUID, Reports],
    without_reports: Iterable[UUID],
) -> list[Movement]:
    """Movements that make units what was reported, in the order of time.

    Units that nothing explains at an account's very first report were there before: they count
    from the account's first known instant. Units that are missing then, and every later
    difference, count from the report at which they showed. An account that nobody reports
    (``without_reports``: kept by hand) cannot hold less than nothing in the end; what its entries
    lack was there before the first of them.
    """
    units: dict[tuple[UUID, UUID], list[Movement]] = {}
    opened: dict[UUID, datetime] = {}
    for item in movements:
        if item.account is not None:
            units.setdefault((item.account, item.asset), []).append(item)
            opened[item.account] = min(opened.get(item.account, item.at), item.at)
    found = list(_lacking(units, opened, set(without_reports)))
    for account, told in reports.items():
        since = min(opened.get(account, told.first_at), told.first_at)
        assets = {asset for key, asset in units if key == account} | set(told.totals)
        for asset in sorted(assets, key=str):
            found += _unexplained(account, asset, units.get((account, asset), []), told, since)
    return sorted(found, key=lambda item: item.at)


def _lacking(
    units: Mapping[tuple[UUID, UUID], list[Movement]],
    opened: Mapping[UUID, datetime],
    accounts: set[UUID],
) -> Iterator[Movement]:
    for (account, asset), items in units.items():
        lacks = -sum((item.quantity for item in items), _ZERO)
        if account in accounts and lacks > 0:
            yield Movement(opened[account], account, asset, lacks, CORRECTION)


def _unexplained(
    account: UUID, asset: UUID, items: list[Movement], told: Reports, since: datetime
) -> Iterator[Movement]:
    """The steps of reported − moved, at the account's ends and at each report of the asset."""
    totals = told.totals.get(asset, ())
    at_reports = sorted({told.first_at, told.last_at, *(at for at, _ in totals)})
    before = _ZERO
    for at, moved in _sums_at(items, at_reports):
        place = bisect_right(totals, at, key=lambda row: row[0])
        reported = totals[place - 1][1] if place else _ZERO
        step = reported - moved - before
        if step:
            opening = at == told.first_at and step > 0
            yield Movement(since if opening else at, account, asset, step, CORRECTION)
        before += step


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
