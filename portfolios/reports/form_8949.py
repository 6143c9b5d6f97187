"""The columns of the United States' Form 8949, Sales and Other Dispositions of Capital Assets.

Part I is short-term, part II long-term. Every line holds: (d) − (e) + (g) = (h). Each line is
rounded on its own; of a part's total, proceeds and cost are rounded once from exact sums, and the
gain is their difference, as the form asks for. A column may so differ from its total by what was
rounded away in its lines, and the total gain by one smallest unit from the app's, which is rounded
by itself. What was lost, given away or donated is reported elsewhere, if at all: how many pieces
of each are left out stands at the end, although the app's gain counts them.

What was sold at an unknown cost or price stands in a list of its own after the parts, marked, and
is in no total: nobody's cost is taken to be zero. Which box (A to L) applies depends on forms that
brokers sent, so that it is left to the person.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from portfolios.models import Term
from portfolios.reports.rows import Piece, Source
from portfolios.reports.tables import UNKNOWN, Cell, Column, Kind, Line, decimals_of, rounded
from tracker import money

_PARTS = (("I", "Part I. Short-term", Term.SHORT), ("II", "Part II. Long-term", Term.LONG))
_INCOMPLETE = "Cost or price unknown: to be completed by you, in no total above"


def columns(currency: str) -> list[Column]:
    """Headings as the form has them, with the currency of amounts."""
    return [
        Column("Part", 16),
        Column("(a) Description of property", 74),
        Column("(b) Date acquired", 26),
        Column("(c) Date sold or disposed of", 26),
        Column(f"(d) Proceeds ({currency})", 32, is_money=True),
        Column(f"(e) Cost or other basis ({currency})", 32, is_money=True),
        Column("(f) Code", 12),
        Column("(g) Adjustment", 22, is_money=True),
        Column(f"(h) Gain or loss ({currency})", 34, is_money=True),
    ]


def lines(source: Source) -> Iterator[Line]:
    """Both parts with their totals, what is incomplete, and what was left out."""
    form = _Form(ZoneInfo(source.user.time_zone), decimals_of(source.user.base_currency))
    for part, title, term in _PARTS:
        yield Line(Kind.SECTION, [title])
        yield from form.part(part, source.sold(term))
    yield from form.incomplete(source.sold_incompletely())
    yield from _left_out(source)


class _Form:
    """Writes pieces as lines, in a time zone and to so many decimals."""

    def __init__(self, zone: ZoneInfo, decimals: int) -> None:
        self.zone = zone
        self.decimals = decimals

    def part(self, part: str, pieces: Iterator[Piece]) -> Iterator[Line]:
        proceeds = cost = Decimal(0)
        for piece in pieces:
            proceeds += piece.proceeds or 0
            cost += piece.cost or 0
            yield Line(Kind.ROW, self._cells(part, piece))
        sums = self._amounts(proceeds, cost)
        yield Line(Kind.TOTAL, [part, "Total", "", "", *sums])

    def incomplete(self, pieces: Iterator[Piece]) -> Iterator[Line]:
        for number, piece in enumerate(pieces):
            if number == 0:
                yield Line(Kind.SECTION, [_INCOMPLETE])
            yield Line(Kind.ROW, self._cells(UNKNOWN, piece))

    def _cells(self, part: str, piece: Piece) -> list[Cell]:
        return [
            part,
            f"{money.to_text(piece.quantity)} {piece.code}",
            UNKNOWN if piece.acquired_at is None else self._date(piece.acquired_at),
            self._date(piece.disposed_at),
            *self._amounts(piece.proceeds, piece.cost),
        ]

    def _amounts(self, proceeds: Decimal | None, cost: Decimal | None) -> list[Cell]:
        got = None if proceeds is None else rounded(proceeds, self.decimals)
        paid = None if cost is None else rounded(cost, self.decimals)
        gain = UNKNOWN if got is None or paid is None else rounded(got - paid, self.decimals)
        return [UNKNOWN if got is None else got, UNKNOWN if paid is None else paid, "", "", gain]

    def _date(self, at: datetime) -> str:
        """As the form asks for it: month, day, year."""
        return f"{at.astimezone(self.zone):%m/%d/%Y}"


def _left_out(source: Source) -> Iterator[Line]:
    for kind, pieces in sorted(source.left_out().items()):
        yield Line(Kind.NOTE, [f"Not on this form: {pieces} × {kind}."])
