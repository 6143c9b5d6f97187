"""Entries that a person makes: trades, transfers, rewards and adjustments, by hand.

They stand beside what an exchange reported and never change it. Only they can be removed again,
together with those that came from files.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F, Model, Q, QuerySet
from django.db.models.functions import Coalesce

from audit import log
from audit.actions import Action
from exchanges import assets, connections
from exchanges.assets import DatedAsset
from exchanges.models import Asset, ExchangeConnection
from exchanges.reports import Direction, Reward, Trade, TradeKind, Transfer
from portfolios import models, querysets
from portfolios.importing import cells
from portfolios.importing.cells import RowRefused
from portfolios.ledger import accounts_by_hand, books, facts, new_assets
from portfolios.ledger.legs import Adjustment, Fact
from portfolios.models import LedgerEntry
from tracker import ids, money, tenancy
from tracker.api import InvalidInput
from tracker.errors import DomainError, NotFound

FEED = "manual"
_OWN = Q(feed=FEED) | Q(feed__startswith="import:")
_TABLES: Mapping[str, type[Model]] = {
    "trade": models.Trade, "transfer": models.Transfer, "reward": models.Reward,
    "adjustment": models.Adjustment,
}  # fmt: skip


class EntryReported(DomainError):
    code = "entry_reported_by_exchange"
    status = 409
    message = (
        "An exchange reported this entry, so it stays as it is. You can book an adjustment beside "
        "it."
    )


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when an entry happens."""

    connection_id: UUID
    wallet: str
    occurred_at: datetime


# --- adding -------------------------------------------------------------------------------------
def add_trade(
    *,
    user_id: UUID,
    place: Place,
    side: str,
    base: str,
    base_quantity: Decimal,
    quote: str,
    quote_quantity: Decimal | None = None,
    price: Decimal | None = None,
    fee_asset: str = "",
    fee_quantity: Decimal | None = None,
    kind: TradeKind = TradeKind.FILL,
    now: datetime,
) -> dict[str, Any]:
    """Book a trade; returns it as ``GET /entries`` shows it.

    Assets are named by id or code. Raises NotFound (the account), InvalidInput.
    """
    paid = _paid(base_quantity, quote_quantity, price)
    if base.upper() == quote.upper():
        raise InvalidInput.of("quote", "An asset cannot be traded for itself.")
    fee = _fee(fee_asset, fee_quantity)
    with _said_of("price"):
        cells.keepable_price(paid / base_quantity)
    fact = Trade(
        feed=FEED, exchange_id=str(ids.new_id()), kind=kind, symbol="", side=side, base_code=base,
        base_quantity=base_quantity, quote_code=quote, quote_quantity=paid,
        price=price if price is not None else paid / base_quantity, fee_code=fee[0],
        fee_quantity=fee[1], wallet=place.wallet, order_id="", occurred_at=place.occurred_at,
    )  # fmt: skip
    return add(user_id=user_id, connection_id=place.connection_id, fact=fact, now=now)


def add_transfer(
    *,
    user_id: UUID,
    place: Place,
    direction: Direction,
    asset: str,
    quantity: Decimal,
    to_wallet: str = "",
    fee_asset: str = "",
    fee_quantity: Decimal | None = None,
    txid: str = "",
    address: str = "",
    network: str = "",
    now: datetime,
) -> dict[str, Any]:
    """Book a deposit, a withdrawal or a move between wallets. Raises as ``add_trade`` does."""
    internal = direction == Direction.INTERNAL
    if internal and to_wallet in ("", place.wallet):
        raise InvalidInput.of("to_wallet", "Say to which other wallet the units moved.")
    if to_wallet and not internal:
        raise InvalidInput.of("to_wallet", "Only a move between wallets has this.")
    fee = _fee(fee_asset, fee_quantity)
    fact = Transfer(
        feed=FEED, exchange_id=str(ids.new_id()), direction=direction, code=asset,
        quantity=quantity, fee_code=fee[0], fee_quantity=fee[1], wallet=place.wallet,
        counter_wallet=to_wallet, settled=True, txid=txid, address=address, network=network,
        occurred_at=place.occurred_at,
    )  # fmt: skip
    return add(user_id=user_id, connection_id=place.connection_id, fact=fact, now=now)


def add_reward(
    *, user_id: UUID, place: Place, kind: str, asset: str, quantity: Decimal, now: datetime
) -> dict[str, Any]:
    """Book units that came as income. Raises as ``add_trade`` does."""
    fact = Reward(FEED, str(ids.new_id()), kind, asset, quantity, place.wallet, place.occurred_at)
    return add(user_id=user_id, connection_id=place.connection_id, fact=fact, now=now)


