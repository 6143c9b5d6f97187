"""Storing facts, and the ledger legs of those that are new, under their owner.

Whoever brings facts (a visit to an exchange, a person, a file) hands them over here, inside the
transaction of its own call. A fact is unique by connection, feed and the id it has there: handed
over twice, it is stored once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from exchanges.assets import DatedAsset
from exchanges.reports import Reward, Trade, Transfer
from portfolios import models
from portfolios.ledger import legs
from portfolios.ledger.legs import Adjustment, Fact
from portfolios.models import LedgerEntry
from tracker import bulk, ids, money


@dataclass(frozen=True, slots=True)
class Stored:
    """What was new: rows by kind of fact, and each asset's earliest new entry."""

    counts: dict[str, int] = field(default_factory=dict)
    touched: dict[UUID, datetime] = field(default_factory=dict)


def store(
    *,
    user_id: UUID,
    connection_id: UUID,
    facts: Sequence[Fact],
    meanings: Mapping[str, DatedAsset],
) -> Stored:
    """Store what is not there yet; returns what was new. Call inside ``as_user``.

    A transfer that was pending when last seen and is settled now enters the ledger, and counts as
    new. Who calls tells ``books.changed`` of what was touched.
    """
    owner = {"user_id": user_id, "connection_id": connection_id}
    stored = Stored()
    for kind, build, link, name in _KINDS:
        of_kind = [fact for fact in facts if isinstance(fact, kind)]
        rows = [build(owner, fact, meanings) for fact in of_kind]
        new = bulk.insert_new(rows)
        fresh = [(row.id, fact) for row, fact in zip(rows, of_kind, strict=True) if row.id in new]
        if kind is Transfer:
            fresh += _settle_pending(owner, of_kind)
        entries = _entries(owner, fresh, link, meanings)
        bulk.insert_new(entries)
        for entry in entries:
            earliest = stored.touched.get(entry.asset_id, entry.occurred_at)
            stored.touched[entry.asset_id] = min(earliest, entry.occurred_at)
        stored.counts[name] = len(fresh)
    return stored


def codes(facts: Iterable[Fact]) -> set[str]:
    """Every code that facts name, to be resolved to assets beforehand."""
    found = set()
    for fact in facts:
        if isinstance(fact, Trade):
            found |= {fact.base_code, fact.quote_code}
        else:
            found.add(fact.code)
        for name in ("fee_code", "cost_code"):
            if code := getattr(fact, name, None):
                found.add(code)
    return found


def _entries(
    owner: Mapping[str, UUID],
    facts: Iterable[tuple[UUID, Fact]],
    link: str,
    meanings: Mapping[str, DatedAsset],
) -> list[LedgerEntry]:
    return [
        LedgerEntry(
            **owner, leg=number, asset_id=meanings[leg.code].at(leg.occurred_at),
            wallet=leg.wallet, kind=leg.kind, quantity=leg.quantity, occurred_at=leg.occurred_at,
            **{link: fact_id},
        )
        for fact_id, fact in facts
        for number, leg in enumerate(legs.legs(fact))
    ]  # fmt: skip


def _settle_pending(owner: Mapping[str, UUID], facts: list[Any]) -> list[tuple[UUID, Fact]]:
    """Transfers that were pending when last seen and are settled now enter the ledger."""
    settled = {(fact.feed, fact.exchange_id): fact for fact in facts if fact.settled}
    if not settled:
        return []
    pending = models.Transfer.objects.filter(**owner, is_settled=False)
    done = [
        (row.id, settled[row.feed, row.exchange_id])
        for row in pending
        if (row.feed, row.exchange_id) in settled
    ]
    for row_id, fact in done:
        models.Transfer.objects.filter(id=row_id).update(
            is_settled=True, quantity=fact.quantity, fee_quantity=fact.fee_quantity,
            txid=fact.txid,
        )  # fmt: skip
    return done


# --- one row for each fact ----------------------------------------------------------------------
def _owned(owner: Mapping[str, UUID], fact: Fact) -> dict[str, Any]:
    return {
        "id": ids.new_id(), **owner, "feed": fact.feed, "exchange_id": fact.exchange_id,
        "wallet": fact.wallet, "occurred_at": fact.occurred_at,
    }  # fmt: skip


def _fee(fact: Trade | Transfer, meanings: Mapping[str, DatedAsset]) -> dict[str, Any]:
    if not fact.fee_code:
        return {"fee_asset_id": None, "fee_quantity": None}
    asset_id = meanings[fact.fee_code].at(fact.occurred_at)
    return {"fee_asset_id": asset_id, "fee_quantity": fact.fee_quantity}


def _trade_row(
    owner: Mapping[str, UUID], fact: Trade, meanings: Mapping[str, DatedAsset]
) -> models.Trade:
    at = fact.occurred_at
    return models.Trade(
        **_owned(owner, fact), **_fee(fact, meanings), order_id=fact.order_id, kind=fact.kind,
        symbol=fact.symbol, side=fact.side, price=fact.price.quantize(money.UNIT_QUANTUM),
        base_asset_id=meanings[fact.base_code].at(at), base_quantity=fact.base_quantity,
        quote_asset_id=meanings[fact.quote_code].at(at), quote_quantity=fact.quote_quantity,
    )  # fmt: skip


def _transfer_row(
    owner: Mapping[str, UUID], fact: Transfer, meanings: Mapping[str, DatedAsset]
) -> models.Transfer:
    return models.Transfer(
        **_owned(owner, fact), **_fee(fact, meanings), direction=fact.direction,
        asset_id=meanings[fact.code].at(fact.occurred_at), quantity=fact.quantity,
        counter_wallet=fact.counter_wallet, is_settled=fact.settled, txid=fact.txid[:200],
        address=fact.address[:200], network=fact.network[:64],
    )  # fmt: skip


def _reward_row(
    owner: Mapping[str, UUID], fact: Reward, meanings: Mapping[str, DatedAsset]
) -> models.Reward:
    return models.Reward(
        **_owned(owner, fact), kind=fact.kind[:32], quantity=fact.quantity,
        asset_id=meanings[fact.code].at(fact.occurred_at),
    )  # fmt: skip


def _adjustment_row(
    owner: Mapping[str, UUID], fact: Adjustment, meanings: Mapping[str, DatedAsset]
) -> models.Adjustment:
    at = fact.occurred_at
    cost_asset_id = meanings[fact.cost_code].at(at) if fact.cost_code else None
    return models.Adjustment(
        **_owned(owner, fact), reason=fact.reason, quantity=fact.quantity,
        asset_id=meanings[fact.code].at(at), cost_asset_id=cost_asset_id,
        cost_quantity=fact.cost_quantity, note=fact.note,
    )  # fmt: skip


# Each kind of fact: how its row is built, which column of the ledger names it, how it is counted.
_KINDS: tuple[tuple[type, Any, str, str], ...] = (
    (Trade, _trade_row, "trade_id", "new_trades"),
    (Transfer, _transfer_row, "transfer_id", "new_transfers"),
    (Reward, _reward_row, "reward_id", "new_rewards"),
    (Adjustment, _adjustment_row, "adjustment_id", "new_adjustments"),
)
