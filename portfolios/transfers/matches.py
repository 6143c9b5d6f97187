"""Withdrawals and deposits that are one move between own accounts: stored, confirmed, undone."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet

from audit import log
from audit.actions import Action
from exchanges.models import Asset
from exchanges.reports import Direction
from portfolios.importing import cells
from portfolios.ledger import books
from portfolios.models import (
    MatchOrigin,
    Transfer,
    TransferMatch,
    TransferMeaning,
    TransferNote,
)
from portfolios.transfers import matching
from portfolios.transfers.matching import Pair, Sent
from tracker import bulk, ids
from tracker.api import InvalidInput
from tracker.errors import DomainError, NotFound

# What a person says about a withdrawal or deposit without counterpart, by its direction.
_OF_DEPOSIT = (
    TransferMeaning.PURCHASE, TransferMeaning.GIFT_RECEIVED, TransferMeaning.INCOME,
    TransferMeaning.OWN_DEPOSIT,
)  # fmt: skip
# These say that the counterpart is an own wallet: a pair may still be found for them.
_OWN = (TransferMeaning.OWN_DEPOSIT, TransferMeaning.OWN_WITHDRAWAL)
CANDIDATES = 20
# What a person may call one move. A date without an hour may put the arrival before the sending;
# of a small amount a network may keep a large part.
_EARLIEST_BY_HAND, _LATEST_BY_HAND = timedelta(days=1), timedelta(days=90)
_LEAST_SHARE_BY_HAND = Decimal("0.5")


class AlreadyMatched(DomainError):
    code = "transfer_already_matched"
    status = 409
    message = "This withdrawal or deposit already belongs to another pair. Undo that one first."


class NotAPair(DomainError):
    code = "transfers_do_not_match"
    status = 409
    message = (
        "These two cannot be one move: a withdrawal and a deposit of the same asset are needed, "
        "no more than was sent and at least half of it can arrive, and within 90 days."
    )


# --- found by us --------------------------------------------------------------------------------
def pair_new(*, user_id: UUID, now: datetime) -> dict[UUID, datetime]:
    """Pair what is unpaired and unambiguous; returns touched assets and from when on.

    A pair that is stored stays, whatever arrives later, unless one of its sides turns out to
    share its transaction with another transfer. Call inside ``as_user``.
    """
    found = _locked(user_id, matching.unambiguous(open_candidates(user_id=user_id)))
    touched = _give_way(user_id, found)
    rows = [
        TransferMatch(
            id=ids.new_id(), user_id=user_id, withdrawal_id=pair.withdrawal.id,
            deposit_id=pair.deposit.id, origin=MatchOrigin.AUTOMATIC, evidence=pair.evidence(),
            created_at=now,
        )
        for pair in found
    ]  # fmt: skip
    new = bulk.insert_new(rows)
    made = _touched(pair for pair, row in zip(found, rows, strict=True) if row.id in new)
    # The transfers that lost their counterpart may belong to each other.
    again = pair_new(user_id=user_id, now=now) if touched else {}
    return _earliest(touched, made, again)


def open_candidates(*, user_id: UUID) -> list[Pair]:
    """Every possible pair of transfers that are in none, surest first. Inside ``as_user``.

    Transfers of a pair that we found without a common transaction are open to one that has one.
    """
    decided = _decided(user_id)
    explained = set(
        TransferNote.objects.filter(user_id=user_id)
        .exclude(meaning__in=_OWN)
        .values_list("transfer_id", flat=True)
    )
    withdrawals, deposits = _open_sides(user_id, decided, explained)
    found = matching.candidates(
        withdrawals, deposits, refused=decided.refused, usual_fees=_usual_fees(user_id, withdrawals)
    )
    return [
        pair
        for pair in found
        if pair.has_same_txid or not decided.loosely & {pair.withdrawal.id, pair.deposit.id}
    ]


@dataclass(frozen=True, slots=True)
class _Decided:
    """Transfers in pairs that stay, in pairs that may give way, and what was taken apart."""

    firmly: set[UUID] = field(default_factory=set)
    loosely: set[UUID] = field(default_factory=set)
    refused: set[tuple[UUID, UUID]] = field(default_factory=set)


def _decided(user_id: UUID) -> _Decided:
    found = _Decided()
    for row in TransferMatch.objects.filter(user_id=user_id):
        if not row.is_pair:
            found.refused.add((row.withdrawal_id, row.deposit_id))
            continue
        group = found.loosely if _may_give_way(row) else found.firmly
        group |= {row.withdrawal_id, row.deposit_id}
    return found


def _is_ours_alone(row: TransferMatch) -> bool:
    """Whether nobody has agreed with a pair that we found."""
    return row.origin == MatchOrigin.AUTOMATIC and row.confirmed_at is None


def _may_give_way(row: TransferMatch) -> bool:
    return _is_ours_alone(row) and not row.evidence.get("same_txid")


def _locked(user_id: UUID, pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs of which both transfers are still there; nobody else pairs them meanwhile."""
    there = _lock_transfers(user_id, _sides(pairs))
    return [pair for pair in pairs if {pair.withdrawal.id, pair.deposit.id} <= there]


