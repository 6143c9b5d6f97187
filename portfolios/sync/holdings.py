"""Holdings follow what the exchange reports; every change is kept, with its time."""

from collections.abc import Mapping
from decimal import Decimal
from uuid import UUID

from exchanges.assets import DatedAsset
from exchanges.reports import AccountReport
from portfolios.models import Holding, HoldingChange
from tracker import bulk

Place = tuple[str, str]  # wallet and the exchange's code


def apply_report(*, user_id: UUID, report: AccountReport, assets: Mapping[str, DatedAsset]) -> int:
    """Bring a connection's holdings to what was reported; returns how many changed.

    Only wallets that were read to their end are touched: what is absent from such a wallet is
    zero, and a wallet that could not be read keeps its last known units. Call in the
    transaction of the recording.
    """
    held = {
        (row.wallet, row.exchange_code): row
        for row in Holding.objects.filter(user_id=user_id, connection_id=report.connection_id)
    }
    moved = {
        place: quantity
        for place, quantity in _reported(report, held).items()
        if place not in held or held[place].quantity != quantity
    }
    if moved:
        _write(user_id, report, moved, held, assets)
    Holding.objects.filter(
        user_id=user_id, connection_id=report.connection_id, wallet__in=report.wallets
    ).update(last_confirmed_at=report.read_at)
    return len(moved)


def _reported(report: AccountReport, held: Mapping[Place, Holding]) -> dict[Place, Decimal]:
    """Units by place; a place we hold in a wallet that was read, and is not named, is zero."""
    reported: dict[Place, Decimal] = {
        place: Decimal(0) for place in held if place[0] in report.wallets
    }
    for balance in report.balances:
        place = (str(balance.wallet), balance.code)
        reported[place] = reported.get(place, Decimal(0)) + balance.quantity
    return {place: quantity for place, quantity in reported.items() if quantity or place in held}


def _write(
    user_id: UUID,
    report: AccountReport,
    moved: Mapping[Place, Decimal],
    held: Mapping[Place, Holding],
    assets: Mapping[str, DatedAsset],
) -> None:
    """One row in the history for each place that moved; new places become holdings."""
    at, owner = report.read_at, {"user_id": user_id, "connection_id": report.connection_id}
    history, new, changed = [], [], []
    for (wallet, code), quantity in sorted(moved.items()):
        before = held.get((wallet, code))
        asset_id = before.asset_id if before else assets[code].at(at)
        what = {
            "wallet": wallet, "exchange_code": code, "asset_id": asset_id, "quantity": quantity,
        }  # fmt: skip
        previous = before.quantity if before else None
        history.append(HoldingChange(**owner, **what, previous=previous, reported_at=at))
        if before is None:
            new.append(Holding(**owner, **what, changed_at=at, last_confirmed_at=at))
        else:
            before.quantity, before.changed_at = quantity, at
            changed.append(before)
    bulk.insert_new(new)
    bulk.insert_new(history)
    Holding.objects.bulk_update(changed, ["quantity", "changed_at"])


def recorded_places(connection_ids: list[UUID]) -> dict[UUID, dict[Place, Decimal]]:
    """Recorded units by connection and place, zeros included (their codes matter too)."""
    found: dict[UUID, dict[Place, Decimal]] = {key: {} for key in connection_ids}
    rows = Holding.objects.filter(connection_id__in=connection_ids)
    for connection_id, wallet, code, quantity in rows.values_list(
        "connection_id", "wallet", "exchange_code", "quantity"
    ):
        found[connection_id][wallet, code] = quantity
    return found
