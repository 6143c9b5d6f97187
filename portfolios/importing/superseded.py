"""Entries of files that an exchange has told itself since: they give way to what it reported.

A file is booked where an exchange was not read. When it is read later, its own version of the
same time comes into the books, and the file's would count everything twice.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Model

from exchanges.models import Coverage
from exchanges.reports import Direction, Reward, Trade, TradeKind, Transfer
from portfolios import models
from portfolios.importing.coverage import Interval, Known
from portfolios.importing.formats import registry
from portfolios.models import LedgerEntry

_FEEDS = [format.feed for format in registry.FORMATS.values()]
# Adjustments are told by no exchange.
_TABLES: Mapping[str, type[Model]] = {
    "trade": models.Trade, "transfer": models.Transfer, "reward": models.Reward,
}  # fmt: skip


def known(*, user_id: UUID, connection_id: UUID) -> Known:
    """What was read of an account. Call inside ``as_user``."""
    rows = Coverage.objects.filter(user_id=user_id, connection_id=connection_id)
    return Known(Interval(row.feed, row.scope, row.since, row.until) for row in rows)


def retire(
    *, user_id: UUID, connection_id: UUID, since: datetime, until: datetime
) -> dict[UUID, datetime]:
    """Remove what files told of a time that is read now, with its legs.

    Returns each asset's earliest removed entry. Call inside ``as_user``, with the connection
    locked, after its coverage was written; who calls tells ``books.changed``.
    """
    read = known(user_id=user_id, connection_id=connection_id)
    touched: dict[UUID, datetime] = {}
    for kind, model in _TABLES.items():
        rows = model._base_manager.filter(
            user_id=user_id, connection_id=connection_id, feed__in=_FEEDS,
            occurred_at__gte=since, occurred_at__lt=until,
        )  # fmt: skip
        told = [row.pk for row, fact in _facts(kind, rows) if read.has(fact)]
        if told:
            _note_legs(touched, user_id, kind, told)
            gone = model._base_manager.filter(user_id=user_id, id__in=told)
            gone._raw_delete(gone.db)  # the composite keys take the legs with it
    return touched


def _note_legs(touched: dict[UUID, datetime], user_id: UUID, kind: str, told: list[UUID]) -> None:
    legs = LedgerEntry.objects.filter(user_id=user_id, **{f"{kind}__in": told})
    for asset_id, at in legs.values_list("asset_id", "occurred_at"):
        touched[asset_id] = min(at, touched.get(asset_id, at))


def _facts(kind: str, rows: Any) -> Iterator[tuple[Any, Trade | Transfer | Reward]]:
    """Rows with as much of their facts as tells which feed would report them."""
    for row in rows:
        yield row, _FACT[kind](row)


def _trade(row: models.Trade) -> Trade:
    base, _, quote = row.symbol.partition("/")
    return Trade(
        feed=row.feed, exchange_id=row.exchange_id, kind=TradeKind(row.kind), symbol=row.symbol,
        side=row.side, base_code=base, base_quantity=row.base_quantity, quote_code=quote,
        quote_quantity=row.quote_quantity, price=row.price, fee_code=None, fee_quantity=None,
        wallet=row.wallet, order_id="", occurred_at=row.occurred_at,
    )  # fmt: skip


def _transfer(row: models.Transfer) -> Transfer:
    return Transfer(
        feed=row.feed, exchange_id=row.exchange_id, direction=Direction(row.direction), code="",
        quantity=row.quantity, fee_code=None, fee_quantity=None, wallet=row.wallet,
        counter_wallet=row.counter_wallet, settled=row.is_settled, txid=row.txid, address="",
        network="", occurred_at=row.occurred_at,
    )  # fmt: skip


def _reward(row: models.Reward) -> Reward:
    return Reward(
        row.feed, row.exchange_id, row.kind, "", row.quantity, row.wallet, row.occurred_at
    )


_FACT: Mapping[str, Any] = {"trade": _trade, "transfer": _transfer, "reward": _reward}
