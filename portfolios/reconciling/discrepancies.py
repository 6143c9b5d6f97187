"""Reported holdings less the ledger: where they differ, since when, and why."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from django.db import connection as database
from django.db.models import Count, Max

from exchanges.models import ConnectionKind, ExchangeConnection
from exchanges.reports import Wallet
from portfolios.models import (
    Discrepancy,
    Holding,
    HoldingChange,
    LedgerEntry,
    PortfolioState,
)
from portfolios.reconciling import differences, habits, own_entries, reconciliation
from portfolios.reconciling.differences import Difference, Movement, Place, Report
from tracker import bulk

# The books of a place at its wallet's last report, and a reading time later, where they differ
# from what was reported. A wallet in which nothing was ever reported was empty when the account
# was last read in full. An account kept by hand has no report: it may not owe anything but money,
# which then came from outside and was spent.
_DIFFERING = """
    WITH accounts AS (
        SELECT id, last_full_at FROM exchange_connections
        WHERE user_id = %(user)s AND kind = %(exchange)s
    ), held AS (
        SELECT connection_id, wallet, asset_id, sum(quantity) AS quantity
        FROM holdings JOIN accounts ON accounts.id = connection_id
        WHERE user_id = %(user)s GROUP BY 1, 2, 3
    ), reported AS (
        SELECT connection_id, wallet, max(last_confirmed_at) AS at
        FROM holdings WHERE user_id = %(user)s GROUP BY 1, 2
    ), wallets AS (
        SELECT accounts.id AS connection_id, w.wallet, coalesce(r.at, accounts.last_full_at) AS at
        FROM accounts
            CROSS JOIN (
                SELECT unnest(%(wallets)s::text[]) UNION SELECT wallet FROM reported
            ) AS w(wallet)
            LEFT JOIN reported r ON r.connection_id = accounts.id AND r.wallet = w.wallet
    ), booked AS (
        SELECT e.connection_id, e.wallet, e.asset_id,
            coalesce(sum(quantity) FILTER (WHERE e.occurred_at <= w.at), 0) AS earlier,
            coalesce(sum(quantity) FILTER (
                WHERE e.occurred_at <= w.at + %(reading)s * interval '1 second'
            ), 0) AS later
        FROM ledger_entries e JOIN wallets w USING (connection_id, wallet)
        WHERE e.user_id = %(user)s AND w.at IS NOT NULL GROUP BY 1, 2, 3
    )
    SELECT connection_id, wallet, asset_id
    FROM held FULL JOIN booked USING (connection_id, wallet, asset_id)
    WHERE coalesce(held.quantity, 0) NOT IN (coalesce(earlier, 0), coalesce(later, 0))
    UNION ALL
    SELECT e.connection_id, e.wallet, e.asset_id
    FROM ledger_entries e JOIN exchange_connections c ON c.id = e.connection_id
        JOIN assets a ON a.id = e.asset_id
    WHERE e.user_id = %(user)s AND c.kind = %(manual)s AND NOT a.is_fiat
    GROUP BY 1, 2, 3 HAVING sum(e.quantity) < 0
