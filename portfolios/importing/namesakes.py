"""What of a file is in the books already: under the name it has here, or under another.

A fact is named by the id that its file gives it, or else by what it says. Some formats leave the
ids out of some of their files, so one fact may come with a name of either kind: there, entries
that say the same at the same instant, with a name of the other kind, are taken for it, each once.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Model

from exchanges.models import ExchangeConnection
from exchanges.reports import Reward, Trade, Transfer
from portfolios import models
from portfolios.importing import identity
from portfolios.importing.formats import coinbase, own
from portfolios.importing.reading import Found
from portfolios.ledger.legs import Adjustment

_MODELS: Mapping[type, type[Model]] = {
    Trade: models.Trade, Transfer: models.Transfer, Reward: models.Reward,
    Adjustment: models.Adjustment,
}  # fmt: skip
_IDS_MAY_BE_MISSING = {coinbase.FORMAT.feed, own.FORMAT.feed}


def already(account: ExchangeConnection, batch: Sequence[Found]) -> set[str]:
    """Names of those that are in the books: from an earlier file, or, where a file of ours names
    entries by their id, as that very entry in any account of the person's."""
    here: set[str] = set()
    feed, names = batch[0].fact.feed, [_name(item) for item in batch]
    by_id = {entry_id: _name(item) for item in batch if (entry_id := _entry_id(item))}
    for model in _MODELS.values():
        rows = model._base_manager.filter(user_id=account.user_id)
        mine = rows.filter(connection_id=account.id, feed=feed, exchange_id__in=names)
        here |= set(mine.values_list("exchange_id", flat=True))
        same = rows.filter(id__in=by_id).values_list("id", flat=True) if by_id else ()
        here |= {by_id[entry_id] for entry_id in same}
    if feed in _IDS_MAY_BE_MISSING:
        here |= _under_another_name(account, [item for item in batch if _name(item) not in here])
    return here


def _entry_id(item: Found) -> UUID | None:
    try:
        return UUID(item.key) if len(item.key) == 36 else None
    except ValueError:
        return None


def _name(item: Found) -> str:
    return item.fact.exchange_id


def _under_another_name(account: ExchangeConnection, left: Sequence[Found]) -> set[str]:
    found: set[str] = set()
    for kind, model in _MODELS.items():
        mine = [item for item in left if type(item.fact) is kind]
        if mine:
            there = _there(account, model, mine)
            found |= {_name(item) for item in mine if _taken(there, _said(item))}
    return found


def _taken(there: Counter[tuple], said: tuple) -> bool:
    there[said] -= 1
    return there[said] >= 0


def _said(item: Found) -> tuple:
    """What tells one from another: when, which coin, how much, and that it is named by content
    where the other one is not."""
    fact: Any = item.fact
    told = (
        (fact.base_code, fact.base_quantity, fact.quote_code, fact.quote_quantity, fact.side)
        if isinstance(fact, Trade)
        else (fact.code, fact.quantity, getattr(fact, "direction", ""))
    )
    return (fact.occurred_at, *told, not identity.is_by_content(fact.exchange_id))


def _there(
    account: ExchangeConnection, model: type[Model], items: Iterable[Found]
) -> Counter[tuple]:
    columns = ["asset__code", "quantity"]
    if model is models.Trade:
        columns = [
            "base_asset__code", "base_quantity", "quote_asset__code", "quote_quantity", "side",
        ]  # fmt: skip
    elif model is models.Transfer:
        columns.append("direction")
    items = list(items)
    rows = model._base_manager.filter(
        user_id=account.user_id, connection_id=account.id, feed=items[0].fact.feed,
        occurred_at__in={item.fact.occurred_at for item in items},
    )  # fmt: skip
    blank = () if len(columns) > 2 else ("",)
    return Counter(
        (at, *told, *blank, identity.is_by_content(name))
        for at, name, *told in rows.values_list("occurred_at", "exchange_id", *columns)
    )