def _sides(pairs: Iterable[Pair]) -> set[UUID]:
    return {side.id for pair in pairs for side in (pair.withdrawal, pair.deposit)}


def _lock_transfers(user_id: UUID, keys: Collection[UUID]) -> set[UUID]:
    """Whoever pairs any of these waits for us; always in the order of their ids."""
    rows = Transfer.objects.filter(user_id=user_id, id__in=keys).order_by("id")
    return set(rows.select_for_update(no_key=True).values_list("id", flat=True))


def _give_way(user_id: UUID, found: Sequence[Pair]) -> dict[UUID, datetime]:
    """Delete stored pairs in whose place new ones come; returns assets and from when on."""
    freed: dict[UUID, datetime] = {}
    for row in _pairs_with(user_id, _sides(found)):
        if _may_give_way(row):
            freed = _earliest(freed, {row.deposit.asset_id: _began(row)})
            row.delete()
    return freed


def _pairs_with(user_id: UUID, sides: Collection[UUID]) -> QuerySet[TransferMatch]:
    """Stored pairs of any of these transfers, locked."""
    return (
        TransferMatch.objects.select_for_update(of=("self",))
        .select_related("withdrawal", "deposit")
        .filter(Q(withdrawal__in=sides) | Q(deposit__in=sides), user_id=user_id, is_pair=True)
        .order_by("id")
    )


def _began(row: TransferMatch) -> datetime:
    return min(row.withdrawal.occurred_at, row.deposit.occurred_at)


def _usual_fees(
    user_id: UUID, withdrawals: Iterable[Sent]
) -> dict[tuple[UUID, UUID], set[Decimal]]:
    """Units that an account paid for sending an asset: reported, or in a pair agreed with."""
    assets = {side.asset for side in withdrawals}
    found: dict[tuple[UUID, UUID], set[Decimal]] = defaultdict(set)
    told = Transfer.objects.filter(
        user_id=user_id, asset_id__in=assets, direction=Direction.WITHDRAWAL,
        fee_asset_id=F("asset_id"), fee_quantity__gt=0,
    ).order_by()  # fmt: skip
    for account, asset, fee in told.values_list(
        "connection_id", "asset_id", "fee_quantity"
    ).distinct():
        found[account, asset].add(fee or Decimal(0))
    agreed = TransferMatch.objects.filter(
        user_id=user_id, is_pair=True, withdrawal__asset_id__in=assets
    ).exclude(confirmed_at=None)
    for account, asset, sent, received in agreed.values_list(
        "withdrawal__connection_id", "withdrawal__asset_id", "withdrawal__quantity",
        "deposit__quantity",
    ):  # fmt: skip
        found[account, asset].add(sent - received)
    return found


