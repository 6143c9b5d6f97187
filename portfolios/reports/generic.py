"""Every column there is: a line for each piece given up, and one for each income."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from portfolios.cost import gains
from portfolios.reports.rows import Piece, Receipt, Source
from portfolios.reports.tables import UNKNOWN, Cell, Column, Kind, Line, decimals_of, rounded
from tracker import money


def columns(currency: str) -> list[Column]:
    """Headings. Widths are for paper, where ids would have no room and are cut."""
    return [
        Column("Kind", 18),
        Column("Asset", 16),
        Column("Quantity", 36),
        Column("Acquired", 28),
        Column("Disposed or received", 28),
        Column("Days held", 10),
        Column("Term", 12),
        Column("Basis", 14),
        Column(f"Proceeds or income ({currency})", 25, is_money=True),
        Column(f"Cost ({currency})", 25, is_money=True),
        Column(f"Gain ({currency})", 25, is_money=True),
        Column("Account", 20),
        Column("Price from", 20),
        Column("Id", 0),
        Column("Ledger entry", 0),
        Column("Lot", 0),
        Column("Asset id", 0),
    ]


def lines(source: Source) -> Iterator[Line]:
    """Pieces, then income, oldest first. Lines may be sorted and added up as one likes."""
    sheet = _Sheet(source)
    for piece in source.pieces():
        yield Line(Kind.ROW, sheet.piece(piece))
    for receipt in source.receipts():
        yield Line(Kind.ROW, sheet.receipt(receipt))


class _Sheet:
    """Writes rows as cells for one person."""

    def __init__(self, source: Source) -> None:
        self.accounts = source.accounts()
        self.zone = ZoneInfo(source.user.time_zone)
        self.decimals = decimals_of(source.user.base_currency)

    def piece(self, row: Piece) -> list[Cell]:
        return [
            row.kind, row.code, money.to_text(row.quantity), self._instant(row.acquired_at),
            self._instant(row.disposed_at), row.held_days, row.term, row.basis,
            self._of_sale(row, row.proceeds), self._money(row.cost), self._of_sale(row, row.gain),
            self.accounts.get(row.connection_id, ""), row.source, str(row.id), str(row.entry_id),
            "" if row.lot_id is None else str(row.lot_id), str(row.asset_id),
        ]  # fmt: skip

    def receipt(self, row: Receipt) -> list[Cell]:
        return [
            f"income: {row.kind}", row.code, money.to_text(row.quantity), "",
            self._instant(row.received_at), None, "", "", self._money(row.value), "", "",
            self.accounts.get(row.connection_id, ""), row.source, str(row.id), str(row.entry_id),
            "", str(row.asset_id),
        ]  # fmt: skip

    def _of_sale(self, row: Piece, amount: Decimal | None) -> Cell:
        """Nothing, rather than unknown, where nothing was sold."""
        is_sale = row.kind in gains.REALIZING or amount is not None
        return self._money(amount) if is_sale else ""

    def _money(self, amount: Decimal | None) -> Cell:
        return UNKNOWN if amount is None else rounded(amount, self.decimals)

    def _instant(self, at: datetime | None) -> str:
        """With the offset of the person's time zone, to the second."""
        return UNKNOWN if at is None else at.astimezone(self.zone).isoformat(timespec="seconds")
