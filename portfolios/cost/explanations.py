"""Why an asset's gain is what it is: from its entries to lots, and from lots to what was gained.

Each entry stands with the fact it came from, the lots it opened, the pieces it gave up (each
names its lot, cost and proceeds) and the income it was, with the source of every price. One read
is a page of entries; a disposal of very many pieces shows the first and counts the others.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet, Sum, Window
from django.db.models.functions import RowNumber

from accounts.models import User
from exchanges.models import Asset
from portfolios.cost import gains, tallies
from portfolios.cost.gains import Extent
from portfolios.models import (
    Adjustment,
    Income,
    LedgerEntry,
    Lot,
    Reward,
    Trade,
    Transfer,
    TransferMatch,
    TransferNote,
)
from tracker import money
from tracker.errors import NotFound

PIECES_SHOWN = 50


def entries_of(user_id: UUID, asset_id: UUID) -> QuerySet[Any]:
    """The asset's ledger entries, where the chain begins."""
    return LedgerEntry.objects.filter(user_id=user_id, asset_id=asset_id).values(
        "id", "occurred_at", "kind", "quantity", "wallet", "connection", "trade", "transfer",
        "reward", "adjustment",
    )  # fmt: skip


def summary(*, user: User, asset_id: UUID, now: datetime) -> dict[str, Any]:
    """What is left of the asset and what it has gained so far. Call inside ``as_user``.

    Raises NotFound for an asset that this person never had.
    """
    if not LedgerEntry.objects.filter(user_id=user.id, asset_id=asset_id).exists():
        raise NotFound
    told = gains.overview(
        user=user, extent=Extent(asset_id=asset_id), method=user.cost_basis_method, now=now
    )
    head = {name: told[name] for name in (*gains.STANDING, "totals")}
    code = Asset.objects.values_list("code", flat=True).get(id=asset_id)
    return head | {"asset": asset_id, "code": code} | _held(user.id, asset_id)


def _held(user_id: UUID, asset_id: UUID) -> dict[str, Decimal]:
    held = Lot.objects.filter(user_id=user_id, asset_id=asset_id, remaining__gt=0).aggregate(
        units=Sum("remaining"),
        cost=Sum("remaining_cost"),
        unknown=Sum("remaining", filter=Q(remaining_cost=None)),
    )
    return {
        "remaining": held["units"] or tallies.ZERO,
        "remaining_cost": held["cost"] or tallies.ZERO,
        "remaining_of_unknown_basis": held["unknown"] or tallies.ZERO,
    }


