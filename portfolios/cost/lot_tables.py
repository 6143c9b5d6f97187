"""The tables of lots, disposals and incomes: written in bulk, and read where a book goes on.

Rows are computed from the ledger and nothing else, and so are their ids: a lot has that of its
entry, an income too, and so has the first disposal of an entry, from which those of the others
are made. Computed again they are the same rows. Call inside ``as_user``. Ids are 16 bytes, as
``ledger_reading`` gives them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from portfolios import models
from portfolios.cost.booking import Receipt
from portfolios.cost.lots import Acquisition, Lot, Method, Piece, unit_price
from tracker import bulk

# Lots that came without anybody saying from where: when they were acquired is not known either.
_DATELESS = frozenset({"deposit", "transfer", "adjustment"})


@dataclass(slots=True)
class Rows:
    """What was computed of one asset. Positions of pieces are counted from ``first_piece`` on.

    ``pieces`` may be computed while they are asked for; the lots are as they say afterwards.
    """

    asset: Any
    opened: list[Lot] = field(default_factory=list)
    changed: list[Lot] = field(default_factory=list)
    pieces: Iterable[Piece] = ()
    first_piece: int = 0
    receipts: list[Receipt] = field(default_factory=list)


# --- writing ------------------------------------------------------------------------------------
_LOT = {
    "id": "uuid", "asset_id": "uuid", "connection_id": "uuid", "entry_id": "uuid", "kind": "text",
    "position": "int8", "acquired_at": "timestamptz", "quantity": "numeric", "cost": "numeric",
    "remaining": "numeric", "remaining_cost": "numeric", "price": "numeric",
    "price_source": "text",
}  # fmt: skip
_INSERT_LOTS = """
INSERT INTO lots (id, user_id, asset_id, connection_id, entry_id, kind, position, acquired_at,
                  quantity, cost, remaining, remaining_cost, basis, price, price_source)
SELECT id, %(user)s, asset_id, connection_id, entry_id, kind, position, acquired_at, quantity,
       cost, remaining, remaining_cost, CASE WHEN cost IS NULL THEN 'unknown' ELSE 'known' END,
       price, price_source
FROM incoming
"""
_CHANGED = {
    "id": "uuid", "connection_id": "uuid", "quantity": "numeric", "cost": "numeric",
    "remaining": "numeric", "remaining_cost": "numeric", "price": "numeric",
}  # fmt: skip
# With "user_id =" PostgreSQL reads all lots of a person to find one, where it has not yet counted
# the rows (right after the first computation): 50 ms instead of 0.5.
_UPDATE_LOTS = """
UPDATE lots SET connection_id = incoming.connection_id, quantity = incoming.quantity,
    cost = incoming.cost, remaining = incoming.remaining, price = incoming.price,
    remaining_cost = incoming.remaining_cost
FROM incoming WHERE lots.id = incoming.id AND lots.user_id IS NOT DISTINCT FROM %(user)s
"""
_PIECE = {
    "id": "uuid", "asset_id": "uuid", "connection_id": "uuid", "entry_id": "uuid", "lot_id": "uuid",
    "kind": "text", "position": "int8", "disposed_at": "timestamptz",
    "acquired_at": "timestamptz", "quantity": "numeric", "cost": "numeric", "proceeds": "numeric",
    "price_source": "text",
}  # fmt: skip
_INSERT_PIECES = """
INSERT INTO disposals (id, user_id, asset_id, connection_id, entry_id, lot_id, kind, position,
                       disposed_at, acquired_at, quantity, cost, proceeds, gain, held_days, term,
                       basis, price_source)
SELECT id, %(user)s, asset_id, connection_id, entry_id, lot_id, kind, position, disposed_at,
       acquired_at, quantity, cost, proceeds, proceeds - cost, held.days,
       CASE WHEN held.days IS NULL THEN 'unknown' WHEN held.days > %(long_term_days)s THEN 'long'
            ELSE 'short' END,
       CASE WHEN cost IS NULL THEN 'unknown' ELSE 'known' END, price_source
FROM incoming CROSS JOIN LATERAL (
    SELECT (disposed_at AT TIME ZONE 'UTC')::date - (acquired_at AT TIME ZONE 'UTC')::date AS days
) AS held
"""
_RECEIPT = {
    "id": "uuid", "asset_id": "uuid", "connection_id": "uuid", "kind": "text",
    "received_at": "timestamptz", "quantity": "numeric", "value": "numeric",
    "price_source": "text",
}  # fmt: skip
_INSERT_RECEIPTS = """
INSERT INTO incomes (id, user_id, asset_id, connection_id, entry_id, kind, received_at, quantity,
                     value, price_source)
