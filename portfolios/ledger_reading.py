"""Reading a person's ledger in bulk, as ``booking`` wants it: legs as plain tuples, facts by id.

Call inside ``as_user``. All ids in what is returned are the 16 bytes that PostgreSQL sends
(``bulk.read``); nobody between here and ``lot_tables`` looks into them.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from portfolios.booking import Booked, Entry, FactBook, Given, Note
from tracker import bulk

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_TRADE, _TRANSFER, _REWARD, _ADJUSTMENT = 7, 8, 9, 10

# The columns of booking.Entry. Zeros behind the last digit would make each sum slower.
_LEGS = """
SELECT id, occurred_at, asset_id, connection_id, kind, trim_scale(quantity), leg,
       trade_id, transfer_id, reward_id, adjustment_id
FROM ledger_entries WHERE user_id = %(user)s"""
# All legs of a fact have one instant.
_TOUCHING = """
    AND occurred_at > %(since)s AND (
        asset_id = ANY(%(assets)s)
        OR trade_id IN (
            SELECT trade_id FROM ledger_entries
            WHERE user_id = %(user)s AND occurred_at > %(since)s AND asset_id = ANY(%(assets)s)
              AND trade_id IS NOT NULL)
        OR transfer_id IN (
            SELECT transfer_id FROM ledger_entries
            WHERE user_id = %(user)s AND occurred_at > %(since)s AND asset_id = ANY(%(assets)s)
              AND transfer_id IS NOT NULL))"""


def legs(
    *, user_id: UUID, assets: Collection[UUID] | None = None, after: datetime | None = None
) -> list[Entry]:
    """Every leg of the facts that touch these assets (None: of all), in no order."""
    if assets is None:
        return _read(_LEGS, user=user_id)
    return _read(_LEGS + _TOUCHING, user=user_id, assets=list(assets), since=after or _BEGINNING)


def facts(*, user_id: UUID, legs: Iterable[Entry]) -> FactBook:
    """What these legs do not say of their facts."""
    keys: dict[int, set[Any]] = {_TRANSFER: set(), _REWARD: set(), _ADJUSTMENT: set()}
    for leg in legs:
        if leg[_TRADE] is None:
            for place, found in keys.items():
                if leg[place] is not None:
                    found.add(leg[place])
    transfers = keys[_TRANSFER]
    return FactBook(
        rewards=_rewards(user_id, keys[_REWARD]),
        adjustments=_adjustments(user_id, keys[_ADJUSTMENT]),
        notes=_notes(user_id, transfers),
        pairs=_pairs(user_id, transfers),
    )


def _rewards(user_id: UUID, keys: Collection[bytes]) -> Mapping[Any, str]:
    rows = _of("SELECT id, kind FROM rewards WHERE user_id = %(user)s AND id = ANY(%(ids)s)",
               user_id, keys)  # fmt: skip
    return dict(cast(Any, rows))


def _adjustments(user_id: UUID, keys: Collection[bytes]) -> Mapping[Any, Booked]:
    rows = _of(
        """
        SELECT id, reason, cost_asset_id, trim_scale(cost_quantity) FROM adjustments
        WHERE user_id = %(user)s AND id = ANY(%(ids)s)
        """,
        user_id, keys,
    )  # fmt: skip
    return {key: Booked(reason, _given(asset, units)) for key, reason, asset, units in rows}


def _notes(user_id: UUID, keys: Collection[bytes]) -> Mapping[Any, Note]:
    rows = _of(
        """
        SELECT transfer_id, meaning, cost_asset_id, trim_scale(cost_quantity), acquired_at
        FROM transfer_notes WHERE user_id = %(user)s AND transfer_id = ANY(%(ids)s)
        """,
        user_id, keys,
    )  # fmt: skip
    return {
        key: Note(meaning, _given(asset, units), since)
        for key, meaning, asset, units, since in rows
    }


def _pairs(user_id: UUID, keys: Collection[bytes]) -> Mapping[Any, Any]:
    rows = _of(
        """
        SELECT withdrawal_id, deposit_id FROM transfer_matches
        WHERE user_id = %(user)s AND is_pair
          AND (withdrawal_id = ANY(%(ids)s) OR deposit_id = ANY(%(ids)s))
        """,
        user_id, keys,
    )  # fmt: skip
    return dict(cast(Any, rows))


def _given(asset: Any, units: Any) -> Given | None:
    return None if asset is None or units is None else Given(asset, units)


def _of(sql: str, user_id: UUID, keys: Collection[bytes]) -> list[Any]:
    if not keys:
        return []
    return _read(sql, user=user_id, ids=[UUID(bytes=key) for key in keys])


def _read(sql: str, **parameters: Any) -> list[Any]:
    return bulk.read(sql, parameters)
