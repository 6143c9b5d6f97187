"""A table as a spreadsheet (Office Open XML), written row by row.

A spreadsheet's own numbers keep 15 digits. Decimals that need more are text here, so that none is
lost; all others are numbers. A sheet ends at 1,048,576 rows, and a longer table goes on in further
sheets of the same file.
"""

import errno
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import IO, Any

from openpyxl import Workbook

from portfolios.exporting.columns import Kind
from portfolios.exporting.parquet_file import value
from portfolios.exporting.reading import Reader, Selected
from portfolios.exporting.telling import BATCH, Told
from portfolios.reports.tables import harmless

SUFFIX, IS_PACKED = "xlsx", True
MOST_LINES = 1_048_576  # of a sheet, its header included
_DIGITS = 15
_LONGEST = 32_767  # characters of a cell
_CUT = " … (cut: a cell holds no more)"
_PLAIN_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def write(
    out: IO[bytes], *, reader: Reader, selected: Selected, told: Told, most_lines: int = MOST_LINES
) -> int:
    """A header and a line for each row; returns how many rows. Empty cells are what is unknown."""
    read = [_READ.get(column.kind, _text) for column in selected.columns]
    header = [harmless(column.name) for column in selected.columns]
    rows = 0
    with _book() as book, reader.rows(selected) as found:
        sheet = _sheet(book, selected.table.name, header)
        for row in found:
            if rows and rows % (most_lines - 1) == 0:
                sheet = _sheet(book, selected.table.name, header)
            sheet.append([None if cell is None else cell_of(cell)
                          for cell, cell_of in zip(row, read, strict=True)])  # fmt: skip
            rows += 1
            if rows % BATCH == 0:
                told(rows)
        book.save(out)
    return rows


@contextmanager
def _book() -> Iterator[Workbook]:
    """A workbook whose sheets wait in temporary files, which go whatever happens.

    openpyxl itself removes them when a book is saved, or as the process ends. Raises OSError for
    what lxml tells of the system by its name alone, such as IO_ENOSPC.
    """
    book = Workbook(write_only=True)
    try:
        yield book
    except BaseException as error:
        for sheet in book.worksheets:
            _remove(sheet)
        number = getattr(errno, str(error).removeprefix("IO_"), None)
        if isinstance(number, int):
            raise OSError(number, os.strerror(number)) from error
        raise


def _remove(sheet: Any) -> None:
    """Whether or not the rest of its XML can still be written."""
    try:
        sheet.close()
    except Exception:  # noqa: S110  (what it was about is being raised already)
        pass
    finally:
        sheet._writer.cleanup()


def _sheet(book: Workbook, name: str, header: list[str]) -> Any:
    number = len(book.worksheets) + 1
    sheet: Any = book.create_sheet(name if number == 1 else f"{name} {number}")
    sheet.freeze_panes = "A2"
    sheet.append(header)
    return sheet


def _text(text: str) -> str:
    if len(text) > _LONGEST:
        text = text[: _LONGEST - len(_CUT) - 1] + _CUT
    return harmless(text)


def _number(text: str) -> Decimal | str:
    digits = text.lstrip("-").replace(".", "").strip("0")
    return Decimal(text) if len(digits) <= _DIGITS else text


def _value(text: str) -> Any:
    found = value(text)
    return _number(found) if _PLAIN_NUMBER.fullmatch(found) else _text(found)


_READ: Mapping[Kind, Callable[[str], Any]] = {
    Kind.UNITS: _number,
    Kind.MONEY: _number,
    Kind.INTEGER: int,
    Kind.BOOLEAN: lambda text: text == "true",
    Kind.VALUE: _value,
}
