"""Accounts that a person keeps by hand: without an exchange, a key or a sync.

What they hold is what their entries add up to. A wallet whose entries add up to less than nothing
holds nothing: the missing units are said by the reconciliation, not shown as a debt.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import IntegrityError
from django.db.models import Sum

from audit import log
from audit.actions import Action
from exchanges import querysets
from exchanges.connections import LabelTaken
from exchanges.models import Asset, ConnectionKind, ConnectionState, Exchange, ExchangeConnection
from exchanges.reports import Privileges
from portfolios.models import Holding, LedgerEntry, PortfolioState
from tracker import bulk, ids, money, tenancy
from tracker.api import InvalidInput
from tracker.errors import DomainError

EXCHANGE = "manual"
MOST = 100
Place = tuple[str, UUID]  # wallet and asset


class TooManyAccounts(DomainError):
    code = "manual_accounts_full"
    status = 409
    message = "You already have as many accounts of your own as we can keep. Remove one first."


def open_account(*, user_id: UUID, label: str, now: datetime) -> ExchangeConnection:
    """Make an account for entries by hand and from files. Raises LabelTaken, TooManyAccounts."""
    _make_exchange(now)
    account = ExchangeConnection(
        id=ids.new_id(), user_id=user_id, exchange_id=EXCHANGE, kind=ConnectionKind.MANUAL,
        label=label, state=ConnectionState.OK, privileges=Privileges.READ_ONLY, created_at=now,
    )  # fmt: skip
    try:
        with tenancy.as_user(user_id):
            _check_room(user_id)
            account.save(force_insert=True)
            _have_snapshots(user_id, now)
            log.record(Action.ACCOUNT_OPENED, user_id=user_id, connection_id=str(account.id))
            return querysets.connections_of(user_id).get(id=account.id)
    except IntegrityError:
        raise LabelTaken from None


def listed(*, user_id: UUID) -> list[ExchangeConnection]:
    """A person's own accounts, in the order they were made."""
    with tenancy.as_user(user_id):
        rows = querysets.connections_of(user_id)
        return list(rows.filter(kind=ConnectionKind.MANUAL))


def _make_exchange(now: datetime) -> None:
    """The row that such accounts refer to; nobody can connect to it."""
    row = Exchange(
        id=EXCHANGE, name="By hand", required_fields=[], supports=[], ccxt_version="",
        is_available=False, updated_at=now,
    )  # fmt: skip
    if not Exchange.objects.filter(id=EXCHANGE).exists():
        Exchange.objects.bulk_create([row], ignore_conflicts=True)


def _check_room(user_id: UUID) -> None:
    own = ExchangeConnection.objects.filter(user_id=user_id, kind=ConnectionKind.MANUAL)
    if own.count() >= MOST:
        raise TooManyAccounts


def _have_snapshots(user_id: UUID, now: datetime) -> None:
    """As the first visit to an exchange does."""
    PortfolioState.objects.bulk_create(
        [PortfolioState(user_id=user_id, next_snapshot_at=now)], ignore_conflicts=True
    )
    PortfolioState.objects.filter(user_id=user_id, next_snapshot_at=None).update(
        next_snapshot_at=now
    )


# --- holdings -----------------------------------------------------------------------------------
def follow_ledger(
    *, account: ExchangeConnection, asset_ids: Collection[UUID], now: datetime
) -> int:
    """Bring the holdings of some assets to what the entries add up to; returns how many changed.

    Does nothing for an account at an exchange, whose holdings are what it reports. Call inside
    ``as_user``, after the entries were written.
    """
    if account.kind != ConnectionKind.MANUAL or not asset_ids:
        return 0
    sums = _sums(account, asset_ids)
    if not all(map(money.fits_units, sums.values())):
        raise InvalidInput.of("quantity", "The account would hold more than can be kept.")
    rows = Holding.objects.select_for_update().filter(
        user_id=account.user_id, connection_id=account.id, asset_id__in=asset_ids
    )
    held = {(row.wallet, row.asset_id): row for row in rows}
    changed = [row for place, row in held.items() if _moved(row, sums.get(place, Decimal(0)), now)]
    Holding.objects.bulk_update(changed, ["quantity", "changed_at", "last_confirmed_at"])
    new = _new_holdings(account, {k: v for k, v in sums.items() if v and k not in held}, now)
    bulk.insert_new(new)
    return len(changed) + len(new)


def _sums(account: ExchangeConnection, asset_ids: Collection[UUID]) -> dict[Place, Decimal]:
    rows = LedgerEntry.objects.filter(
        user_id=account.user_id, connection_id=account.id, asset_id__in=asset_ids
    )
    grouped = rows.order_by().values_list("wallet", "asset_id").annotate(units=Sum("quantity"))
    return {(wallet, asset_id): max(units, Decimal(0)) for wallet, asset_id, units in grouped}


def _moved(row: Holding, units: Decimal, now: datetime) -> bool:
    if row.quantity == units:
        return False
    row.quantity, row.changed_at, row.last_confirmed_at = units, now, now
    return True


def _new_holdings(
    account: ExchangeConnection, units: Mapping[Place, Decimal], now: datetime
) -> list[Holding]:
    """The code of a place must be its own, so it is the asset's unique name and not its label."""
    slugs = dict(
        Asset.objects.filter(id__in={asset_id for _, asset_id in units}).values_list("id", "slug")
    )
    return [
        Holding(
            user_id=account.user_id, connection_id=account.id, wallet=wallet, asset_id=asset_id,
            exchange_code=slugs[asset_id][:64], quantity=quantity, changed_at=now,
            last_confirmed_at=now,
        )
        for (wallet, asset_id), quantity in sorted(units.items())
    ]  # fmt: skip