SELECT id, %(user)s, asset_id, connection_id, id, kind, received_at, quantity, value, price_source
FROM incoming
"""


def assets(*, user_id: UUID) -> set[UUID]:
    """Of which assets anything is stored."""
    found: set[UUID] = set()
    for table in (models.Lot, models.Disposal, models.Income):
        rows = table.objects.filter(user_id=user_id).order_by().values_list("asset_id", flat=True)
        found |= set(rows.distinct())
    return found


def remove(*, user_id: UUID, assets: Iterable[UUID]) -> None:
    """Throw away all that was computed of some assets."""
    with connection.cursor() as cursor:
        for table in ("disposals", "lots", "incomes"):
            cursor.execute(
                f"DELETE FROM {table} WHERE user_id = %s AND asset_id = ANY(%s)",  # noqa: S608  (ours)
                [user_id, list(assets)],
            )


def write(*, user_id: UUID, rows: Sequence[Rows], long_term_days: int) -> None:
    """Add what is new and bring up to date what has changed."""
    parameters = {"user": user_id, "long_term_days": long_term_days}
    with bulk.ahead():
        for found, columns, statement in (
            (_pieces(rows), _PIECE, _INSERT_PIECES),  # before lots are as the pieces leave them
            (_lots(rows), _LOT, _INSERT_LOTS),
            (_changed(rows), _CHANGED, _UPDATE_LOTS),
            (_receipts(rows), _RECEIPT, _INSERT_RECEIPTS),
        ):
            bulk.insert_from(found, columns=columns, statement=statement, parameters=parameters)


def _lots(rows: Iterable[Rows]) -> Iterator[tuple[Any, ...]]:
    for of_asset in rows:
        asset = of_asset.asset
        for lot in of_asset.opened:
            origin, left = lot.origin, lot.remaining_cost
            entry, _, account, quantity, cost, kind, source, _, key, price = origin
            if price is None:
                price = unit_price(origin)
            yield (
                key or entry, asset, account, entry, kind, lot.position, lot.acquired_at,
                str(quantity), None if cost is None else str(cost), str(lot.remaining),
                None if left is None else str(left), None if price is None else str(price),
                source,
            )  # fmt: skip


def _changed(rows: Iterable[Rows]) -> Iterator[tuple[Any, ...]]:
    for of_asset in rows:
        for lot in of_asset.changed:
            origin = lot.origin
            yield (
                lot.key, lot.account, str(origin.quantity), _text(origin.cost),
                str(lot.remaining), _text(lot.remaining_cost), _text(unit_price(origin)),
            )  # fmt: skip


def _pieces(rows: Iterable[Rows]) -> Iterator[tuple[Any, ...]]:
    for of_asset in rows:
        asset, before, number = of_asset.asset, None, 0
        for position, piece in enumerate(of_asset.pieces, of_asset.first_piece):
            what, lot, quantity, cost, proceeds, _ = piece
            entry, at, account, _, _, kind, source = what
            number = number + 1 if what is before else 0
            before = what
            yield (
                _numbered(entry, number) if number else entry, asset, account, entry,
                None if lot is None else lot.origin.key or lot.origin.entry_id, kind, position, at,
                None if lot is None else lot.acquired_at if cost is not None else acquired_at(lot),
                str(quantity), None if cost is None else str(cost),
                None if proceeds is None else str(proceeds), source,
            )  # fmt: skip


def _numbered(entry_id: Any, number: int) -> bytes:
    """The id of an entry's disposal. All begin alike, so that they lie together in the index."""
    return entry_id[:8] + (int.from_bytes(entry_id[8:]) ^ number).to_bytes(8)


def _text(number: Decimal | None) -> str | None:
    return None if number is None else str(number)


def acquired_at(lot: Lot | None) -> datetime | None:
    """When the units of a lot were acquired, as far as anybody said."""
    if lot is None or (lot.origin.cost is None and lot.origin.kind in _DATELESS):
        return None
    return lot.acquired_at


def _receipts(rows: Iterable[Rows]) -> Iterator[tuple[Any, ...]]:
    for of_asset in rows:
        for entry, at, asset, account, kind, quantity, value, source in of_asset.receipts:
            yield entry, asset, account, kind, at, str(quantity), _text(value), source


# --- where a book goes on -----------------------------------------------------------------------
_OPEN = """
SELECT entry_id, acquired_at, connection_id, trim_scale(quantity), trim_scale(cost), kind,
       price_source, id, position, trim_scale(remaining), trim_scale(remaining_cost),
       trim_scale(price)
FROM lots WHERE user_id = %(user)s AND asset_id = %(asset)s AND remaining > 0
ORDER BY {order} LIMIT %(limit)s
"""
_AGE = "acquired_at, position"
_ORDER = {
    Method.FIFO: _AGE,
    Method.LIFO: "acquired_at DESC, position DESC",
    Method.HIFO: f"price DESC NULLS LAST, {_AGE}",
    Method.LOFO: f"price ASC NULLS LAST, {_AGE}",
}
_NEXT = """
SELECT coalesce((SELECT max(position) + 1 FROM lots
                 WHERE user_id = %(user)s AND asset_id = %(asset)s), 0),
       coalesce((SELECT max(position) + 1 FROM disposals
                 WHERE user_id = %(user)s AND asset_id = %(asset)s), 0)
"""


def next_positions(*, user_id: UUID, asset: UUID) -> tuple[int, int]:
    """The positions of an asset's next lot and next disposal."""
    ((lot, disposal),) = bulk.read(_NEXT, {"user": user_id, "asset": asset})
    return lot, disposal


def open_lots(*, user_id: UUID, asset: UUID, method: Method, needed: Decimal | None) -> list[Lot]:
    """The open lots of an asset that the method takes first, until they cover ``needed`` units.

    With None all of them. The order is no promise.
    """
    if needed is None or method not in _ORDER:
        return _read_open(user_id, asset, _AGE, None)
    limit = 64
    while True:
        found = _read_open(user_id, asset, _ORDER[method], limit)
        if len(found) < limit or sum(lot.remaining for lot in found) >= needed:
            return found
        limit *= 16


def _read_open(user_id: UUID, asset: UUID, order: str, limit: int | None) -> list[Lot]:
    parameters: Mapping[str, Any] = {"user": user_id, "asset": asset, "limit": limit}
    return [_lot(row) for row in bulk.read(_OPEN.format(order=order), parameters)]


def _lot(row: Sequence[Any]) -> Lot:
    entry, since, account, quantity, cost, kind, source, key, position, remaining, worth, price = (
        row
    )
    origin = Acquisition(entry, since, account, quantity, cost, kind, source, since, key, price)
    return Lot(origin, position, remaining, worth)
