"""Rows for reports, read from the database a few at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from accounts.models import User
from exchanges.models import ExchangeConnection
from portfolios.cost import gains
from portfolios.cost.gains import Extent
from portfolios.models import Disposal, DisposalKind, Income, Term

_AT_ONCE = 2_000
# Thefts, gifts and donations are reported elsewhere, if at all.
SOLD = (DisposalKind.SALE, DisposalKind.FEE, DisposalKind.PAYMENT)
_COMPLETE = Q(gain__isnull=False)


class Piece(NamedTuple):
    """A disposal as reports need it."""

    id: UUID
    code: str
    asset_id: UUID
    connection_id: UUID
    entry_id: UUID
    lot_id: UUID | None
    kind: str
    quantity: Decimal
    acquired_at: datetime | None
    disposed_at: datetime
    held_days: int | None
    term: str
    basis: str
    proceeds: Decimal | None
    cost: Decimal | None
    gain: Decimal | None
    source: str


class Receipt(NamedTuple):
    """Income as reports need it."""

    id: UUID
    code: str
    asset_id: UUID
    connection_id: UUID
    entry_id: UUID
    kind: str
    quantity: Decimal
    received_at: datetime
    value: Decimal | None
    source: str


_PIECE = (
    "id", "asset__code", "asset_id", "connection_id", "entry_id", "lot_id", "kind", "quantity",
    "acquired_at", "disposed_at", "held_days", "term", "basis", "proceeds", "cost", "gain",
    "price_source",
)  # fmt: skip
_RECEIPT = (
    "id", "asset__code", "asset_id", "connection_id", "entry_id", "kind", "quantity",
    "received_at", "value", "price_source",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """One person's rows within an extent. Read inside ``as_user``, oldest first."""

    user: User
    extent: Extent

    def count(self) -> int:
        """Lines that the longest report would have: all pieces and all income."""
        return self._disposals().count() + self._incomes().count()

    def pieces(self) -> Iterator[Piece]:
        """Everything given up."""
        return self._read(self._disposals())

    def sold(self, term: Term) -> Iterator[Piece]:
        """What was sold with a known gain, of one term."""
        return self._read(self._disposals().filter(_COMPLETE, kind__in=SOLD, term=term))

    def sold_incompletely(self) -> Iterator[Piece]:
        """What was sold without a known gain, because its cost or its price is unknown."""
        neither = ~Q(term__in=(Term.SHORT, Term.LONG))
        return self._read(self._disposals().filter(~_COMPLETE | neither, kind__in=SOLD))

    def receipts(self) -> Iterator[Receipt]:
        """Income."""
        rows = self._incomes().order_by("received_at", "id").values_list(*_RECEIPT)
        return (Receipt(*row) for row in rows.iterator(chunk_size=_AT_ONCE))

    def left_out(self) -> dict[str, int]:
        """How many pieces are no sales, by kind."""
        rows = self._disposals().exclude(kind__in=SOLD).order_by().values("kind")
        return {row["kind"]: row["pieces"] for row in rows.annotate(pieces=Count("*"))}

    def accounts(self) -> dict[UUID, str]:
        """What each account is called: its exchange, and its label where it has one."""
        rows = ExchangeConnection.objects.filter(user_id=self.user.id)
        names = rows.values_list("id", "exchange__name", "label")
        return {key: f"{name} {label}".strip() for key, name, label in names}

    def standing(self, method: str) -> dict[str, Any]:
        return gains.standing(user=self.user, method=method)

    def _read(self, rows: QuerySet[Disposal]) -> Iterator[Piece]:
        found = rows.order_by("disposed_at", "asset_id", "position", "id").values_list(*_PIECE)
        return (Piece(*row) for row in found.iterator(chunk_size=_AT_ONCE))

    def _disposals(self) -> QuerySet[Disposal]:
        mine = Disposal.objects.filter(user_id=self.user.id)
        return self.extent.narrow(mine, at="disposed_at", zone=self.user.time_zone)

    def _incomes(self) -> QuerySet[Income]:
        mine = Income.objects.filter(user_id=self.user.id)
        return self.extent.narrow(mine, at="received_at", zone=self.user.time_zone)
