"""What one call does about a discrepancy: read again, book the missing half, or book the rest.

None of them changes what an exchange reported. What is booked here is an entry by hand that stays
visible beside it, and can be deleted again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q

from accounts.models import User
from audit import log
from audit.actions import Action
from exchanges.assets import DatedAsset
from exchanges.models import Asset, ConnectionKind, Coverage, ExchangeConnection
from exchanges.reports import Direction
from exchanges.reports import Transfer as TransferFact
from portfolios.by_hand import entries
from portfolios.ledger import accounts_by_hand, books, facts
from portfolios.ledger.legs import Adjustment, Fact
from portfolios.models import AdjustmentReason, Discrepancy, LedgerEntry, Transfer
from portfolios.reconciling import differences, discrepancies
from portfolios.reconciling.differences import Movement
from portfolios.sync import requests
from portfolios.transfers import matches
from tracker import ids, tenancy
from tracker.api import InvalidInput
from tracker.errors import DomainError, NotFound

FETCH_WINDOW, BOOK_ADJUSTMENT, MATCH_TRANSFER = "fetch_window", "book_adjustment", "match_transfer"
DELETE_ENTRIES = "delete_entries"
ACTIONS = (FETCH_WINDOW, BOOK_ADJUSTMENT, MATCH_TRANSFER, DELETE_ENTRIES)
_ONLY_IN = (AdjustmentReason.OPENING, AdjustmentReason.FORK, AdjustmentReason.AIRDROP)
_ONLY_OUT = (AdjustmentReason.LOST,)
FEED = "manual"  # of entries by hand
# A fact may carry an instant a little before the report that first showed it.
_BEFORE = timedelta(days=1)
_JUST_BEFORE = timedelta(milliseconds=1)


class RemedyNotPossible(DomainError):
    code = "remedy_not_possible"
    status = 409
    message = "This cannot be done about this difference."


class DifferenceChanged(DomainError):
    code = "difference_changed"
    status = 409
    message = "This difference has changed meanwhile. Look at it again before you repair it."


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks for. ``feeds`` empty: those of the likeliest cause that names any."""

    action: str
    feeds: Sequence[str] = ()
    reason: str = AdjustmentReason.CORRECTION
    note: str = ""
    transfer: UUID | None = None
    cost_asset: UUID | None = None
    cost_quantity: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What was done: feeds to be read again and their run, or entries booked or deleted."""

    action: str
    sync_run: UUID | None = None
    feeds: Sequence[str] = field(default_factory=tuple)
    adjustment: UUID | None = None
    transfer: UUID | None = None
    entries: Sequence[UUID] = field(default_factory=tuple)


def repair(*, user: User, discrepancy_id: UUID, wish: Wish, now: datetime) -> Done:
    """Do one thing about a discrepancy; returns what was done.

    Raises NotFound (also when it is gone meanwhile), DifferenceChanged, InvalidInput,
    RemedyNotPossible, and what asking for a sync raises.
    """
    with tenancy.as_user(user.id):
        seen = _find(user.id, discrepancy_id)
        if seen is None:
            raise NotFound
        row = _computed_anew(seen, now)
        if row is not None and row.difference == seen.difference:
            return _repaired(user, row, wish, now)
    # Out here, so that what was computed anew stays.
    raise NotFound if row is None else DifferenceChanged


def _find(user_id: UUID, discrepancy_id: UUID) -> Discrepancy | None:
    rows = Discrepancy.objects.filter(user_id=user_id, id=discrepancy_id)
    return rows.select_related("connection").first()


def _computed_anew(seen: Discrepancy, now: datetime) -> Discrepancy | None:
    """The difference as the books stand now, whatever was entered since it was last computed.

    Nobody adds to the account's books until this transaction ends.
    """
    ExchangeConnection.objects.select_for_update().get(id=seen.connection_id)
    discrepancies.refresh(user_id=seen.user_id, now=now)
    return _find(seen.user_id, seen.id)


def _repaired(user: User, row: Discrepancy, wish: Wish, now: datetime) -> Done:
    done = _DO[wish.action](user, row, wish, now)
    log.record(
        Action.DISCREPANCY_REPAIRED, user_id=user.id, remedy=wish.action,
        connection_id=str(row.connection_id), asset_id=str(row.asset_id),
        difference=format(row.difference.normalize(), "f"),
    )  # fmt: skip
    return done


# --- read again ---------------------------------------------------------------------------------
def _fetch_window(user: User, row: Discrepancy, wish: Wish, now: datetime) -> Done:
    """Forget that feeds were read since the last report that agreed, and queue a sync."""
    connection = ExchangeConnection.objects.select_for_update().get(id=row.connection_id)
    if connection.kind == ConnectionKind.MANUAL:
        raise RemedyNotPossible
    feeds = tuple(wish.feeds) or _named_feeds(row)
    _refuse_unknown(feeds, row)
    run = requests.request_again(user=user, connection=connection, now=now)
    _forget(row, feeds)
    return Done(FETCH_WINDOW, sync_run=run.id, feeds=feeds)


def _named_feeds(row: Discrepancy) -> tuple[str, ...]:
    """Of the likeliest cause that names feeds; else every feed, once."""
    for cause in row.causes:
        if cause["feeds"]:
            return tuple(cause["feeds"])
    return tuple(sorted(_read_feeds(row)))


def _read_feeds(row: Discrepancy) -> set[str]:
    owner = {"user_id": row.user_id, "connection_id": row.connection_id}
    return set(Coverage.objects.filter(**owner).values_list("feed", flat=True))


def _refuse_unknown(feeds: Iterable[str], row: Discrepancy) -> None:
    known = _read_feeds(row) | {name for cause in row.causes for name in cause["feeds"]}
    for name in feeds:
        if name not in known:
            raise InvalidInput.of("feeds", "This account has no such feed.")


def _forget(row: Discrepancy, feeds: Sequence[str]) -> None:
    """Coverage of a feed read by time ends where the window begins; one that is read by id, or
    for which no report agreed, is read from its beginning."""
    covered = Coverage.objects.filter(
        user_id=row.user_id, connection_id=row.connection_id, feed__in=feeds
    )
    if row.agreed_at is None:
        covered.delete()
        return
    since = row.agreed_at - _BEFORE
    covered.filter(~Q(cursor="") | Q(since__gte=since)).delete()
    covered.filter(until__gt=since).update(until=since)


# --- book by hand -------------------------------------------------------------------------------
def _book_adjustment(user: User, row: Discrepancy, wish: Wish, now: datetime) -> Done:
    """Book the difference itself, where it appeared; it stays visible as what it is."""
    _refuse_reason(row, wish)
    _refuse_cost(row, wish)
    named = {str(row.asset_id): row.asset_id}
    if wish.cost_asset:
        named[str(wish.cost_asset)] = wish.cost_asset
    fact = Adjustment(
        feed=FEED, exchange_id=f"repair-{ids.new_id()}", reason=wish.reason,
        code=str(row.asset_id), quantity=row.difference, note=wish.note, wallet=row.wallet,
        cost_code=str(wish.cost_asset) if wish.cost_asset else None,
        cost_quantity=wish.cost_quantity, occurred_at=_when(row),
    )  # fmt: skip
    _book(user, row, fact, named, now)
    entry = LedgerEntry.objects.get(
        user_id=user.id, adjustment__exchange_id=fact.exchange_id, connection_id=row.connection_id
    )
    return Done(BOOK_ADJUSTMENT, adjustment=entry.adjustment_id)


def _refuse_reason(row: Discrepancy, wish: Wish) -> None:
    came_in = row.difference > 0
    if wish.reason in (_ONLY_OUT if came_in else _ONLY_IN):
        way = "came in" if came_in else "went out"
        raise InvalidInput.of("reason", f"Units that {way} cannot have this reason.")


def _refuse_cost(row: Discrepancy, wish: Wish) -> None:
    if (wish.cost_asset is None) != (wish.cost_quantity is None):
        raise InvalidInput.of("cost_quantity", "Give the cost together with its asset.")
    if wish.cost_asset and row.difference < 0:
        raise InvalidInput.of("cost_quantity", "Only units that came in have a cost.")
    if wish.cost_asset and not Asset.objects.filter(id=wish.cost_asset).exists():
        raise InvalidInput.of("cost_asset", "We do not know this asset.")


def _when(row: Discrepancy) -> datetime:
    """Units that came in: before the books first lacked them. Units that went: when it was seen."""
    if row.difference < 0:
        return row.appeared_at
    booked = LedgerEntry.objects.filter(
        user_id=row.user_id, connection_id=row.connection_id, asset_id=row.asset_id,
        wallet=row.wallet,
    ).order_by("occurred_at")  # fmt: skip
    lacked = differences.below_zero(
        Movement(at, quantity) for at, quantity in booked.values_list("occurred_at", "quantity")
    )
    return min(filter(None, (lacked and lacked - _JUST_BEFORE, row.appeared_at)))


def _book(user: User, row: Discrepancy, fact: Fact, named: dict[str, UUID], now: datetime) -> None:
    meanings = {code: DatedAsset(((None, None, asset_id),)) for code, asset_id in named.items()}
    stored = facts.store(
        user_id=user.id, connection_id=row.connection_id, facts=[fact], meanings=meanings
    )
    accounts_by_hand.follow_ledger(account=row.connection, asset_ids=stored.touched.keys(), now=now)
    books.changed(user_id=user.id, touched=stored.touched, now=now)
    discrepancies.refresh(user_id=user.id, now=now)


# --- too much in the books ----------------------------------------------------------------------
def _delete_entries(user: User, row: Discrepancy, wish: Wish, now: datetime) -> Done:
    """Remove the entries of the person's own that make up the difference."""
    named = next((cause["entries"] for cause in row.causes if cause["entries"]), None)
    if not named:
        raise RemedyNotPossible
    for entry_id in named:
        entries.remove(user_id=user.id, entry_id=UUID(entry_id), now=now)
    discrepancies.refresh(user_id=user.id, now=now)
    return Done(DELETE_ENTRIES, entries=tuple(UUID(entry_id) for entry_id in named))


