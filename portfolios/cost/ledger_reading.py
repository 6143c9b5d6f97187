"""Reading a person's ledger in bulk, as ``booking`` wants it: legs as plain tuples, facts by id.

Call inside ``as_user``. All ids in what is returned are the 16 bytes that PostgreSQL sends
(``bulk.read``); nobody between here and ``lot_tables`` looks into them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from portfolios.cost.booking import NO_MONEY, Booked, Entry, FactBook, Given, Money, Note
from tracker import bulk

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_TRADE, _TRANSFER, _REWARD, _ADJUSTMENT = 7, 8, 9, 10

# What a trade's legs in the base currency say is two numbers of each trade.
_IS_MONEY = """
    trade_id IS NOT NULL AND asset_id = %(base)s
    AND (kind IN ('trade', 'conversion') OR kind = 'fee' AND quantity < 0)"""
# The columns of booking.Entry, but for the quantity, which is text. Zeros behind its last digit
# would make each sum slower.
_LEGS = f"""
SELECT id, occurred_at, asset_id, connection_id, kind, trim_scale(quantity)::text, leg,
       trade_id, transfer_id, reward_id, adjustment_id
FROM ledger_entries WHERE user_id = %(user)s AND NOT ({_IS_MONEY})
"""  # noqa: S608  (all parts are ours)
# Added up here: PostgreSQL would take as long again to group them, and give them back in an order
# that has nothing to do with that of the legs they are looked up for.
_MONEYS = f"""
SELECT trade_id, kind = 'fee', trim_scale(quantity)::text
FROM ledger_entries WHERE user_id = %(user)s AND {_IS_MONEY}
"""  # noqa: S608  (all parts are ours)
# All legs of a fact have one instant. A trade touches the base currency in no other way than by
# the leg itself.
_TRADES = """
    trade_id IN (
        SELECT trade_id FROM ledger_entries
        WHERE user_id = %(user)s AND occurred_at > %(since)s AND asset_id = ANY(%(assets)s)
          AND asset_id <> %(base)s AND trade_id IS NOT NULL)"""
_TOUCHING = f"""
    AND occurred_at > %(since)s AND (
        asset_id = ANY(%(assets)s)
        OR {_TRADES}
        OR transfer_id IN (
            SELECT transfer_id FROM ledger_entries
            WHERE user_id = %(user)s AND occurred_at > %(since)s AND asset_id = ANY(%(assets)s)
              AND transfer_id IS NOT NULL))
"""  # noqa: S608  (all parts are ours)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Legs in no order, and by trade what its legs in the base currency say in their place."""

    legs: list[Entry]
    moneys: Mapping[Any, Money]


def ledger(
    *,
    user_id: UUID,
    base: Any,
    assets: Collection[UUID] | None = None,
    after: datetime | None = None,
) -> Ledger:
    """All that is to be known of the facts that touch these assets (None: of all).

    ``base`` is the id of the base currency, ``after`` leaves out what happened until then.
    """
    parameters: dict[str, Any] = {"user": user_id, "base": UUID(bytes=base)}
    of_legs = of_moneys = ""
    if assets is not None:
        parameters |= {"assets": list(assets), "since": after or _BEGINNING}
        of_legs, of_moneys = _TOUCHING, f" AND occurred_at > %(since)s AND {_TRADES}"
    legs, moneys = bulk.read_each(
        (_LEGS + of_legs, _legs), (_MONEYS + of_moneys, _moneys), parameters=parameters
    )
    return Ledger(legs=legs, moneys=moneys)


def _legs(rows: Iterable[Sequence[Any]]) -> list[Any]:
    return [
        (key, at, asset, account, kind, Decimal(units), leg, trade, transfer, reward, adjustment)
        for key, at, asset, account, kind, units, leg, trade, transfer, reward, adjustment in rows
    ]


def _moneys(rows: Iterable[Sequence[Any]]) -> dict[Any, Money]:
    """What each trade's legs in the base currency come to. Mostly they follow each other."""
    found: dict[Any, Money] = {}
    before, paid, charge = None, *NO_MONEY
    for trade, is_fee, units in rows:
        if trade != before:
            before = trade
            paid, charge = found.get(trade, NO_MONEY)
        if is_fee:
            charge -= Decimal(units)
        else:
            paid = Decimal(units) if paid is None else paid + Decimal(units)
        found[trade] = paid, charge
    return found


def last_instants(*, user_id: UUID, assets: Collection[UUID]) -> Mapping[UUID, datetime]:
    """When the last entry of each asset was; those without any are left out."""
    rows = _read(
        """
        SELECT asset.id, (SELECT max(occurred_at) FROM ledger_entries
                          WHERE user_id = %(user)s AND asset_id = asset.id)
        FROM unnest(%(assets)s::uuid[]) AS asset (id)
        """,
        user=user_id, assets=list(assets),
    )  # fmt: skip
    return {UUID(bytes=asset): at for asset, at in rows if at is not None}


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