def add_adjustment(
    *,
    user_id: UUID,
    place: Place,
    reason: str,
    asset: str,
    quantity: Decimal,
    cost_asset: str = "",
    cost_quantity: Decimal | None = None,
    note: str = "",
    now: datetime,
) -> dict[str, Any]:
    """Book units without a counterpart; below zero when they went. Raises as ``add_trade`` does."""
    if not quantity:
        raise InvalidInput.of("quantity", "Give a quantity other than zero.")
    if cost_quantity is not None and quantity < 0:
        raise InvalidInput.of("cost_quantity", "Only units that came in have a cost.")
    if (cost_quantity is None) != (not cost_asset):
        raise InvalidInput.of("cost_asset", "A cost needs its amount and its currency.")
    fact = Adjustment(
        feed=FEED, exchange_id=str(ids.new_id()), reason=reason, code=asset, quantity=quantity,
        cost_code=cost_asset or None, cost_quantity=cost_quantity, note=note,
        wallet=place.wallet, occurred_at=place.occurred_at,
    )  # fmt: skip
    return add(user_id=user_id, connection_id=place.connection_id, fact=fact, now=now)


def add(*, user_id: UUID, connection_id: UUID, fact: Fact, now: datetime) -> dict[str, Any]:
    """Book one fact whose codes are ids or codes of assets. Raises NotFound, InvalidInput."""
    with _said_of("occurred_at"):
        cells.sensible(fact.occurred_at, now=now)
    with tenancy.as_user(user_id):
        account = connections.find(user_id=user_id, connection_id=connection_id)
    names = facts.codes([fact])
    new_assets.allow(
        user_id=user_id, exchange=account.exchange_id, now=now,
        codes={_code(name) for name in names if not _uuid(name)},
    )  # fmt: skip
    meanings = _meanings(account.exchange_id, names)
    fact = _labelled(fact, meanings)
    with tenancy.as_user(user_id):
        account = connections.find(user_id=user_id, connection_id=connection_id, lock=True)
        entry_id = _write(account, fact, meanings, now)
        return shown(user_id=user_id, entry_ids=[entry_id])[0]


def _write(
    account: ExchangeConnection, fact: Fact, meanings: Mapping[str, DatedAsset], now: datetime
) -> UUID:
    stored = facts.store(
        user_id=account.user_id, connection_id=account.id, facts=[fact], meanings=meanings
    )
    accounts_by_hand.follow_ledger(account=account, asset_ids=stored.touched.keys(), now=now)
    books.changed(user_id=account.user_id, touched=stored.touched, now=now)
    kind = type(fact).__name__.lower()
    row = _TABLES[kind]._base_manager.get(
        user_id=account.user_id, connection_id=account.id, feed=FEED, exchange_id=fact.exchange_id
    )
    log.record(
        Action.ENTRY_ADDED, user_id=account.user_id, connection_id=str(account.id), kind=kind,
        entry_id=str(row.pk),
    )  # fmt: skip
    return row.pk


def _paid(units: Decimal, quote_quantity: Decimal | None, price: Decimal | None) -> Decimal:
    """What was paid in all, from either of the two."""
    if (quote_quantity is None) == (price is None):
        raise InvalidInput.of("quote_quantity", "Give either the amount paid or the price.")
    if quote_quantity is not None:
        return quote_quantity
    paid = units * (price or Decimal(0))
    if not paid:
        raise InvalidInput.of("price", "Give a price above zero.")
    if not money.fits_units(paid):
        raise InvalidInput.of("price", "Amount and price have more digits than can be kept.")
    if paid >= money.MOST_UNITS:
        raise InvalidInput.of("price", "What was paid in all is too large to be kept.")
    return paid


def _fee(asset: str, quantity: Decimal | None) -> tuple[str | None, Decimal | None]:
    if (quantity is None) != (not asset):
        raise InvalidInput.of("fee_asset", "A fee needs its amount and its asset.")
    return (asset, quantity) if asset and quantity else (None, None)


# --- naming assets ------------------------------------------------------------------------------
def _meanings(exchange: str, names: set[str]) -> dict[str, DatedAsset]:
    """What ids and codes stand for. A code nobody knows becomes a new asset, an id does not."""
    by_id = {name: found for name in names if (found := _uuid(name))}
    known = set(Asset.objects.filter(id__in=by_id.values()).values_list("id", flat=True))
    if set(by_id.values()) - known:
        raise InvalidInput.of("asset", "There is no asset with this id.", code="asset_unknown")
    resolved = assets.resolve(exchange, {_code(name) for name in names if name not in by_id})
    return {
        name: DatedAsset(((None, None, by_id[name]),)) if name in by_id else resolved[_code(name)]
        for name in names
    }


def _uuid(name: str) -> UUID | None:
    try:
        return UUID(name) if len(name) == 36 else None
    except ValueError:
        return None


def _code(name: str) -> str:
    with _said_of("asset"):
        return cells.code({"asset": name}, "asset")