def chain(
    *, user_id: UUID, asset_id: UUID, entries: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Entries with their facts, lots, pieces and income. Call inside ``as_user``.

    At most nine queries, however many entries.
    """
    mine = {
        "user_id": user_id,
        "asset_id": asset_id,
        "entry_id__in": [entry["id"] for entry in entries],
    }
    facts = _facts(user_id, entries)
    lots = _by_entry(gains.lots_of(user_id).filter(**mine).order_by("position"))
    pieces = _by_entry(_first_pieces(gains.disposals_of(user_id).filter(**mine)))
    incomes = _by_entry(_incomes().filter(**mine))
    return [
        {
            **{name: entry[name] for name in _OF_AN_ENTRY},
            "fact": facts.get(_fact_id(entry)),
            "lots": [_opened(row) for row in lots[entry["id"]]],
            "disposals": [_given_up(row) for row in pieces[entry["id"]]],
            "disposals_in_all": sum(row["of_entry"] for row in pieces[entry["id"]][:1]),
            "income": next((_earned(row) for row in incomes[entry["id"]]), None),
        }
        for entry in entries
    ]


_OF_AN_ENTRY = ("id", "occurred_at", "kind", "quantity", "wallet", "connection")


# --- what follows from an entry -----------------------------------------------------------------
def _first_pieces(rows: QuerySet[Any]) -> QuerySet[Any]:
    """The first pieces of each entry, each with how many there are in all."""
    in_order = Window(RowNumber(), partition_by="entry_id", order_by=["position", "id"])
    of_entry = Window(Count("*"), partition_by="entry_id")
    numbered = rows.annotate(place=in_order, of_entry=of_entry)
    return numbered.filter(place__lte=PIECES_SHOWN).order_by("position", "id")


def _incomes() -> QuerySet[Any]:
    return Income.objects.values("entry", "kind", "quantity", "value", source=F("price_source"))


def _by_entry(rows: Iterable[Mapping[str, Any]]) -> dict[UUID, list[Mapping[str, Any]]]:
    found: dict[UUID, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["entry"]].append(row)
    return found


def _opened(row: Mapping[str, Any]) -> dict[str, Any]:
    return _told(row, "id", "kind", "acquired_at", "remaining", "remaining_cost", "basis") | {
        "cost": row["cost"], "price": _per_unit(row["cost"], row["quantity"]),
    }  # fmt: skip


def _given_up(row: Mapping[str, Any]) -> dict[str, Any]:
    return _told(
        row, "id", "kind", "lot", "acquired_at", "cost", "proceeds", "gain", "held_days", "term",
        "basis",
    ) | {"price": _per_unit(row["proceeds"], row["quantity"])}  # fmt: skip


def _earned(row: Mapping[str, Any]) -> dict[str, Any]:
    return _told(row, "kind", "value") | {"price": _per_unit(row["value"], row["quantity"])}


def _told(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: row[name] for name in (*names, "quantity", "source")}


def _per_unit(amount: Decimal | None, quantity: Decimal) -> Decimal | None:
    """What one unit cost or fetched, to 30 decimals; the amount itself is the exact figure."""
    return None if amount is None else (amount / quantity).quantize(money.UNIT_QUANTUM)


# --- the fact of an entry -----------------------------------------------------------------------
def _fact_id(entry: Mapping[str, Any]) -> UUID | None:
    return entry["trade"] or entry["transfer"] or entry["reward"] or entry["adjustment"]


def _facts(user_id: UUID, entries: Sequence[Mapping[str, Any]]) -> dict[UUID | None, Any]:
    """Each fact by its id, with its type and what matters of it."""
    found: dict[UUID | None, Any] = {}
    for kind, read in _READERS.items():
        keys = [entry[kind] for entry in entries if entry[kind]]
        if keys:
            rows = read(user_id, keys)
            found |= {row["id"]: {"type": kind, **row} for row in rows}
    return found


def _trades(user_id: UUID, keys: Sequence[UUID]) -> Iterable[Mapping[str, Any]]:
    return Trade.objects.filter(user_id=user_id, id__in=keys).values(
        "id", "exchange_id", "kind", "side", "base_quantity", "quote_quantity", "fee_quantity",
        base_code=F("base_asset__code"), quote_code=F("quote_asset__code"),
        fee_code=F("fee_asset__code"),
    )  # fmt: skip


def _transfers(user_id: UUID, keys: Sequence[UUID]) -> Iterable[Mapping[str, Any]]:
    """With the other half of a pair, and what the person said it was."""
    rows = Transfer.objects.filter(user_id=user_id, id__in=keys).values(
        "id", "exchange_id", "direction", "txid"
    )
    pairs = _pairs(user_id, keys)
    notes = dict(
        TransferNote.objects.filter(user_id=user_id, transfer_id__in=keys).values_list(
            "transfer_id", "meaning"
        )
    )
    for row in rows:
        yield {**row, "pair": pairs.get(row["id"]), "meaning": notes.get(row["id"])}


def _pairs(user_id: UUID, keys: Sequence[UUID]) -> dict[UUID, UUID]:
    either = Q(withdrawal_id__in=keys) | Q(deposit_id__in=keys)
    found: dict[UUID, UUID] = {}
    for out, back in TransferMatch.objects.filter(
        either, user_id=user_id, is_pair=True
    ).values_list("withdrawal_id", "deposit_id"):
        found |= {out: back, back: out}
    return found


def _rewards(user_id: UUID, keys: Sequence[UUID]) -> Iterable[Mapping[str, Any]]:
    rows = Reward.objects.filter(user_id=user_id, id__in=keys)
    return rows.values("id", "exchange_id", "kind")


def _adjustments(user_id: UUID, keys: Sequence[UUID]) -> Iterable[Mapping[str, Any]]:
    return Adjustment.objects.filter(user_id=user_id, id__in=keys).values(
        "id", "reason", "note", "cost_quantity", cost_code=F("cost_asset__code")
    )


_READERS = {
    "trade": _trades,
    "transfer": _transfers,
    "reward": _rewards,
    "adjustment": _adjustments,
}
