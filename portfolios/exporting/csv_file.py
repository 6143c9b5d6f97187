"""A table as comma-separated values (RFC 4180 but for line ends, which are line feeds), UTF-8.

PostgreSQL itself writes the lines; Python only hands them on.
"""

import csv
import io
from typing import IO

from portfolios.exporting.reading import Reader, Selected
from portfolios.exporting.telling import BATCH, Told
from portfolios.reports.tables import harmless

SUFFIX, IS_PACKED = "csv", False
_AT_ONCE = 500  # lines that are handed on together


def write(out: IO[bytes], *, reader: Reader, selected: Selected, told: Told) -> int:
    """A header and a line for each row; returns how many rows. Empty cells are what is unknown."""
    out.write(_header(selected))
    rows, waiting = 0, []
    with reader.lines(selected) as lines:
        for line in lines:
            waiting.append(line)
            rows += 1
            if len(waiting) == _AT_ONCE:
                out.write(b"".join(waiting))
                waiting.clear()
            if rows % BATCH == 0:
                told(rows)
    out.write(b"".join(waiting))
    return rows


def _header(selected: Selected) -> bytes:
    text = io.StringIO()
    names = [harmless(column.name) for column in selected.columns]
    csv.writer(text, lineterminator="\n").writerow(names)
    return text.getvalue().encode()