@contextmanager
def _said_of(field: str) -> Iterator[None]:
    """What would refuse a row of a file refuses a field of a request."""
    try:
        yield
    except RowRefused as problem:
        raise InvalidInput.of(field, problem.sentence, code=problem.code) from None


def _labelled(fact: Fact, meanings: Mapping[str, DatedAsset]) -> Fact:
    """A trade has a symbol that people read, whichever way its assets were named."""
    if not isinstance(fact, Trade):
        return fact
    at = fact.occurred_at
    base, quote = meanings[fact.base_code].at(at), meanings[fact.quote_code].at(at)
    if base == quote:
        raise InvalidInput.of("quote", "An asset cannot be traded for itself.")
    codes = dict(Asset.objects.filter(id__in=[base, quote]).values_list("id", "code"))
    values = {name: getattr(fact, name) for name in fact.__dataclass_fields__}
    return Trade(**values | {"symbol": f"{codes[base]}/{codes[quote]}"[:64]})


# --- reading ------------------------------------------------------------------------------------
def made_by(user_id: UUID) -> QuerySet[Any]:
    """Everything that a person entered or imported: the id and kind of each, newest first.

    Each fact has exactly one first leg, which stands for it here.
    """
    first = LedgerEntry.objects.filter(user_id=user_id, leg=0)
    own = Q()
    for kind in _TABLES:
        own |= Q(**{f"{kind}__feed": FEED}) | Q(**{f"{kind}__feed__startswith": "import:"})
    return first.filter(own).values(
        "occurred_at", "trade", "transfer", "reward", "adjustment",
        entry=Coalesce(*_TABLES),
    )  # fmt: skip


def shown(*, user_id: UUID, entry_ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """Entries by their ids, in that order, each with what belongs to its kind.

    Call inside ``as_user``.
    """
    found: dict[UUID, dict[str, Any]] = {}
    for kind, rows in _shown_rows(user_id).items():
        feeds = dict(_TABLES[kind]._base_manager.filter(id__in=entry_ids).values_list("id", "feed"))
        for row in rows.filter(id__in=entry_ids):
            found[row["id"]] = _entry(kind, row, feeds[row["id"]])
    return [found[entry_id] for entry_id in entry_ids if entry_id in found]


def _entry(kind: str, row: Mapping[str, Any], feed: str) -> dict[str, Any]:
    common = ("id", "connection", "exchange", "wallet", "occurred_at")
    rest = {name: value for name, value in row.items() if name not in common}
    details = {name: rest if name == kind else None for name in _TABLES}
    return {name: row[name] for name in common} | {"kind": kind, "source": feed} | details


def _shown_rows(user_id: UUID) -> dict[str, QuerySet[Any]]:
    place = ("id", "connection", "wallet", "occurred_at", "asset", "quantity")
    labels = {"exchange": F("connection__exchange_id"), "code": F("asset__code")}
    return {
        "trade": querysets.trades_of(user_id),
        "transfer": querysets.transfers_of(user_id),
        "reward": models.Reward.objects.filter(user_id=user_id).values(*place, "kind", **labels),
        "adjustment": models.Adjustment.objects.filter(user_id=user_id).values(
            *place, "reason", "note", "cost_asset", "cost_quantity", **labels,
            cost_code=F("cost_asset__code"),
        ),
    }  # fmt: skip


# --- removing -----------------------------------------------------------------------------------
def remove(*, user_id: UUID, entry_id: UUID, now: datetime) -> None:
    """Take an entry out again. Raises NotFound; EntryReported for what an exchange reported."""
    with tenancy.as_user(user_id):
        kind, row = _find(user_id, entry_id)
        account = connections.find(user_id=user_id, connection_id=row.connection_id, lock=True)
        legs = LedgerEntry.objects.filter(user_id=user_id, **{kind: entry_id})
        touched: dict[UUID, datetime] = {}
        for asset_id, at in legs.values_list("asset_id", "occurred_at"):
            touched[asset_id] = min(at, touched.get(asset_id, at))
        rows = _TABLES[kind]._base_manager.filter(id=entry_id, user_id=user_id)
        rows._raw_delete(rows.db)  # the composite keys take the legs with it
        accounts_by_hand.follow_ledger(account=account, asset_ids=touched.keys(), now=now)
        books.changed(user_id=user_id, touched=touched, now=now)
        log.record(
            Action.ENTRY_REMOVED, user_id=user_id, connection_id=str(account.id), kind=kind,
            entry_id=str(entry_id),
        )  # fmt: skip


def _find(user_id: UUID, entry_id: UUID) -> tuple[str, Any]:
    for kind, model in _TABLES.items():
        rows = model._base_manager.filter(id=entry_id, user_id=user_id)
        if row := rows.first():
            if not rows.filter(_OWN).exists():
                raise EntryReported
            return kind, row
    raise NotFound
