"""A report as comma-separated values (RFC 4180), UTF-8."""

import csv
import io
from typing import IO

from portfolios.reports.tables import Cell, Kind, Table, harmless

CONTENT_TYPE = "text/csv; charset=utf-8"
MOST_LINES: int | None = None


def write(table: Table, out: IO[bytes]) -> None:
    """Headings, then lines as they come. Sections are a column already, so their titles go."""
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow([column.title for column in table.columns])
    for line in table.lines:
        if line.kind != Kind.SECTION:
            writer.writerow([_written(cell) for cell in line.cells])
    text.detach()


def _written(cell: Cell) -> str:
    """Our own numbers may begin with a minus; text of others may not."""
    if cell is None or isinstance(cell, int):
        return "" if cell is None else str(cell)
    return harmless(cell) if isinstance(cell, str) else f"{cell:f}"
