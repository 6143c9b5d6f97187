"""What a report is before it is a file: columns, and lines that flow through one at a time.

Pure. Money is rounded here and nowhere before, to the smallest unit of its currency, half to
even (ROUND_HALF_EVEN). A year of 100,000 lines is never in memory as a whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

UNKNOWN = "unknown"
_DECIMALS = {"JPY": 0, "BTC": 8, "ETH": 8}
# What a spreadsheet takes for a formula at the beginning of a text (OWASP, CSV injection).
STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

Cell = str | Decimal | int | None


class Kind(StrEnum):
    """What a line is."""

    SECTION = "section"
    ROW = "row"
    TOTAL = "total"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, and how wide the column is on paper, in millimetres."""

    title: str
    width: float
    is_money: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table; sections and notes have one cell."""

    kind: Kind
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Table:
    """A report: what it is, what is said above it, its columns and its lines."""

    title: str
    remarks: Sequence[str]
    columns: Sequence[Column]
    lines: Iterator[Line]
    decimals: int


def decimals_of(currency: str) -> int:
    """How many decimals amounts in a currency are rounded to."""
    return _DECIMALS.get(currency, 2)


def rounded(amount: Decimal, decimals: int) -> Decimal:
    """To the smallest unit, half to even; never a negative zero."""
    found = amount.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_EVEN)
    return found if found else abs(found)


def harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula, and without characters no file can hold.

    The leading apostrophe is the usual way to say "this is text".
    """
    if not text.isprintable():
        text = "".join(char for char in text if char.isprintable() or char in "\t\n")
    return f"'{text}" if text.startswith(STARTS_A_FORMULA) else text