def _open_sides(
    user_id: UUID, decided: _Decided, explained: Collection[UUID]
) -> tuple[list[Sent], list[Sent]]:
    sides: dict[str, list[Sent]] = {Direction.WITHDRAWAL: [], Direction.DEPOSIT: []}
    settled = Transfer.objects.filter(
        user_id=user_id, is_settled=True, direction__in=list(sides), asset__is_fiat=False
    )
    rows = settled.filter(asset_id__in=_movable(settled))
    for row in rows.values_list(
        "id", "connection_id", "asset_id", "quantity", "fee_quantity", "fee_asset_id", "txid",
        "occurred_at", "direction",
    ):  # fmt: skip
        side = _side(row)
        open_to_one_txid = side.txid if side.id in decided.loosely else True
        if open_to_one_txid and side.id not in decided.firmly and side.id not in explained:
            sides[row[8]].append(side)
    return sides[Direction.WITHDRAWAL], sides[Direction.DEPOSIT]


def _movable(settled: QuerySet[Transfer]) -> QuerySet[Any]:
    """Assets that went out and came in, at different accounts or in one transaction."""
    named = ~Q(txid="")
    return (
        settled.order_by()
        .values("asset_id")
        .annotate(
            ways=Count("direction", distinct=True), accounts=Count("connection_id", distinct=True),
            told=Count("txid", filter=named), different=Count("txid", filter=named, distinct=True),
        )
        .filter(Q(accounts__gt=1) | Q(told__gt=F("different")), ways=2)
        .values("asset_id")
    )  # fmt: skip


def _side(row: tuple[Any, ...]) -> Sent:
    key, account, asset, quantity, fee, fee_asset, txid, at = row[:8]
    own_fee = fee if fee and fee_asset == asset else quantity * 0
    return Sent(key, account, asset, quantity, own_fee, txid, at)


def _touched(pairs: Iterable[Pair]) -> dict[UUID, datetime]:
    began = ({pair.deposit.asset: min(pair.withdrawal.at, pair.deposit.at)} for pair in pairs)
    return _earliest(*began)


def _earliest(*touched: Mapping[UUID, datetime]) -> dict[UUID, datetime]:
    found: dict[UUID, datetime] = {}
    for each in touched:
        for asset_id, at in each.items():
            found[asset_id] = min(found.get(asset_id, at), at)
    return found


# --- shown --------------------------------------------------------------------------------------
def pairs_of(user_id: UUID) -> QuerySet[Any]:
    """A person's pairs as plain rows, newest move first."""
    return (
        TransferMatch.objects.filter(user_id=user_id, is_pair=True)
        .annotate(occurred_at=F("withdrawal__occurred_at"))
        .values(
            "id", "origin", "evidence", "confirmed_at", "created_at", "occurred_at",
            "withdrawal", "deposit",
            asset=F("withdrawal__asset_id"), code=F("withdrawal__asset__code"),
            sent=F("withdrawal__quantity"), received=F("deposit__quantity"),
            received_at=F("deposit__occurred_at"),
            from_connection=F("withdrawal__connection_id"),
            to_connection=F("deposit__connection_id"),
        )
    )  # fmt: skip


def suggestions(*, user_id: UUID) -> list[dict[str, Any]]:
    """Pairs that are possible and left to the person, surest first; at most 20. Inside
    ``as_user``."""
    return [_suggestion(pair) for pair in open_candidates(user_id=user_id)[:CANDIDATES]]


def codes_of(asset_ids: Collection[UUID]) -> dict[UUID, str]:
    """The labels of assets."""
    return dict(Asset.objects.filter(id__in=asset_ids).values_list("id", "code"))


def _suggestion(pair: Pair) -> dict[str, Any]:
    return {
        "withdrawal": pair.withdrawal.id,
        "deposit": pair.deposit.id,
        "asset": pair.withdrawal.asset,
        "sent": pair.withdrawal.quantity,
        "received": pair.deposit.quantity,
        "occurred_at": pair.withdrawal.at,
        "received_at": pair.deposit.at,
        "evidence": pair.evidence(),
    }


