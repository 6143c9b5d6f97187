"""Entries of a person's own in an account that an exchange reports, and their reported twins.

What was entered or imported beside what the exchange tells may stand in the books twice.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from exchanges.models import ConnectionKind, ExchangeConnection
from portfolios.models import LedgerEntry
from portfolios.reconciling.account import OwnEntry
from portfolios.reconciling.differences import Place

# Files tell local times, at worst of the other side of the world.
_TWIN_WITHIN = timedelta(hours=15)
_FACTS = ("trade", "transfer", "reward", "adjustment")


def of(*, connection: ExchangeConnection, assets: Collection[UUID]) -> tuple[OwnEntry, ...]:
    """What a person added to these assets of an account, oldest first; each with the instant of
    a reported fact of the same units, where there is one. Inside ``as_user``.

    Nothing for an account kept by hand, in which everything is the person's own.
    """
    if connection.kind == ConnectionKind.MANUAL:
        return ()
    own = list(_summed(connection, assets, _OWN))
    if not own:
        return ()
    reported = _instants(_summed(connection, assets, ~_OWN))
    return tuple(
        OwnEntry(row["fact"], _place(row), row["units"], row["at"], _twin(row, reported))
        for row in own
    )


def _of_feed(**lookup: str) -> Q:
    found = Q()
    for fact in _FACTS:
        for name, value in lookup.items():
            found |= Q(**{f"{fact}__feed{name}": value})
    return found


_OWN = _of_feed(**{"": "manual", "__startswith": "import:"})


def _summed(
    connection: ExchangeConnection, assets: Collection[UUID], which: Q
) -> QuerySet[Any, Any]:
    """Units of each fact in each place: a fee may have left beside what was traded."""
    rows = LedgerEntry.objects.filter(
        which, user_id=connection.user_id, connection_id=connection.id, asset_id__in=assets
    )
    return (
        rows.values("wallet", "asset_id", fact=Coalesce(*_FACTS), at=F("occurred_at"))
        .annotate(units=Sum("quantity"))
        .order_by("at", "fact")
    )


def _place(row: Mapping[str, Any]) -> Place:
    return Place(row["wallet"], row["asset_id"])


def _instants(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[Any, ...], list[datetime]]:
    found: dict[tuple[Any, ...], list[datetime]] = defaultdict(list)
    for row in rows:
        found[_place(row), row["units"]].append(row["at"])
    return found


def _twin(
    row: Mapping[str, Any], reported: dict[tuple[Any, ...], list[datetime]]
) -> datetime | None:
    """The nearest reported fact of the same units. It is nobody else's twin from then on."""
    instants = reported.get((_place(row), row["units"]), [])
    near = [at for at in instants if abs(at - row["at"]) <= _TWIN_WITHIN]
    if not near:
        return None
    twin = min(near, key=lambda at: (abs(at - row["at"]), at))
    instants.remove(twin)
    return twin