"""
_KEPT = (
    "reported", "ledger", "difference", "reported_at", "agreed_at", "appeared_at", "causes",
)  # fmt: skip
Places = dict[UUID, list[Place]]  # by connection


def refresh(*, user_id: UUID, now: datetime) -> int:
    """Compute one person's discrepancies anew; returns how many there are. Inside ``as_user``.

    A discrepancy keeps its id as long as it lasts. When nothing differs this is one query.
    """
    rows = [
        row
        for connection_id, places in _differing(user_id).items()
        for row in _of_connection(user_id, connection_id, places, now)
    ]
    _store(user_id, rows)
    return len(rows)


def _differing(user_id: UUID) -> Places:
    found: Places = defaultdict(list)
    with database.cursor() as cursor:
        cursor.execute(
            _DIFFERING,
            {
                "user": user_id, "reading": differences.READING_TIME.total_seconds(),
                "wallets": [str(wallet) for wallet in Wallet],
                "exchange": ConnectionKind.EXCHANGE, "manual": ConnectionKind.MANUAL,
            },
        )  # fmt: skip
        for connection_id, wallet, asset_id in cursor.fetchall():
            found[connection_id].append(Place(wallet, asset_id))
    return found


def _of_connection(
    user_id: UUID, connection_id: UUID, places: Sequence[Place], now: datetime
) -> list[Discrepancy]:
    connection = ExchangeConnection.objects.get(user_id=user_id, id=connection_id)
    differences = _differences(connection, places)
    account = habits.account(connection=connection, differences=differences, now=now)
    assets = {item.place.asset for item in differences}
    account = replace(account, own=own_entries.of(connection=connection, assets=assets))
    causes = reconciliation.explain(differences, account)
    return [
        Discrepancy(
            id=uuid5(connection_id, f"{item.place.wallet}/{item.place.asset}"),
            user_id=user_id, connection_id=connection_id, wallet=item.place.wallet,
            asset_id=item.place.asset, reported=item.reported, ledger=item.ledger,
            difference=item.units, reported_at=item.reported_at, agreed_at=item.agreed_at,
            appeared_at=item.appeared_at, computed_at=now,
            causes=reconciliation.as_rows(causes[item.place], account),
        )
        for item in differences
    ]  # fmt: skip


# --- reading ------------------------------------------------------------------------------------
def _differences(connection: ExchangeConnection, places: Sequence[Place]) -> list[Difference]:
    movements = _movements(connection, places)
    if connection.kind == ConnectionKind.MANUAL:
        found = [differences.shortage(place, movements[place]) for place in places]
    else:
        reports = _reports(connection, places)
        found = [
            differences.difference(place, reports[place], movements[place]) for place in places
        ]
    ordered = [item for item in found if item is not None]
    return sorted(ordered, key=lambda item: (item.place.wallet, item.place.asset))


def _movements(
    connection: ExchangeConnection, places: Sequence[Place]
) -> Mapping[Place, list[Movement]]:
    found: dict[Place, list[Movement]] = defaultdict(list)
    rows = LedgerEntry.objects.filter(
        user_id=connection.user_id, connection_id=connection.id,
        asset_id__in={place.asset for place in places},
    ).order_by("occurred_at", "id")  # fmt: skip
    for wallet, asset, at, quantity in rows.values_list(
        "wallet", "asset_id", "occurred_at", "quantity"
    ):
        found[Place(wallet, asset)].append(Movement(at, quantity))
    return found


def _reports(
    connection: ExchangeConnection, places: Sequence[Place]
) -> Mapping[Place, list[Report]]:
    """Every report of a wallet is one of each of its places, also where nothing moved.

    Several codes of the exchange may stand for one asset; their units are added up.
    """
    owner = {"user_id": connection.user_id, "connection_id": connection.id}
    wallets = {place.wallet for place in places}
    changes = HoldingChange.objects.filter(**owner, wallet__in=wallets).order_by(
        "reported_at", "id"
    )
    instants: dict[str, set[datetime]] = defaultdict(set)
    moved: dict[Place, list[tuple[datetime, str, Decimal]]] = defaultdict(list)
    for wallet, asset, code, quantity, at in changes.values_list(
        "wallet", "asset_id", "exchange_code", "quantity", "reported_at"
    ):
        instants[wallet].add(at)
        moved[Place(wallet, asset)].append((at, code, quantity))
    held = Holding.objects.filter(**owner, wallet__in=wallets)
    for wallet, at in held.values_list("wallet", "last_confirmed_at"):
        instants[wallet].add(at)
    # Where nothing was ever reported, the wallet was empty when all was read.
    never = {connection.last_full_at} if connection.last_full_at else set()
    return {place: _walk(sorted(instants[place.wallet] or never), moved[place]) for place in places}


def _walk(
    instants: Sequence[datetime], moved: Sequence[tuple[datetime, str, Decimal]]
) -> list[Report]:
    units: dict[str, Decimal] = {}
    reports, following = [], 0
    for instant in instants:
        while following < len(moved) and moved[following][0] <= instant:
            _, code, quantity = moved[following]
            units[code] = quantity
            following += 1
        reports.append(Report(instant, sum(units.values(), Decimal(0))))
    return reports


# --- writing ------------------------------------------------------------------------------------
def _store(user_id: UUID, rows: Sequence[Discrepancy]) -> None:
    """Only what changed is written: a discrepancy says since when it is known as it is."""
    stored = {row.id: row for row in Discrepancy.objects.filter(user_id=user_id)}
    wanted = {row.id: row for row in rows}
    gone = stored.keys() - wanted.keys()
    if gone:
        Discrepancy.objects.filter(user_id=user_id, id__in=gone).delete()
    changed = [row for row in rows if row.id in stored and not _same(row, stored[row.id])]
    bulk.insert_new([row for row in rows if row.id not in stored])  # or somebody else just did
    Discrepancy.objects.bulk_update(changed, [*_KEPT, "computed_at"])


def _same(one: Discrepancy, other: Discrepancy) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in _KEPT)


# --- shown --------------------------------------------------------------------------------------
def listed(*, user_id: UUID) -> list[dict[str, Any]]:
    """A person's discrepancies as plain rows, the newest first. Call inside ``as_user``."""
    rows = Discrepancy.objects.filter(user_id=user_id).order_by("-appeared_at", "id")
    found = rows.values(
        "id", "connection_id", "connection__exchange_id", "connection__label", "wallet",
        "asset_id", "asset__code", *_KEPT, "computed_at",
    )  # fmt: skip
    return [
        {
            "id": row["id"],
            "connection": row["connection_id"],
            "exchange": row["connection__exchange_id"],
            "label": row["connection__label"],
            "wallet": row["wallet"],
            "asset": row["asset_id"],
            "code": row["asset__code"],
            **{name: row[name] for name in (*_KEPT, "computed_at")},
        }
        for row in found
    ]


def overview(*, user_id: UUID) -> dict[str, Any]:
    """Discrepancies, what was compared for each account, and whether newer entries are still
    being worked in. Call inside ``as_user``."""
    state = PortfolioState.objects.filter(user_id=user_id).values_list(
        "ledger_revision", "derived_revision"
    )
    results = listed(user_id=user_id)
    return {
        "updating": any(wanted > reached for wanted, reached in state),
        "checked": _checked(user_id, results),
        "results": results,
    }


def _checked(user_id: UUID, results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    places = {
        connection_id: (count, at)
        for connection_id, count, at in Holding.objects.filter(user_id=user_id)
        .order_by()
        .values_list("connection_id")
        .annotate(Count("id"), Max("last_confirmed_at"))
    }
    differing = Counter(row["connection"] for row in results)
    accounts = ExchangeConnection.objects.filter(user_id=user_id).order_by("created_at", "id")
    return [
        {
            "connection": key,
            "exchange": exchange,
            "label": label,
            "places": places.get(key, (0, None))[0],
            "differing": differing[key],
            "reported_at": places.get(key, (0, None))[1],
        }
        for key, exchange, label in accounts.values_list("id", "exchange_id", "label")
    ]