# --- decided by the person ----------------------------------------------------------------------
def pair(*, user_id: UUID, withdrawal_id: UUID, deposit_id: UUID, now: datetime) -> UUID:
    """Say that two transfers are one move; returns the pair's id. Call inside ``as_user``.

    An automatic pair of either side gives way. Raises NotFound, NotAPair, AlreadyMatched (either
    side belongs to another pair of the person's).
    """
    _lock_transfers(user_id, {withdrawal_id, deposit_id})
    withdrawal = _transfer(user_id, withdrawal_id)
    deposit = _transfer(user_id, deposit_id)
    _refuse_impossible(withdrawal, deposit)
    _make_room(user_id, withdrawal, deposit, now)
    row, _ = TransferMatch.objects.update_or_create(
        user_id=user_id, withdrawal=withdrawal, deposit=deposit,
        defaults={
            "is_pair": True, "origin": MatchOrigin.PERSON, "confirmed_at": now,
            "evidence": _evidence(withdrawal, deposit),
        },
    )  # fmt: skip
    _tell(user_id, Action.TRANSFERS_MATCHED, row, now)
    return row.id


def confirm(*, user_id: UUID, match_id: UUID, now: datetime) -> UUID:
    """Agree with a pair that was found; it then stays for good. Raises NotFound. In as_user."""
    row = _match(user_id, match_id)
    if row.confirmed_at is None:
        row.confirmed_at = now
        row.save(update_fields=["confirmed_at"])
        log.record(Action.TRANSFERS_MATCHED, user_id=user_id, match_id=str(row.id))
    return row.id


def unpair(*, user_id: UUID, match_id: UUID, now: datetime) -> None:
    """Take a pair apart; the two are not paired again by themselves. Raises NotFound."""
    row = _match(user_id, match_id)
    row.is_pair, row.origin, row.confirmed_at = False, MatchOrigin.PERSON, now
    row.save(update_fields=["is_pair", "origin", "confirmed_at"])
    _tell(user_id, Action.TRANSFERS_UNMATCHED, row, now)


def _match(user_id: UUID, match_id: UUID) -> TransferMatch:
    rows = TransferMatch.objects.select_for_update(of=("self",)).filter(
        user_id=user_id, id=match_id, is_pair=True
    )
    found = rows.select_related("withdrawal", "deposit").first()
    if found is None:
        raise NotFound
    return found


def _transfer(user_id: UUID, transfer_id: UUID) -> Transfer:
    found = Transfer.objects.filter(user_id=user_id, id=transfer_id).first()
    if found is None:
        raise NotFound
    return found


def _refuse_impossible(withdrawal: Transfer, deposit: Transfer) -> None:
    directions = (withdrawal.direction, deposit.direction)
    fits = (
        directions == (Direction.WITHDRAWAL, Direction.DEPOSIT)
        and withdrawal.asset_id == deposit.asset_id
        and withdrawal.is_settled
        and deposit.is_settled
        and _in_time(withdrawal, deposit)
        and withdrawal.quantity * _LEAST_SHARE_BY_HAND <= deposit.quantity <= withdrawal.quantity
    )
    if not fits:
        raise NotAPair


def _in_time(withdrawal: Transfer, deposit: Transfer) -> bool:
    return -_EARLIEST_BY_HAND <= deposit.occurred_at - withdrawal.occurred_at <= _LATEST_BY_HAND


def _make_room(user_id: UUID, withdrawal: Transfer, deposit: Transfer, now: datetime) -> None:
    others = _pairs_with(user_id, {withdrawal.id, deposit.id})
    for other in others.exclude(withdrawal=withdrawal, deposit=deposit):
        if not _is_ours_alone(other):
            raise AlreadyMatched
        books.changed(user_id=user_id, touched={deposit.asset_id: _began(other)}, now=now)
        other.delete()  # not taken apart by the person: it may be found again


def _evidence(withdrawal: Transfer, deposit: Transfer) -> dict[str, Any]:
    sides = [
        Sent(
            row.id, row.connection_id, row.asset_id, row.quantity,
            row.fee_quantity or row.quantity * 0, row.txid, row.occurred_at,
        )
        for row in (withdrawal, deposit)
    ]  # fmt: skip
    told = Pair(sides[0], sides[1], certainty=sides[0].quantity * 0 + 1).evidence()
    return {**told, "decided_by": "person"}


