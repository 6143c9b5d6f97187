"""All of a person's entries as CSV, in the format that files are imported from.

Read and sent page by page, each in a transaction of its own: a long history is never held in
memory, and no transaction waits for a slow phone.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Coalesce

from exchanges.models import ExchangeConnection
from portfolios.by_hand import entries
from portfolios.importing.formats import own
from portfolios.models import LedgerEntry
from tracker import tenancy

PAGE = 2_000
Place = tuple[datetime, UUID]


def lines(*, user_id: UUID) -> Iterator[bytes]:
    """The file in pieces: a header, then a line for each fact in the books, oldest first."""
    yield _written([own.COLUMNS])
    after: Place | None = None
    while True:
        with tenancy.as_user(user_id):
            page = _page(user_id, after)
            rows = entries.shown(user_id=user_id, entry_ids=[fact_id for _, _, fact_id in page])
            names = _names(user_id)
        if rows:
            yield _written([_row(row, names) for row in rows])
        if len(page) < PAGE:
            return
        after = page[-1][0], page[-1][1]


def _page(user_id: UUID, after: Place | None) -> list[tuple[datetime, UUID, UUID]]:
    """Each fact has exactly one first leg, which stands for it."""
    first = LedgerEntry.objects.filter(user_id=user_id, leg=0)
    if after:
        at, entry_id = after
        later = Q(occurred_at__gt=at) | Q(occurred_at=at, id__gt=entry_id)
        first = first.filter(later, occurred_at__gte=at)
    fact = Coalesce("trade", "transfer", "reward", "adjustment")
    ordered = first.order_by("occurred_at", "id")
    return list(ordered.values_list("occurred_at", "id", fact)[:PAGE])


def _names(user_id: UUID) -> dict[UUID, str]:
    rows = ExchangeConnection.objects.filter(user_id=user_id)
    return {
        row_id: f"{exchange} {label}".strip()
        for row_id, exchange, label in rows.values_list("id", "exchange_id", "label")
    }


def _row(entry: Mapping[str, Any], names: Mapping[UUID, str]) -> list[str]:
    at = entry["occurred_at"].astimezone(UTC).isoformat().replace("+00:00", "Z")
    common = {
        "id": str(entry["id"]), "time": at, "wallet": entry["wallet"],
        "account": names.get(entry["connection"], ""),
    }  # fmt: skip
    told = common | _TELL[entry["kind"]](entry[entry["kind"]])
    return [own.harmless(told.get(name, "")) if name in _TEXTS else told.get(name, "")
            for name in own.COLUMNS]  # fmt: skip


# What people or exchanges wrote; all else is numbers and words of ours.
_TEXTS = {
    "received_asset", "sent_asset", "fee_asset", "cost_asset", "detail", "txid", "note", "account",
}  # fmt: skip


def _fee(fact: Mapping[str, Any]) -> dict[str, str]:
    return {
        "fee_quantity": own.amount(fact["fee_quantity"]), "fee_asset": fact["fee_code"] or "",
    }  # fmt: skip


def _trade(fact: Mapping[str, Any]) -> dict[str, str]:
    base = own.amount(fact["base_quantity"]), fact["base_code"]
    quote = own.amount(fact["quote_quantity"]), fact["quote_code"]
    received, sent = (base, quote) if fact["side"] == "buy" else (quote, base)
    kind = "trade" if fact["kind"] == "fill" else fact["kind"]
    return {
        "type": kind, "side": fact["side"], "received_quantity": received[0],
        "received_asset": received[1], "sent_quantity": sent[0], "sent_asset": sent[1],
        **_fee(fact),
    }  # fmt: skip


def _transfer(fact: Mapping[str, Any]) -> dict[str, str]:
    sign = 1 if fact["direction"] == "deposit" else -1
    return {
        "type": fact["direction"], "txid": fact["txid"], "to_wallet": fact["counter_wallet"],
        **_side(fact["code"], sign * fact["quantity"]), **_fee(fact),
    }  # fmt: skip


def _reward(fact: Mapping[str, Any]) -> dict[str, str]:
    return {"type": "reward", "detail": fact["kind"], **_side(fact["code"], fact["quantity"])}


def _adjustment(fact: Mapping[str, Any]) -> dict[str, str]:
    return {
        "type": "adjustment", "detail": fact["reason"], "note": fact["note"],
        "cost_quantity": own.amount(fact["cost_quantity"]), "cost_asset": fact["cost_code"] or "",
        **_side(fact["code"], fact["quantity"]),
    }  # fmt: skip


def _side(code: str, quantity: Decimal) -> dict[str, str]:
    way = "received" if quantity > 0 else "sent"
    return {f"{way}_quantity": own.amount(abs(quantity)), f"{way}_asset": code}


_TELL = {
    "trade": _trade, "transfer": _transfer, "reward": _reward, "adjustment": _adjustment,
}  # fmt: skip


def _written(rows: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
