"""A report on paper: A4, landscape, numbered pages, the headings on each of them."""

import io
import logging
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import IO

import pymupdf_fonts
from fontTools.ttLib import TTFont
from fpdf import FPDF

from portfolios.reports.tables import Cell, Column, Kind, Line, Table

CONTENT_TYPE = "application/pdf"
# Pages that somebody might still leaf through; they are laid out while the person waits.
MOST_LINES: int | None = 2_000
_FONT, _SIZE, _HEIGHT = "text", 7.5, 4.6
_MARGIN, _HEADING_HEIGHT = 10.0, 9.0
_FONTS = {"": "notos", "B": "notosbo"}
# It tells of each table of each font what it did with it.
logging.getLogger("fontTools").setLevel(logging.ERROR)


def write(table: Table, out: IO[bytes]) -> None:
    """All pages. Text that the font has no sign for is written by its number: ``[U+5E01]``."""
    with tempfile.TemporaryDirectory() as folder:
        paper = _Paper(table, Path(folder))
        for line in table.lines:
            paper.write_line(line)
        out.write(bytes(paper.output()))


class _Paper(FPDF):
    """Pages with the report's title and headings above, and their number below."""

    def __init__(self, table: Table, folder: Path) -> None:
        super().__init__(orientation="landscape", format="A4")
        self.report = table
        # Columns of no width are for programs.
        self.shown = [(at, col) for at, col in enumerate(table.columns) if col.width]
        self.widths: dict[tuple[str, str], float] = {}
        self.set_margin(_MARGIN)
        self.set_auto_page_break(auto=True, margin=14)
        for style, name in _FONTS.items():
            path = folder / f"{name}.ttf"
            path.write_bytes(pymupdf_fonts.myfont(name))
            self.add_font(_FONT, style, path)
        self.set_title(table.title)
        self.set_creator("Portfolio tracker")
        self.add_page()

    def header(self) -> None:
        self._write(self.epw, 6, self.report.title, bold=True, size=12)
        if self.page_no() == 1:
            for remark in self.report.remarks:
                self._write(self.epw, 4, remark)
        self.ln(1.5)
        top = self.get_y()
        for _, column in self.shown:
            left = self.get_x()
            self._font(bold=True)
            self.multi_cell(
                column.width, _HEADING_HEIGHT / 2, column.title, border=0,
                align="R" if column.is_money else "L", new_x="RIGHT", new_y="TOP",
            )  # fmt: skip
            self.set_xy(left + column.width, top)
        self.set_xy(self.l_margin, top + _HEADING_HEIGHT + 1)
        self.line(self.l_margin, self.get_y(), self.l_margin + self.epw, self.get_y())
        self.ln(1)

    def footer(self) -> None:
        self.set_y(-11)
        self._font()
        self.cell(self.epw, 5, f"Page {self.page_no()} of {{nb}}", align="C")

    def write_line(self, line: Line) -> None:
        bold = line.kind in (Kind.SECTION, Kind.TOTAL)
        if line.kind in (Kind.SECTION, Kind.NOTE):
            self.ln(1.5)
            self._write(self.epw, _HEIGHT, str(line.cells[0]), bold=bold)
            return
        self._font(bold=bold)
        texts = [list(self._pieces(line.cells[at], column)) for at, column in self.shown]
        deepest = max(len(pieces) for pieces in texts)
        if self.will_page_break(deepest * _HEIGHT):
            self.add_page()
            self._font(bold=bold)
        for number in range(deepest):
            self._row([pieces[number] if number < len(pieces) else "" for pieces in texts])

    def _row(self, texts: list[str]) -> None:
        for text, (_, column) in zip(texts, self.shown, strict=True):
            self.cell(column.width, _HEIGHT, text, align="R" if column.is_money else "L")
        self.ln(_HEIGHT)

    def _write(
        self, width: float, height: float, text: str, *, bold: bool = False, size: float = _SIZE
    ) -> None:
        self._font(bold=bold, size=size)
        self.multi_cell(width, height, legible(text), new_x="LMARGIN", new_y="NEXT")

    def _font(self, *, bold: bool = False, size: float = _SIZE) -> None:
        self.set_font(_FONT, "B" if bold else "", size)

    def _pieces(self, cell: Cell, column: Column) -> Iterator[str]:
        """A cell's text, broken where the column ends, behind a space where there is one."""
        rest, room = legible(_written(cell)), column.width - 2 * self.c_margin
        while (end := self._fitting(rest, room)) < len(rest):
            end = rest.rfind(" ", 0, end) + 1 or end
            yield rest[:end]
            rest = rest[end:]
        yield rest

    def _fitting(self, text: str, room: float) -> int:
        """How many characters have room, at least one."""
        for number, char in enumerate(text):
            room -= self._width(self.font_style, char)
            if room < 0:
                return max(number, 1)
        return len(text)

    def _width(self, style: str, char: str) -> float:
        """Letters stand side by side: a text is as wide as they are together."""
        found = self.widths.get((style, char))
        if found is None:
            found = self.widths[style, char] = self.get_string_width(char)
        return found


def _written(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:,f}" if isinstance(cell, Decimal) else str(cell)


def legible(text: str) -> str:
    """Every character that the font has; the others by their number, so that none is lost."""
    known = _characters()
    if text.isascii():
        return text
    return "".join(char if ord(char) in known else f"[U+{ord(char):04X}]" for char in text)


@cache
def _characters() -> frozenset[int]:
    with TTFont(io.BytesIO(pymupdf_fonts.myfont(_FONTS["B"])), lazy=True) as font:
        return frozenset(font.getBestCmap())