# --- the other half of a transfer ---------------------------------------------------------------
def _match_transfer(user: User, row: Discrepancy, wish: Wish, now: datetime) -> Done:
    """Book the half that this account never told, and pair it with the half that is known.

    The lots then travel with their dates and cost.
    """
    other = _other_half(row, wish)
    came_in = row.difference > 0
    fact = TransferFact(
        feed=FEED, exchange_id=f"repair-{ids.new_id()}",
        direction=Direction.DEPOSIT if came_in else Direction.WITHDRAWAL,
        code=str(row.asset_id), wallet=row.wallet, counter_wallet="", settled=True,
        txid=other.txid, address="", network=other.network, occurred_at=other.occurred_at,
        **_amounts(row, other),
    )  # fmt: skip
    _book(user, row, fact, {str(row.asset_id): row.asset_id}, now)
    made = Transfer.objects.get(
        user_id=user.id, connection_id=row.connection_id, exchange_id=fact.exchange_id
    )
    sides = (other.id, made.id) if came_in else (made.id, other.id)
    matches.pair(user_id=user.id, withdrawal_id=sides[0], deposit_id=sides[1], now=now)
    return Done(MATCH_TRANSFER, transfer=made.id)


def _other_half(row: Discrepancy, wish: Wish) -> Transfer:
    wanted = wish.transfer or _named_transfer(row)
    wanted_direction = Direction.WITHDRAWAL if row.difference > 0 else Direction.DEPOSIT
    found = (
        Transfer.objects.filter(user_id=row.user_id, id=wanted)
        .exclude(connection_id=row.connection_id)
        .first()
    )
    if found is None:
        raise NotFound
    if (found.direction, found.asset_id) != (wanted_direction, row.asset_id):
        raise RemedyNotPossible
    return found


def _named_transfer(row: Discrepancy) -> str:
    for cause in row.causes:
        if cause["transfer"] and MATCH_TRANSFER in cause["remedies"]:
            return cause["transfer"]
    raise RemedyNotPossible


def _amounts(row: Discrepancy, other: Transfer) -> dict[str, Any]:
    """What arrived is the difference; what left is what arrived there, and the rest was the fee."""
    units = abs(row.difference)
    if row.difference > 0:
        return {"quantity": min(units, other.quantity), "fee_code": None, "fee_quantity": None}
    fee = units - other.quantity
    if fee < 0:
        raise RemedyNotPossible
    return {
        "quantity": other.quantity,
        "fee_code": str(row.asset_id) if fee else None,
        "fee_quantity": fee or None,
    }


_DO = {
    FETCH_WINDOW: _fetch_window,
    BOOK_ADJUSTMENT: _book_adjustment,
    MATCH_TRANSFER: _match_transfer,
    DELETE_ENTRIES: _delete_entries,
}
