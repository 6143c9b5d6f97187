"""Telling the books that something they depend on has changed, in the transaction that changes it.

What is derived (lots, gains, valuations, discrepancies) is computed after the commit by a worker.
Here it is noted what to compute anew, and from when on; a note that is written is never lost,
because a sweep finds it when its message is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from celery import current_app
from django.db import connection, transaction

from portfolios.models import AssetBasis, LedgerEntry, PortfolioState
from tracker import ids, live

DERIVE_TASK = "portfolios.tasks.derive_portfolio"
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Freshness:
    """Whether figures are being computed anew, and of when those shown are."""

    updating: bool
    derived_at: datetime | None


def freshness(*, user_id: UUID) -> Freshness:
    """How far the derived rows of one person are. Call inside ``as_user``.

    Somebody without any entries has nothing to compute, and is up to date.
    """
    state = PortfolioState.objects.filter(user_id=user_id).values_list(
        "ledger_revision", "derived_revision", "derived_at"
    )
    for wanted, reached, derived_at in state:
        return Freshness(updating=wanted > reached, derived_at=derived_at)
    return Freshness(updating=False, derived_at=None)


def changed(*, user_id: UUID, touched: Mapping[UUID, datetime], now: datetime) -> None:
    """Entries of some assets changed, each from an instant on. Call inside ``as_user``.

    With nothing touched, what depends on reports and decisions alone is computed anew.
    """
    mark(user_id=user_id, touched=touched)
    earliest = min(touched.values()).astimezone(UTC).date() if touched else None
    _advance(user_id, earliest, now)
    live.publish(user_id=user_id, topic=live.PORTFOLIO)


def everything_changed(*, user_id: UUID, now: datetime) -> None:
    """A setting that all figures depend on changed: all is computed from the beginning."""
    assets = LedgerEntry.objects.filter(user_id=user_id).order_by().values_list("asset_id")
    # Also what has no entry any more: its lots must go.
    derived = AssetBasis.objects.filter(user_id=user_id).values_list("asset_id")
    found = {row[0] for row in (*assets.distinct(), *derived)}
    mark(user_id=user_id, touched=dict.fromkeys(found, _BEGINNING))
    _advance(user_id, _BEGINNING.date(), now)


def mark(*, user_id: UUID, touched: Mapping[UUID, datetime]) -> None:
    """Note from when on the lots of some assets must be computed anew. Inside ``as_user``.

    In the order of ids, so that two writers never wait for each other crosswise. Alone it raises
    no revision: that is for whoever is computing just now.
    """
    if not touched:
        return
    rows = sorted(touched.items())
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO asset_bases (id, user_id, asset_id, dirty_from)
            SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::timestamptz[])
            ON CONFLICT (user_id, asset_id) DO UPDATE
                SET dirty_from = least(asset_bases.dirty_from, excluded.dirty_from)
            """,
            [
                [ids.new_id() for _ in rows],
                [user_id for _ in rows],
                [asset_id for asset_id, _ in rows],
                [at for _, at in rows],
            ],
        )


def _advance(user_id: UUID, earliest: date | None, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO portfolio_states AS states
                (user_id, ledger_revision, derived_revision, revalue_from, waits_for_prices)
            VALUES (%s, 1, 0, %s, false)
            ON CONFLICT (user_id) DO UPDATE
                SET ledger_revision = states.ledger_revision + 1,
                    revalue_from = least(states.revalue_from, excluded.revalue_from)
            """,
            [user_id, earliest],
        )
    transaction.on_commit(lambda: enqueue(user_id), robust=True)


def enqueue(user_id: UUID) -> None:
    """By name: the task calls modules that call this one."""
    current_app.send_task(DERIVE_TASK, kwargs={"user_id": str(user_id)})