def _tell(user_id: UUID, action: Action, row: TransferMatch, now: datetime) -> None:
    log.record(action, user_id=user_id, match_id=str(row.id))
    books.changed(user_id=user_id, touched={row.deposit.asset_id: _began(row)}, now=now)


# --- what a transfer without counterpart was ----------------------------------------------------
def note(
    *, user_id: UUID, transfer_id: UUID, given: dict[str, Any], now: datetime
) -> dict[str, Any]:
    """Say what a transfer was, instead of what was said before. Call inside ``as_user``.

    ``given``: meaning, and for units that came in cost_asset (id), cost_quantity, acquired_at,
    note. Raises NotFound, InvalidInput, AlreadyMatched (it is half of a pair).
    """
    transfer = _transfer(user_id, transfer_id)
    _refuse_nonsense(transfer, given)
    if _is_paired(user_id, transfer):
        raise AlreadyMatched
    row, _ = TransferNote.objects.update_or_create(
        user_id=user_id, transfer=transfer,
        defaults={
            "meaning": given["meaning"], "cost_asset_id": given.get("cost_asset"),
            "cost_quantity": given.get("cost_quantity"), "note": given.get("note", ""),
            "acquired_at": given.get("acquired_at"),
        },
    )  # fmt: skip
    log.record(
        Action.TRANSFER_NOTED, user_id=user_id, transfer_id=str(transfer.id), meaning=row.meaning
    )
    books.changed(user_id=user_id, touched={transfer.asset_id: transfer.occurred_at}, now=now)
    return notes_of(user_id).get(transfer_id=transfer.id)


def forget_note(*, user_id: UUID, transfer_id: UUID, now: datetime) -> None:
    """Take back what was said about a transfer. Raises NotFound. Call inside ``as_user``."""
    transfer = _transfer(user_id, transfer_id)
    deleted, _ = TransferNote.objects.filter(user_id=user_id, transfer=transfer).delete()
    if not deleted:
        raise NotFound
    log.record(Action.TRANSFER_NOTED, user_id=user_id, transfer_id=str(transfer.id), meaning="")
    books.changed(user_id=user_id, touched={transfer.asset_id: transfer.occurred_at}, now=now)


def notes_of(user_id: UUID) -> QuerySet[Any]:
    """What a person said about transfers, as plain rows."""
    return TransferNote.objects.filter(user_id=user_id).values(
        "transfer", "meaning", "cost_asset", "cost_quantity", "acquired_at", "note",
        cost_code=F("cost_asset__code"),
    )  # fmt: skip


def _refuse_nonsense(transfer: Transfer, given: dict[str, Any]) -> None:
    if transfer.direction == Direction.INTERNAL:
        raise InvalidInput.of("meaning", "A move between wallets of one account needs no note.")
    came_in = transfer.direction == Direction.DEPOSIT
    if came_in != (given["meaning"] in _OF_DEPOSIT):
        raise InvalidInput.of("meaning", f"A {transfer.direction} cannot have been this.")
    about_cost = [name for name in ("cost_quantity", "acquired_at") if given.get(name) is not None]
    if about_cost and not came_in:
        raise InvalidInput.of(about_cost[0], "Only units that came in have a cost here.")
    if (given.get("cost_quantity") is None) != (given.get("cost_asset") is None):
        raise InvalidInput.of("cost_quantity", "Give the cost together with its asset.")
    cost_asset = given.get("cost_asset")
    if cost_asset and not Asset.objects.filter(id=cost_asset).exists():
        raise InvalidInput.of("cost_asset", "We do not know this asset.")
    acquired = given.get("acquired_at")
    if acquired and acquired < cells.GENESIS:
        raise InvalidInput.of("acquired_at", "This lies before 3 January 2009, the first Bitcoin.")
    if acquired and acquired > transfer.occurred_at:
        raise InvalidInput.of("acquired_at", "Units cannot be acquired after they arrived.")


def _is_paired(user_id: UUID, transfer: Transfer) -> bool:
    return TransferMatch.objects.filter(
        Q(withdrawal=transfer) | Q(deposit=transfer), user_id=user_id, is_pair=True
    ).exists()
