"""A report as a spreadsheet (Office Open XML), written row by row."""

from collections.abc import Iterator
from decimal import Decimal
from typing import IO, Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from portfolios.reports.tables import Cell, Kind, Line, Table, harmless

CONTENT_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# A sheet ends at 1,048,576 rows, and somebody waits for these.
MOST_LINES: int | None = 100_000
_BOLD = Font(bold=True)
_BROAD = {Kind.SECTION, Kind.TOTAL}


def write(table: Table, out: IO[bytes]) -> None:
    """One sheet. Amounts are numbers with fixed decimals; quantities are text, because a
    spreadsheet's own numbers keep 15 digits."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(table.title[:31])
    _lay_out(sheet, table)
    for row in _heading(table):
        sheet.append([_cell(sheet, text, bold=True) for text in row])
    picture = "0." + "0" * table.decimals if table.decimals else "0"
    for line in table.lines:
        sheet.append(list(_cells(sheet, line, picture)))
    book.save(out)


def _lay_out(sheet: Any, table: Table) -> None:
    for number, column in enumerate(table.columns, start=1):
        width = max(column.width / 2, len(column.title) + 2, 10)
        sheet.column_dimensions[get_column_letter(number)].width = width
    sheet.freeze_panes = f"A{len(table.remarks) + 3}"


def _heading(table: Table) -> Iterator[list[str]]:
    yield [table.title]
    yield from ([remark] for remark in table.remarks)
    yield [column.title for column in table.columns]


def _cells(sheet: Any, line: Line, picture: str) -> Iterator[Any]:
    bold = line.kind in _BROAD
    for cell in line.cells:
        if isinstance(cell, Decimal) or bold:
            yield _cell(sheet, cell, bold=bold, picture=picture)
        else:
            yield harmless(cell) if isinstance(cell, str) else cell


def _cell(sheet: Any, value: Cell, *, bold: bool = False, picture: str = "") -> WriteOnlyCell:
    cell = WriteOnlyCell(sheet, harmless(value) if isinstance(value, str) else value)
    if bold:
        cell.font = _BOLD
    if isinstance(value, Decimal):
        cell.number_format = picture
    return cell
